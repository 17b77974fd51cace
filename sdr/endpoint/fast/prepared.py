"""An answer as the bytes that Twisted Web would send, but for the date and the request's id."""

import secrets
from dataclasses import dataclass

from twisted.web.http import RESPONSES
from twisted.web.http_headers import Headers

from sdr.endpoint.admin.routes import host_of
from sdr.endpoint.answer import Answer
from sdr.endpoint.request_ids import identified

#: Stands where the id of a request will. It is as long as an id, and nobody can have an answer quote it.
_ID = secrets.token_hex(8)

#: Bytes of a body that is large.
LARGE = 64 * 1024

_BEFORE = b"Server: sdr\r\nDate: "
_LAST = b"Connection: close\r\n" + _BEFORE


@dataclass(frozen=True, slots=True)
class Prepared:
    """A response, ready but for its date and its request's id.

    :param status: the first line.
    :param after: what follows the date, cut where the id stands.
    :param rest: a large body, which is not to be copied; else it is in what follows.
    :param route: the kind of question.
    :param code: the status.
    :param sent: bytes of the body.
    :param cdn: the host that a redirect leads to, or empty.
    """

    status: bytes
    after: tuple[bytes, ...]
    rest: bytes
    route: str
    method: str
    code: int
    sent: int
    cdn: str

    def filled(self, date: bytes, request_id: bytes, *, last: bool) -> bytes:
        """Return the response, but for the rest.

        :param request_id: of 16 digits.
        :param last: tell the client that no other will follow.
        """
        before = _LAST if last else _BEFORE
        return b"%b%b%b%b" % (self.status, before, date, request_id.join(self.after))

    @property
    def weight(self) -> int:
        """Its bytes, but for the rest."""
        return len(self.status) + sum(map(len, self.after))


def prepare(got: Answer, method: str, route: str) -> Prepared:
    """Prepare an answer, as :func:`sdr.endpoint.web.write` would have Twisted Web write it."""
    got = identified(got, _ID)
    headers = Headers()
    for name, value in got.headers:
        headers.setRawHeaders(name, [value])
    lines = [b"%b: %b\r\n" % (name, value) for name, values in headers.getAllRawHeaders() for value in values]
    body = b"" if method == "HEAD" else got.body
    # An error has the id of its request in its body.
    short, rest = (b"", body) if len(body) > LARGE and got.status == 200 else (body, b"")
    after = b"\r\n%b\r\n%b" % (b"".join(lines), short)
    return Prepared(
        status=b"HTTP/1.1 %d %b\r\n" % (got.status, RESPONSES[got.status]),
        after=tuple(after.split(_ID.encode())),
        rest=rest,
        route=route,
        method=method,
        code=got.status,
        sent=len(body),
        cdn=host_of(got.header("Location")),
    )
