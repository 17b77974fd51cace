"""What is HTTP/1.1 and what only looks like it: the head of a request, checked as bytes before anything parses it.

RFC 9112 lets a server be lenient in places where two servers in a row then disagree about where a request ends. Here
each of those is refused.
"""

import re
from dataclasses import dataclass

from sdr.endpoint.connections.limits import Limits

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_LINE = re.compile(rb"(?P<method>%b{1,64}) (?P<target>[!-~]+) HTTP/(?P<version>[0-9]\.[0-9])" % _TOKEN)
_TARGET = re.compile(rb"/[!\"$-~]*")
# Possessive, so that no bytes make it slow.
_FIELDS = re.compile(rb"(?:%b++:[\t -~\x80-\xff]*+\r\n)*+" % _TOKEN)
_FRAMING = re.compile(
    rb"^(content-length|transfer-encoding|host|connection):[\t ]*+([^\r]*)\r$", re.IGNORECASE | re.MULTILINE
)
_LENGTH = re.compile(rb"[0-9]{1,18}")
_HOST = re.compile(rb"(?:[A-Za-z0-9._\-]*|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")
#: What a head has nowhere, however it goes on: half a line's end, and control characters.
_NOWHERE = re.compile(rb"\r(?!\n|\Z)|(?<!\r)\n|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BEGINNING = re.compile(_TOKEN)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused.

    :param status: the line that the client is answered with.
    :param reason: a word or two, always the same for the same reason.
    """

    status: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Head:
    """What a good head says about its connection.

    :param length: of the body; nothing if it is chunked.
    :param last: whether the client wants no answer after this one.
    """

    length: int | None
    last: bool


BAD = b"400 Bad Request"
TOO_LONG = b"414 URI Too Long"


def read_head(head: bytes, limits: Limits) -> Head | Refusal:
    """Check a whole head, its empty line included."""
    end = head.index(b"\r\n")
    if end > limits.line_bytes:
        return Refusal(TOO_LONG, "long line")
    line = _LINE.fullmatch(head, 0, end)
    if line is None or _NOWHERE.search(head):
        return Refusal(BAD, "malformed")
    if len(head) > limits.head_bytes or head.count(b"\r\n") - 2 > limits.headers:
        return Refusal(BAD, "large head")
    if line["version"] not in (b"1.1", b"1.0"):
        return Refusal(BAD, "version")
    if not _TARGET.fullmatch(line["target"]) and (line["method"], line["target"]) != (b"OPTIONS", b"*"):
        return Refusal(BAD, "target")
    if not _FIELDS.fullmatch(head, end + 2, len(head) - 2):
        return Refusal(BAD, "malformed")
    return _read_framing(_FRAMING.findall(head, end + 2), line["version"] == b"1.1")


def _read_framing(found: list[tuple[bytes, bytes]], is_1_1: bool) -> Head | Refusal:
    fields: dict[bytes, list[bytes]] = {}
    for name, value in found:
        fields.setdefault(name.lower(), []).append(value.rstrip(b" \t"))
    hosts = fields.get(b"host", [])
    if len(hosts) > 1 or (is_1_1 and not hosts) or not all(_HOST.fullmatch(host) for host in hosts):
        return Refusal(BAD, "host")
    lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
    if len(lengths) + len(codings) > 1 or not all(_LENGTH.fullmatch(length) for length in lengths):
        return Refusal(BAD, "framing")
    if codings and (codings[0].lower() != b"chunked" or not is_1_1):
        return Refusal(BAD, "framing")
    options = {option.strip(b" \t") for value in fields.get(b"connection", []) for option in value.lower().split(b",")}
    return Head(None if codings else int(lengths[0]) if lengths else 0, not is_1_1 or b"close" in options)


def refuse_early(part: bytes | bytearray, seen: int, limits: Limits) -> Refusal | None:
    """Tell whether what has come of a head can become none any more, so that nobody waits for its end.

    :param seen: how much of it was looked at before.
    """
    end = part.find(b"\r\n", 0, limits.line_bytes + 2)
    if end < 0 and len(part) > limits.line_bytes + 1:
        return Refusal(TOO_LONG, "long line") if _BEGINNING.match(part) else Refusal(BAD, "malformed")
    if len(part) >= limits.head_bytes:
        return Refusal(BAD, "large head")
    if not _BEGINNING.match(part) or _NOWHERE.search(part, max(0, seen - 1)):
        return Refusal(BAD, "malformed")
    if end >= 0 and seen < end + 2 and not _LINE.fullmatch(part, 0, end):
        return Refusal(BAD, "malformed")
    return None
