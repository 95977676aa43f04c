"""Every error of cloudtune, in one tree.

    CloudtuneError                      message, and a hint with the way out
    ├── UserError                       an input is wrong; nothing was spent
    │   ├── ConfigSpaceError            a domain, a configuration or points_to_evaluate
    │   ├── OptionError                 an argument of a class or a command
    │   ├── ScriptError                 the training script or its folder
    │   ├── MetricError                 reports don't carry what the scheduler needs
    │   └── ExperimentNotFoundError     no experiment of that name
    ├── ExperimentFailedError           more trials failed than ``max_failures`` allows
    ├── JournalError                    the record of an experiment can't be trusted
    │   ├── JournalConflictError        another tuner writes this experiment; we changed nothing
    │   └── JournalCorruptError         an event in the middle can't be read
    ├── IntegrityError                  a payload's digest is not what its request says
    ├── TransientError                  wait and try again; never fails a trial
    │   ├── ThrottledError              the API's rate is used up
    │   └── UnreachableError            time-out, reset connection, 5xx
    ├── CapacityError                   hold the trial until there is room; never fails a trial
    │   ├── QuotaReachedError           the account's limit
    │   ├── NoCapacityError             the cloud has no such instance right now
    │   └── NotYetError                 room is expected in ``retry_after`` seconds
    └── RefusedError                    asking again gives the same answer
        ├── AccessDeniedError           credentials or permissions
        ├── NotFoundError               no such resource
        ├── AlreadyExistsError          the name is taken
        ├── NotAsAskedError             what runs differs from what was asked for
        └── InvalidRequestError         the service rejects the request

What to do about an error follows from its class alone: wait (``TransientError``), hold the trial
(``CapacityError``), give up with the hint (everything else).
"""

from __future__ import annotations


class CloudtuneError(Exception):
    """Base of all errors: what went wrong and with which value, and in ``hint`` the way out."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type[CloudtuneError], tuple[str, str]]:
        return type(self), (self.message, self.hint)


class UserError(CloudtuneError):
    """An input is wrong; raised before money is spent."""


class ConfigSpaceError(UserError, ValueError):
    """A domain, a configuration or an initial point is impossible."""


class OptionError(UserError, ValueError):
    """An argument of a class or a command is out of range or does not fit another."""


class ScriptError(UserError):
    """The training script or its folder is missing or unusable."""


class MetricError(UserError):
    """Reports don't carry the metric or the resource that the scheduler needs."""


class ExperimentNotFoundError(UserError, LookupError):
    """No experiment of that name where we looked."""


class ExperimentFailedError(CloudtuneError):
    """More trials failed than ``max_failures`` allows."""


class JournalError(CloudtuneError):
    """The record of an experiment can't be trusted."""


class JournalConflictError(JournalError):
    """Another tuner wrote to this experiment; this one has changed nothing."""


class JournalCorruptError(JournalError):
    """An event other than the last can't be read."""


class IntegrityError(CloudtuneError):
    """A payload's digest is not the one its request names; nothing was loaded."""


class TransientError(CloudtuneError):
    """Wait and try again."""


class ThrottledError(TransientError):
    """The rate of an API operation is used up."""


class UnreachableError(TransientError):
    """The service did not answer, or answered with a fault of its own."""


class CapacityError(CloudtuneError):
    """There is no room now; hold the trial."""


class QuotaReachedError(CapacityError):
    """The account's limit for this resource is reached. ``quota``: its name in Service Quotas, if that is known."""

    def __init__(self, message: str, hint: str = "", quota: str = "") -> None:
        super().__init__(message, hint)
        self.quota = quota

    def __reduce__(self) -> tuple[type[QuotaReachedError], tuple[str, str, str]]:  # type: ignore[override]
        return type(self), (self.message, self.hint, self.quota)


class NoCapacityError(CapacityError):
    """The cloud has none of the requested instances right now."""


class NotYetError(CapacityError):
    """Room is expected soon: ask again in ``retry_after`` seconds."""

    def __init__(self, message: str, hint: str = "", retry_after: float = 1.0) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type[NotYetError], tuple[str, str, float]]:  # type: ignore[override]
        return type(self), (self.message, self.hint, self.retry_after)


class RefusedError(CloudtuneError):
    """The service refuses, and asking again gives the same answer."""


class AccessDeniedError(RefusedError):
    """Credentials are missing, expired or not allowed to do this."""


class NotFoundError(RefusedError):
    """No such resource."""


class AlreadyExistsError(RefusedError):
    """The name is taken."""


class NotAsAskedError(RefusedError):
    """A job runs otherwise than it was asked to; it was stopped."""


class InvalidRequestError(RefusedError):
    """The service's own validation rejects the request."""
