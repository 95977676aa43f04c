"""What becomes of a call."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from cloudtune.sandbox.aws_error import AwsError
from cloudtune.sandbox.faults.dice import throw
from cloudtune.sandbox.faults.plan import FaultPlan


@dataclass(frozen=True)
class CallFault:
    """A call that goes wrong."""

    kind: str

    @property
    def done(self) -> bool:
        """Whether what was asked for happens all the same."""
        return self.kind.endswith("-after")

    @property
    def timed_out(self) -> bool:
        return self.kind.startswith("timeout")

    def refusal(self, service: str) -> AwsError | None:
        """What is answered; None: nothing is."""
        if self.kind == "throttled":
            if service == "s3":
                return AwsError("SlowDown", "Please reduce your request rate.", 503)
            return AwsError("ThrottlingException", "Rate exceeded", 400)
        if self.kind == "internal-error":
            code = "InternalError" if service == "s3" else "InternalServerError"
            return AwsError(code, "We encountered an internal error. Please try again.", 500)
        if self.kind == "internal-failure":
            return AwsError("InternalFailure", "The request processing has failed because of an unknown error.", 500)
        if self.kind == "unavailable":
            code = "ServiceUnavailableException" if service == "logs" else "ServiceUnavailable"
            return AwsError(code, "The service is unavailable. Please try again later.", 503)
        return None


def call_fault(plan: FaultPlan, operation: str, count: int, elapsed: float) -> CallFault | None:
    """What befalls the ``count``-th call of "service.Operation", ``elapsed`` seconds after the sandbox began.

    The first rule that hits it.
    """
    for rule in plan.calls:
        if not fnmatchcase(operation, rule.operations) or not rule.when.holds(count, elapsed):
            continue
        if throw(plan.seed, rule.kind, rule.operations, operation, count) < rule.when.probability:
            return CallFault(rule.kind)
    return None
