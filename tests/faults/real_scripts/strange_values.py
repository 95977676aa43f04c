"""Reports NaN, and both infinities."""

from cloudtune.report import Reporter

report = Reporter()
for epoch, loss in enumerate([1.0, float("nan"), float("inf"), float("-inf")], start=1):
    report(epoch=epoch, loss=loss)
