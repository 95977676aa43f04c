"""AWS clients that reach a sandbox in their own process: botocore as ever, but no socket."""

from __future__ import annotations

import io
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from urllib3 import HTTPResponse

from cloudtune.sandbox.address import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from cloudtune.sandbox.aws_error import ConnectionLostError
from cloudtune.sandbox.unconfigured import client_session
from cloudtune.sandbox.wsgi import Wsgi, drained


def in_process_session(application: Wsgi, region: str) -> boto3.Session:
    """A session whose clients are answered by ``application``. Their requests go nowhere else, whatever the user's
    environment says.
    """
    core = client_session()
    core.set_default_client_config(
        Config(
            # an address in AWS_ENDPOINT_URL would only confuse: nothing is looked up
            ignore_configured_endpoint_urls=True,
            proxies={},
            s3={"addressing_style": "path"},
        )
    )
    core.register("before-send", _Answering(application))
    return boto3.Session(
        botocore_session=core,
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
        region_name=region,
    )


class _Answering:
    """Takes the place of the network: what a ``before-send`` handler returns is the answer."""

    def __init__(self, application: Wsgi) -> None:
        self._application = application

    def __call__(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        begun: list[tuple[Any, ...]] = []
        try:
            body = drained(self._application(_environ(request), lambda *start: begun.append(start)))
        except ConnectionLostError as lost:
            if lost.timed_out:
                raise ReadTimeoutError(endpoint_url=request.url, error=lost) from lost
            raise ConnectionClosedError(endpoint_url=request.url, error=lost) from lost
        # every server says when it answered
        status, headers = begun[0][0], {**dict(begun[0][1]), "Date": formatdate(usegmt=True)}
        raw = HTTPResponse(
            body=io.BytesIO(body),
            headers=headers,
            status=int(status.split()[0]),
            preload_content=False,
            request_method=request.method,
        )
        return AWSResponse(request.url, raw.status, raw.headers, raw)


def _environ(request: AWSPreparedRequest) -> dict[str, Any]:
    """What a WSGI server would make of ``request``."""
    url = urlsplit(request.url)
    body = _bytes_of(request.body)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        # WSGI carries bytes in strings
        "PATH_INFO": unquote(url.path or "/", encoding="latin-1"),
        "QUERY_STRING": url.query,
        "RAW_URI": url.path + (f"?{url.query}" if url.query else ""),
        "SERVER_NAME": url.hostname or "",
        "SERVER_PORT": str(url.port or (443 if url.scheme == "https" else 80)),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": url.netloc,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "CONTENT_LENGTH": str(len(body)),
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if key == "CONTENT_TYPE":
            environ[key] = text
        # the body is whole by now
        elif key not in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):
            environ[f"HTTP_{key}"] = text
    return environ


def _bytes_of(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    return bytes(body.read() if hasattr(body, "read") else body)
