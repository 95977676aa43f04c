"""Reports once, then stands still, and doesn't listen when it is asked to end."""

import signal
import time

from cloudtune.report import Reporter

signal.signal(signal.SIGTERM, signal.SIG_IGN)
Reporter()(epoch=1, loss=1.0)
while True:
    time.sleep(60)
