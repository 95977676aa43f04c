"""Pages that hold less than was asked for."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from cloudtune.sandbox.calls import Call
from cloudtune.sandbox.faults.faults import Faults

_LISTINGS = {
    "ListObjects": "max-keys",
    "ListObjectsV2": "max-keys",
    "ListObjectVersions": "max-keys",
    "ListMultipartUploads": "max-uploads",
}
SMALL_PAGE = "small-page"


def smaller_listing(call: Call, faults: Faults) -> str:
    """The query string of ``call``: of a listing of objects, one that asks for no more than a page of the plan."""
    size = faults.plan.pages.objects
    if size is None or call.service != "s3" or call.operation not in _LISTINGS:
        return call.query_string
    name = _LISTINGS[call.operation]
    query = dict(parse_qsl(call.query_string, keep_blank_values=True))
    asked = query.get(name, "1000")
    if asked.isdigit() and int(asked) <= size:
        return call.query_string
    faults.injected.note(SMALL_PAGE)
    return urlencode({**query, name: str(size)})
