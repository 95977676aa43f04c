"""Which operation of which service an HTTP request is, for every protocol AWS clients speak."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from botocore.exceptions import UnknownServiceError

from cloudtune.sandbox.aws_error import AwsError
from cloudtune.sandbox.model import service_model

# names in a signature that are not the service's name in botocore
_SIGNING_NAMES = {"monitoring": "cloudwatch", "servicequotas": "service-quotas", "states": "stepfunctions"}
_TARGETS = {
    "SageMaker": "sagemaker",
    "Logs_20140328": "logs",
    "ServiceQuotasV20190624": "service-quotas",
    "GraniteServiceVersion20100801": "cloudwatch",
}


@dataclass(frozen=True)
class Call:
    """One request: what is asked of whom."""

    service: str
    operation: str
    region: str | None
    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def name(self) -> str:
        return f"{self.service}.{self.operation}"

    def json(self) -> Any:
        """The body of a JSON protocol's request."""
        try:
            return json.loads(self.body or b"{}")
        except ValueError as error:
            raise AwsError("SerializationException", "The request body is not valid JSON.") from error

    def form(self) -> dict[str, str]:
        """The body of a query protocol's request."""
        return {name: values[-1] for name, values in parse_qs(self.body.decode(), keep_blank_values=True).items()}


def identify(method: str, path: str, query_string: str, headers: Mapping[str, str], body: bytes) -> Call:
    """The call that a request makes."""
    query = {name: values[-1] for name, values in parse_qs(query_string, keep_blank_values=True).items()}
    service, region = _scope(headers.get("authorization", ""), query)
    target = headers.get("x-amz-target", "")
    if "." in target:
        prefix, _, operation = target.rpartition(".")
        service = _TARGETS.get(prefix, service)
    elif cbor := re.fullmatch(r"/service/(\w+)/operation/(\w+)", path):
        service, operation = _TARGETS.get(cbor[1], service), cbor[2]
    elif headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        operation = parse_qs(body.decode(errors="replace")).get("Action", ["Unknown"])[-1]
    else:
        service = service or "s3"
        operation = rest_operation(service, method, path, query, headers)
    return Call(service or "unknown", operation, region, method, path, query_string, headers, body)


def _scope(authorization: str, query: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Service and region a request was signed for, in its header or, presigned, in its query."""
    found = re.search(r"Credential=[^/,]*/\d+/([^/]+)/([^/]+)/aws4_request", authorization)
    if found is None:
        found = re.search(r"/\d+/([^/]+)/([^/]+)/aws4_request", query.get("X-Amz-Credential", ""))
    if found is None:
        return None, None
    return _SIGNING_NAMES.get(found[2], found[2]), found[1]


@dataclass(frozen=True)
class _Route:
    name: str
    method: str
    path: re.Pattern[str]
    query: tuple[tuple[str, str | None], ...]
    headers: tuple[str, ...]
    literal: int


def rest_operation(service: str, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """The operation of a REST service by its model's URIs, the most specific that fits; else the HTTP method."""
    best: tuple[tuple[int, int, int], str] | None = None
    for route in _routes(service):
        if route.method != method or route.path.fullmatch(unquote(path)) is None:
            continue
        if not all(key in query and (value is None or query[key] == value) for key, value in route.query):
            continue
        if not all(name in headers for name in route.headers):
            continue
        score = (len(route.query), len(route.headers), route.literal)
        if best is None or score > best[0]:
            best = (score, route.name)
    return method if best is None else best[1]


@functools.cache
def _routes(service: str) -> tuple[_Route, ...]:
    try:
        model = service_model(service)
    except UnknownServiceError:
        return ()
    routes = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        if "requestUri" not in http:
            continue
        uri, _, query = http["requestUri"].partition("?")
        members = getattr(model.operation_model(name).input_shape, "members", {})
        required = getattr(model.operation_model(name).input_shape, "required_members", [])
        pairs = [tuple(part.split("=", 1)) if "=" in part else (part, None) for part in query.split("&") if part]
        # a member that must travel in the query or a header tells operations on one URI apart
        located = {member: members[member].serialization for member in required}
        pairs += [(at["name"], None) for at in located.values() if at.get("location") == "querystring"]
        named = [at["name"].lower() for at in located.values() if at.get("location") == "header"]
        parts = re.split(r"(\{[^}]+\})", uri)
        pattern = "".join(
            re.escape(part) if not part.startswith("{") else ("/*.+" if part.endswith("+}") else "[^/]+")
            for part in parts
        )
        literal = sum(len(part) for part in parts if not part.startswith("{"))
        routes.append(
            _Route(name, http["method"], re.compile(pattern + "/?", re.DOTALL), tuple(pairs), tuple(named), literal)
        )
    return tuple(routes)
