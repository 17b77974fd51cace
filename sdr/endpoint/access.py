"""A request and its answer as a line of the access log: combined, or JSON; pure."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from sdr.endpoint.scrubbing import trimmed
from sdr.endpoint.timestamps import bracketed, rfc3339


@dataclass(frozen=True, slots=True)
class Access:
    """A request and its answer; text that came from the client is its bytes read as Latin-1.

    :param at: when it was answered, in seconds since 1970.
    :param target: as received; what follows its question mark is not logged.
    :param code: the answer's status.
    :param sent: bytes of the answer's body.
    :param seconds: from the request to the end of its answer.
    :param route: the kind of request.
    :param cdn: the host that a redirect leads to, or empty.
    """

    at: float
    request_id: str
    peer: str
    method: str
    target: str
    protocol: str
    code: int
    sent: int
    seconds: float
    route: str
    cdn: str = ""
    referer: str = ""
    user_agent: str = ""


#: Returns a line, without its end.
Form = Callable[[Access], str]


def combined_line(access: Access) -> str:
    """Return a line in the combined format of Apache and nginx."""
    return (
        f"{normalised(access.peer)} - - {bracketed(int(access.at))} "
        f'"{_quoted(access.method)} {_quoted(trimmed(access.target))} {_quoted(access.protocol)}" '
        f'{access.code} {access.sent or "-"} "{_quoted(trimmed(access.referer)) or "-"}" '
        f'"{_quoted(access.user_agent) or "-"}"'
    )


def json_access_line(access: Access) -> str:
    """Return a line of JSON; what there is not is left out."""
    line: dict[str, object] = {
        "time": rfc3339(access.at),
        "request_id": access.request_id,
        "peer": normalised(access.peer),
        "method": access.method,
        "path": trimmed(access.target),
        "protocol": access.protocol,
        "route": access.route,
        "code": access.code,
        "seconds": round(access.seconds, 6),
        "bytes": access.sent,
    }
    if access.cdn:
        line["cdn"] = access.cdn
    if access.referer:
        line["referer"] = trimmed(access.referer)
    if access.user_agent:
        line["user_agent"] = access.user_agent
    return _encode(line)


#: By the values of ``--access-log-format``.
FORMS: dict[str, Form] = {"combined": combined_line, "json": json_access_line}

# ASCII only: what a client sends as bytes must not make a line that is no UTF-8, or moves a terminal's cursor.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def normalised(peer: str) -> str:
    """Return an address as people write it: an IPv4 one in IPv6's clothes as IPv4."""
    return peer.removeprefix("::ffff:") or "-"


def _quoted(text: str) -> str:
    """Escape what could end the quotation or the line, as nginx does."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02X}"
        for byte in text.encode("latin-1", "replace")
    )
