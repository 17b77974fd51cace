"""The id of a request: in the access log, in the answer's header, and in the detail of an error."""

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence

from sdr.endpoint.answer import Answer
from sdr.registry.errors import NAME_UNKNOWN

HEADER = "X-Request-Id"

#: Bytes of an id, and how many ids are made at a time: asking the system for each would cost more than the rest.
_BYTES, _AT_ONCE = 8, 512

_ACCEPTED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:=+/@-]{0,127}")


def request_ids(random: Callable[[int], bytes] = os.urandom) -> Iterator[str]:
    """Make ids without end: 16 hexadecimal digits each, which tell nothing about the others."""
    while True:
        drawn = random(_BYTES * _AT_ONCE).hex()
        for at in range(0, len(drawn), 2 * _BYTES):
            yield drawn[at : at + 2 * _BYTES]


def accepted(values: Sequence[str]) -> str | None:
    """Return the id that a trusted proxy gave a request, if it can be used: one value, short, of harmless characters.

    :param values: all of the request's ``X-Request-Id``.
    """
    return values[0] if len(values) == 1 and _ACCEPTED.fullmatch(values[0]) else None


def identified(got: Answer, request_id: str) -> Answer:
    """Return an answer with the id of its request: a header, and a member of the detail of the specification's errors.

    ``NAME_UNKNOWN`` stays without a detail: dockers 1.8 to 17.05 decide by it whether to try protocol v1. A
    detail that is a text becomes the member ``message``. The body must be there for HEAD, too: its length is told.
    """
    if not request_id:
        return got
    body = _with_detail(got.body, request_id) if got.status >= 400 else got.body
    headers = got.headers
    if body is not got.body:
        headers = tuple(
            (name, str(len(body)) if name.lower() == "content-length" else value) for name, value in headers
        )
    return Answer(got.status, (*headers, (HEADER, request_id)), body)


def _with_detail(body: bytes, request_id: str) -> bytes:
    # Protocol v1 has {"error": "…"}, and nowhere to put it.
    if not body.startswith(b'{"errors":'):
        return body
    document = json.loads(body)
    for error in document["errors"]:
        if error["code"] != NAME_UNKNOWN.code:
            error["detail"] = {**_members(error.get("detail")), "requestId": request_id}
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _members(detail: object) -> dict[str, object]:
    if isinstance(detail, dict):
        return detail
    return {} if detail is None else {"message": detail}
