"""Which requests are plain: GET and HEAD below ``/v2``, with no body and nothing that is more than a question; pure.

Everything here is a subset of what :mod:`sdr.endpoint.connections.strict` lets pass.
"""

import re
from dataclasses import dataclass

from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.connections.strict import Head, read_head
from sdr.endpoint.fallback import heeded
from sdr.registry.questions import Question

#: Bytes from the end of the first line to that of the head. Longer ones are not remembered, so they are not plain.
LONGEST = 2048

_LINE = re.compile(rb"(GET|HEAD) (/v2(?:[/?][!\"$-~]*)?) HTTP/1\.1")
_FIELD = re.compile(rb"([^:\r\n]+):[\t ]*([^\r]*?)[\t ]*\r\n")

#: With one of these a request is more than a question, or has a secret, which is not to be remembered.
_MORE = frozenset(
    (
        *(b"content-length", b"transfer-encoding", b"trailer", b"te", b"expect", b"upgrade", b"http2-settings"),
        *(b"authorization", b"proxy-authorization", b"cookie"),
    )
)
#: With these a trusted proxy says whom a request is from.
_OF_PROXIES = frozenset((b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id"))


@dataclass(frozen=True, slots=True)
class Line:
    """The first line of a plain request.

    :param target: as received.
    """

    method: str
    target: str


@dataclass(frozen=True, slots=True)
class Fields:
    """What the headers of a plain request say.

    :param asked: all that an answer can depend on: ``Accept``, ``Host``, ``If-None-Match`` and, of old dockers,
        ``User-Agent``.
    :param last: whether the client wants no answer after this one.
    """

    asked: tuple[str, str, str, str]
    last: bool = False
    referer: str = ""
    user_agent: str = ""


def read_line(line: bytes, limits: Limits) -> Line | None:
    """Read a request's first line, without its end; nothing if it is not plain."""
    found = _LINE.fullmatch(line) if len(line) <= limits.line_bytes else None
    return None if found is None else Line(found[1].decode(), found[2].decode())


def read_fields(head: bytes, limits: Limits, *, heeds_proxies: bool) -> Fields | None:
    """Read the headers of a head whose first line is plain; nothing if they are not.

    They are the same for each head that differs in its first line only, as long as it is within the limits.

    :param heeds_proxies: whether what proxies say in headers is heeded.
    """
    end = head.index(b"\r\n")
    if len(head) - end > LONGEST or not head.isascii():
        return None
    said = read_head(head, limits)
    if not isinstance(said, Head) or said.length != 0:
        return None
    values: dict[bytes, list[str]] = {}
    for name, value in _FIELD.findall(head, end + 2):
        values.setdefault(name.lower(), []).append(value.decode())
    if not _MORE.isdisjoint(values) or (heeds_proxies and not _OF_PROXIES.isdisjoint(values)):
        return None
    if any(value.lower() not in ("keep-alive", "close") for value in values.get(b"connection", ())):
        return None
    accept, matching, agents = (",".join(values.get(name, ())) for name in (b"accept", b"if-none-match", b"user-agent"))
    asked = (accept, values[b"host"][0], matching, heeded(agents))
    return Fields(asked, said.last, values.get(b"referer", [""])[-1], values.get(b"user-agent", [""])[-1])


def question_of(line: Line, fields: Fields, scheme: str) -> Question:
    """Return what a plain request asks; whom it is from makes no difference."""
    path, _, query = line.target.partition("?")
    accept, host, if_none_match, user_agent = fields.asked
    return Question(line.method, path, query, accept, host, scheme, if_none_match, user_agent=user_agent)
