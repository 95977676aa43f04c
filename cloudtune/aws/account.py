"""The one way to AWS: clients, pacing, call counts."""

from __future__ import annotations

import logging
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from cloudtune.aws.pacing import Pacer, Rate, rates_of_environment
from cloudtune.aws.translation import NO_CREDENTIALS, is_throttle, translated
from cloudtune.clock import Clock, SystemClock
from cloudtune.errors import AccessDeniedError, OptionError, ThrottledError
from cloudtune.version import __version__

logger = logging.getLogger("cloudtune.aws")

MAX_ATTEMPTS = 4
"""Tries of a call that finds no connection, or a fault of the service. How often we call is the pacer's affair."""

READ_TRIES = 4
"""Tries of a read that is throttled, each at half the pace of the one before."""

_READS = ("Describe", "Filter", "Get", "List", "Search", "Simulate")


class Aws:
    """An account in a region, as credentials, profile, region and endpoint in the environment say.

    ``session``: a boto3 session instead of that environment. ``attempts``: tries of one call by botocore itself,
    before we hear of a lost connection or a fault of the service. Of a throttle we hear at once: operations with a rate
    slow down (``cloudtune.aws.pacing``), and reads are repeated at the new pace.

    Safe to share between threads. Serializable, without its session: clients are made again where it is loaded, from
    that environment.
    """

    def __init__(
        self,
        region: str | None = None,
        clock: Clock | None = None,
        rates: Mapping[str, Rate] | None = None,
        session: Any = None,
        attempts: int = MAX_ATTEMPTS,
    ) -> None:
        self._region = region
        self._rates = rates
        self._given_session = session
        self._attempts = attempts
        self._account: str | None = None
        self._set_up(clock or SystemClock())

    def _set_up(self, clock: Clock) -> None:
        self._pacer = Pacer(clock, rates_of_environment() if self._rates is None else self._rates)
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self._session: Any = self._given_session
        self._calls: Counter[str] = Counter()
        self._throttles: Counter[str] = Counter()

    def use_clock(self, clock: Clock) -> None:
        """Pace calls by this clock."""
        self._pacer = Pacer(clock, rates_of_environment() if self._rates is None else self._rates)

    def __getstate__(self) -> dict[str, Any]:
        return {"region": self._region, "rates": self._rates, "attempts": self._attempts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["region"], None, state["rates"], None, state["attempts"])  # type: ignore[misc]

    # -- calls -------------------------------------------------------------------------------------------------------

    def call(self, service: str, operation: str, /, **request: Any) -> dict[str, Any]:
        """One API call, ``operation`` as AWS spells it. Raises only errors of ``cloudtune.errors``."""
        patient = operation.startswith(_READS) and self._pacer.paces(operation)
        for _ in range(READ_TRIES - 1 if patient else 0):
            try:
                return self._call(service, operation, request)
            except ThrottledError as error:
                logger.debug("again: %s", error)
        return self._call(service, operation, request)

    def _call(self, service: str, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        with translated(operation, _subject(request)):
            method = getattr(self.client(service), _snake_case(operation))
            self._pacer.wait(operation)
            with self._lock:
                self._calls[operation] += 1
            response: dict[str, Any] = method(**request)
        self._pacer.succeeded(operation)
        return response

    def pages(self, service: str, operation: str, /, **request: Any) -> Iterator[dict[str, Any]]:
        """All pages of a listing, each one paced call; a page may be empty while more follow."""
        token_name = _TOKENS.get(operation, ("NextToken", "NextToken"))
        token: str | None = None
        while True:
            page = self.call(service, operation, **request, **({token_name[0]: token} if token else {}))
            yield page
            following = page.get(token_name[1])
            if not following or following == token:
                return
            token = following

    def pause(self, seconds: float) -> None:
        """Sleep by the clock that calls are paced by."""
        self._pacer.sleep(seconds)

    def call_counts(self) -> Mapping[str, int]:
        """API calls so far by operation."""
        with self._lock:
            return dict(self._calls)

    def throttle_counts(self) -> Mapping[str, int]:
        """Answers so far, by operation, that we call too often."""
        with self._lock:
            return dict(self._throttles)

    def client(self, service: str) -> Any:
        """The boto3 client itself, for what has no single operation; wrap its use in ``translated``."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._new_client(service)
            return self._clients[service]

    def _new_client(self, service: str) -> Any:
        from botocore.config import Config

        config = Config(
            # its "adaptive" mode would pace all operations alike, by the machine's clock, unheard by us
            retries={"mode": "standard", "total_max_attempts": self._attempts},
            user_agent_extra=f"cloudtune/{__version__}",
            connect_timeout=10,
            read_timeout=60,
            max_pool_connections=32,
        )
        with translated(f"connect to {service}"):
            if self._session is None:
                self._session = _session_with_credentials(self._region)
            client = self._session.client(service, config=config)
        client.meta.events.register_first("needs-retry", self._answered)
        if self._given_session is None:
            _refuse_dead_sandbox(client.meta.endpoint_url)
        return client

    def _answered(self, response: Any, operation: Any, **_: Any) -> None:
        """Of each answer to each try, before botocore thinks about another."""
        from botocore.exceptions import ClientError

        if response is None or not is_throttle(response[1]):
            return
        with self._lock:
            self._throttles[operation.name] += 1
        self._pacer.throttled(operation.name)
        if self._pacer.paces(operation.name):
            raise ClientError(response[1], operation.name)

    # -- who and where -------------------------------------------------------------------------------------------------

    @property
    def region(self) -> str:
        """The region's name. Raises ``InvalidRequestError`` if none is configured."""
        region: str = self.client("sagemaker").meta.region_name
        return region

    @property
    def account(self) -> str:
        """The account's number."""
        if self._account is None:
            self._account = str(self.call("sts", "GetCallerIdentity")["Account"])
        return self._account


def _session_with_credentials(region: str | None) -> Any:
    """Every client of a session without credentials would look for them again, and wait for services that are silent.

    Raises ``AccessDeniedError`` if there are none.
    """
    import boto3

    session = boto3.session.Session(region_name=region)
    if session.get_credentials() is None:
        raise AccessDeniedError("there are no AWS credentials", NO_CREDENTIALS)
    return session


def _refuse_dead_sandbox(endpoint: str) -> None:
    """On this machine, a port that nobody listens on is no reason to try ten times: raises ``OptionError``."""
    address = urlsplit(endpoint)
    if address.hostname not in ("127.0.0.1", "localhost", "::1") or address.port is None:
        return
    try:
        socket.create_connection((address.hostname, address.port), timeout=10).close()
    except ConnectionRefusedError as error:
        raise OptionError(
            f"nothing listens at {endpoint}, which AWS_ENDPOINT_URL or the profile names",
            "is the sandbox still running (`cloudtune sandbox status`)? For AWS itself, unset AWS_ENDPOINT_URL",
        ) from error
    except OSError:
        return  # busy, perhaps: the call itself will tell


_TOKENS = {
    "FilterLogEvents": ("nextToken", "nextToken"),
    "ListObjectsV2": ("ContinuationToken", "NextContinuationToken"),
    "ListRoles": ("Marker", "Marker"),
}

_SUBJECTS = ("TrainingJobName", "RoleName", "Bucket", "ResourceArn", "ServiceCode")


def _subject(request: Mapping[str, Any]) -> str:
    name = next((str(request[key]) for key in _SUBJECTS if key in request), "")
    return f"{name}/{request['Key']}" if name and "Key" in request else name


def _snake_case(operation: str) -> str:
    """``ListObjectsV2`` -> ``list_objects_v2``, as boto3 names its methods."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", operation).lower()
