"""The head of an HTTP/2 request, checked as that of HTTP/1.1 that it would be; pure."""

import re
from collections.abc import Sequence

from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.connections.strict import BAD, Refusal, read_head

Field = tuple[bytes, bytes]

#: What would end a line of HTTP/1.1.
_BREAKS = re.compile(rb"[\r\n\0]")


def read_fields(fields: Sequence[Field], limits: Limits) -> list[Field] | Refusal:
    """Check a head; return its fields with one name of the host.

    :param fields: names in lower case, those that begin with a colon first, as h2 has checked.
    """
    if any(_BREAKS.search(name) or _BREAKS.search(value) for name, value in fields):
        return Refusal(BAD, "malformed")
    pseudo = {name: value for name, value in fields if name.startswith(b":")}
    authority = pseudo.get(b":authority")
    # The same once more is no second opinion.
    rest = [field for field in fields if authority is None or field != (b"host", authority)]
    lines = [b"%b %b HTTP/1.1" % (pseudo.get(b":method", b""), pseudo.get(b":path", b""))]
    if authority is not None:
        lines.append(b"Host: " + authority)
    lines.extend(b"%b: %b" % field for field in rest if not field[0].startswith(b":"))
    found = read_head(b"\r\n".join(lines) + b"\r\n\r\n", limits)
    if isinstance(found, Refusal):
        return found
    if found.length is not None and found.length > limits.body_bytes:
        return Refusal(BAD, "large body")
    return rest
