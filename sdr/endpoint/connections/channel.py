"""One HTTP/1.1 connection: strict, in order, and ended when it takes too long."""

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.interfaces import IDelayedCall, IPushProducer, ITCPTransport, ITransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request

from sdr.endpoint.connections.body import BadBody, Chunked, Sized
from sdr.endpoint.connections.connections import FIRST_REQUEST_SECONDS, Connections
from sdr.endpoint.connections.eager import at_once
from sdr.endpoint.connections.strict import BAD, Head, Refusal, read_head, refuse_early

#: Requests of one connection that are answered before others have their turn.
AT_A_TURN = 16

_TOO_LARGE = Refusal(b"413 Content Too Large", "large body")
_TOO_SLOW = Refusal(b"408 Request Timeout", "slow request")
_BAD_BODY = Refusal(BAD, "framing")


class Channel(HTTPChannel):
    """A connection on which one request after another is checked, handed to Twisted's parser, and answered.

    The bytes of a request are only handed on once its head is good, and those of the next one only after its answer:
    what is behind the end of a request can confuse nothing.

    :param connections: knows the limits, and all connections.
    """

    # Twisted logs a line for each idle client that it closes: on a busy endpoint that is the disk.
    _log = Logger(observer=LogPublisher())

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        limits = self._limits = connections.limits
        # What the head's check lets pass, the parser behind it does too.
        self.maxHeaders, self.totalHeadersSize, self.MAX_LENGTH = limits.headers, limits.head_bytes, limits.head_bytes
        self._connections = connections
        self._unread = bytearray()
        self._seen = 0  # bytes of it that are no whole head
        self._blank = False
        self._head: Head | None = None
        self._body: Sized | Chunked | None = None
        self._body_bytes = 0
        self._answered = 0
        self._receiving = self._answering = self._full = self._over = self._draining = self._reading = False
        self._held_back = False
        self._turn: IDelayedCall | None = None
        self._closing: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Wait for the first request, for as long as it may take to come."""
        # At once, for Twisted looks through all clocks there are to turn one back.
        channel: Any = self
        idle, channel.timeOut = self.timeOut, self._limits.request_seconds
        super().connectionMade()
        channel.timeOut = idle
        self._write_at_once = at_once(self.transport)
        self._connections.serves(self)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes of this request, or of those after it."""
        if not self._over:
            self._unread += data
            self._read()

    def _read(self) -> None:
        if self._reading:
            return  # an answer that is given at once: the loop below goes on
        self._reading = True
        try:
            self._read_on(self._answered + AT_A_TURN)
        finally:
            self._reading = False
        if len(self._unread) > self._limits.head_bytes and not self._over:
            # It is resumed by Twisted's channel after an answer, and once the client reads.
            producer = IPushProducer(self.transport, None)
            if producer is not None:
                self._held_back = True
                producer.pauseProducing()

    def _read_on(self, turn_ends: int) -> None:
        while self._unread and not (self._over or self._answering or self._full or self._turn):
            if self._answered >= turn_ends:
                self._turn = self._call_later(0, self._next_turn)
            elif not (self._read_head() if self._body is None else self._read_body(self._body)):
                break

    def _next_turn(self) -> None:
        self._turn = None
        self._read()

    def _read_head(self) -> bool:
        """Check the next head and hand it on; tell whether there was a whole one."""
        unread = self._unread
        if not (self._receiving or self._blank) and b"\r\n".startswith(unread[:2]):
            # RFC 9112, section 2.2: old clients end a body with a line's end that is not part of it.
            if len(unread) < 2:
                return False
            self._blank = True
            del unread[:2]
            return True
        if not self._receiving:
            self._receiving, self._seen = True, 0
            self._connections.works(self)
            self.setTimeout(self._limits.request_seconds)
        end = unread.find(b"\r\n\r\n", max(0, self._seen - 3), self._limits.head_bytes)
        if end < 0:
            refusal = refuse_early(unread, self._seen, self._limits)
            self._seen = len(unread)
            if refusal is not None:
                self._refuse(refusal)
            return False
        head = bytes(unread[: end + 4])
        del unread[: end + 4]
        if self._answer(head):
            return True
        found = read_head(head, self._limits)
        if isinstance(found, Refusal):
            self._refuse(found)
        elif found.length is not None and found.length > self._limits.body_bytes:
            self._refuse(_TOO_LARGE)
        else:
            self._head, self._body_bytes = found, 0
            self._body = Chunked() if found.length is None else Sized(found.length) if found.length else None
            super().dataReceived(head)
        return True

    def _answer(self, head: bytes) -> bool:
        """Answer a request in another way than Twisted's, and tell whether that is done; there is none here."""
        return False

    def _answer_later(self) -> None:
        """Take a request as received, for :meth:`_answer_with` to end: no clock runs meanwhile."""
        self._receiving, self._answering = False, True
        self._connections.works(self)
        self.setTimeout(None)

    def _answer_with(self, response: bytes, rest: bytes, *, last: bool) -> None:
        """Write an answer in two parts, and be ready for the next request, or end; the clock that runs goes on."""
        self._answered += 1
        self._blank = False
        if self._receiving:
            self._receiving = False
            self._connections.waits(self)
        if self._held_back:
            self._held_back = False
            if not self._full:
                self._networkProducer.resumeProducing()
        self._write_at_once(response)
        if rest:
            cast(ITransport, self.transport).write(rest)
        if self._full:
            self._connections.works(self)  # it does not wait before its answer has left
        if last:
            self.loseConnection()

    def _read_body(self, body: Sized | Chunked) -> bool:
        """Hand on what belongs to the body; tell whether anything did."""
        try:
            taken = body.take(self._unread)
        except BadBody:
            self._refuse(_BAD_BODY)
            return False
        self._body_bytes += taken
        # The sizes of chunks count too: a byte in each would be a body of any length.
        if self._body_bytes > 2 * self._limits.body_bytes + self._limits.head_bytes:
            self._refuse(_TOO_LARGE)
            return False
        data = bytes(self._unread[:taken])
        del self._unread[:taken]
        if body.done:
            self._body = None
        if data:
            super().dataReceived(data)
        return bool(data)

    def resetTimeout(self) -> None:
        """Leave the clock as it is: a byte now and then must not hold a connection."""

    def allHeadersReceived(self) -> None:
        """Invite nobody to send what does not come."""
        if self._body is None:
            self.requests[-1].requestHeaders.removeHeader("expect")
        super().allHeadersReceived()

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """Tell whether another request may follow, and tell the client if none may."""
        last = self._head is None or self._head.last
        if not last and not self._draining and self._answered + 1 < self._limits.requests:
            return True
        if version == b"HTTP/1.1":
            request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return False

    def allContentReceived(self) -> None:
        """Stop the clock while the request is being answered."""
        self._receiving, self._answering, self._blank = False, True, False
        super().allContentReceived()

    def requestDone(self, request: Request) -> None:
        """Be ready for the next request."""
        self._answered += 1
        super().requestDone(request)
        self._is_answered()

    def _is_answered(self) -> None:
        """Go on after an answer that did not come at once."""
        self._answering = False
        if not self._over:
            if self._full:
                self.setTimeout(None)  # until the answer has left, which is another's clock
            else:
                self._wait()
            self._read()

    def _wait(self) -> None:
        """Wait for the next request."""
        self.setTimeout(self._limits.idle_seconds)
        self._connections.waits(self)

    def pauseProducing(self) -> None:
        """Answer nothing more before the client has read what was written."""
        self._full = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        """Go on: the client has read."""
        self._full = False
        if not self._over:
            super().resumeProducing()
            if self._answered and not (self._answering or self._receiving):
                self._wait()
            self._read()

    def drain(self) -> None:
        """End now if no request is under way, and after its answer elsewhere; a new client may make its request yet."""
        self._draining = True
        if self._answering:
            self.persistent = 0
            for request in self.requests:
                request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        elif not (self._answered or self._receiving or self._over):
            # It may be on its way, and no client asks again what the first request of a connection did not get.
            self.setTimeout(min(FIRST_REQUEST_SECONDS, self._limits.request_seconds))
        elif not self._receiving and not self._over:
            # An answer may not have left whole.
            self._close(self._limits.write_seconds if self._full else self.abortTimeout)

    def timeoutConnection(self) -> None:
        """End a request that takes too long to come, or a connection without one."""
        if self._receiving:
            self._refuse(_TOO_SLOW)
        elif not self._full:
            self._close(self.abortTimeout)

    def loseConnection(self) -> None:
        """End once what was written has left, or too much time has passed."""
        if not self._over:
            self._close(self._limits.write_seconds)

    def _close(self, seconds: float) -> None:
        self._over = True
        self._unread.clear()
        self._connections.works(self)
        self.setTimeout(None)
        # Without it a client that reads nothing, or does not say goodbye in TLS, would stay for ever.
        self._closing = self._call_later(seconds, self._abort)
        super().loseConnection()

    def _abort(self) -> None:
        self._closing = None
        cast(ITCPTransport, self.transport).abortConnection()

    def _refuse(self, refusal: Refusal) -> None:
        self._connections.refused(refusal.reason)
        cast(ITransport, self.transport).write(
            b"HTTP/1.1 %b\r\nServer: sdr\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % refusal.status
        )
        self.loseConnection()

    def _call_later(self, seconds: float, call: Callable[[], None]) -> IDelayedCall:
        # TimeoutMixin's seam for clocks, which the site fills.
        return cast(IDelayedCall, cast(Any, self.callLater)(seconds, call))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget the connection, and what was under way on it."""
        self._over = True
        self._unread.clear()
        for call in (self._closing, self._turn):
            if call is not None:
                call.cancel()
        self._closing = self._turn = None
        self._connections.served(self)
        super().connectionLost(reason)
