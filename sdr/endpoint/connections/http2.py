"""HTTP/2, and the choice between it and HTTP/1.1 once a TLS handshake has agreed on one (RFC 7301)."""

from collections.abc import Callable
from typing import Any, cast

from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame
from twisted.internet.interfaces import IHandshakeListener, IProtocol, IReactorTime, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.web._http2 import H2Connection
from zope.interface import implementer

from sdr.endpoint.connections.connections import Connections

_H2 = b"h2"


class H2Channel(H2Connection):
    """One HTTP/2 connection, by Twisted, which ends when it is asked to, or has had its share of requests.

    :param connections: knows the limits, and all connections.
    """

    # Twisted logs two lines for each idle client that it closes: on a busy endpoint that is the disk.
    _log = Logger(observer=LogPublisher())

    def __init__(self, connections: Connections, clock: IReactorTime) -> None:
        super().__init__(clock)
        self._connections = connections
        self._begun = 0
        self._draining = False

    def connectionMade(self) -> None:
        """Begin; until the first request it waits."""
        super().connectionMade()
        self._connections.serves(self)
        self._connections.waits(self)

    def drain(self) -> None:
        """Tell the client to ask for nothing more, and end after the answers under way (RFC 9113, section 6.8)."""
        if self._draining:
            return
        self._draining = True
        # By hand: h2 takes a GOAWAY of its own for the end of all answers, too.
        goaway = GoAwayFrame(0, last_stream_id=self.conn.highest_inbound_stream_id)
        cast(ITransport, self.transport).write(goaway.serialize())
        if not self.streams:
            self._close()

    # Twisted has no other place that knows when a request begins and ends.

    def _requestReceived(self, event: Any) -> None:
        if self._draining:
            # The client was told, or is being told: it may ask again elsewhere.
            self.conn.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            return
        self._begun += 1
        self._connections.works(self)
        super()._requestReceived(event)
        if self._begun >= self._connections.limits.requests:
            self.drain()

    def _requestDataReceived(self, event: Any) -> None:
        if event.stream_id in self.streams:
            super()._requestDataReceived(event)

    def _requestEnded(self, event: Any) -> None:
        if event.stream_id in self.streams:
            super()._requestEnded(event)

    def _requestAborted(self, event: Any) -> None:
        if event.stream_id in self.streams:
            super()._requestAborted(event)

    def _requestDone(self, streamID: int) -> None:
        super()._requestDone(streamID)
        if not self.streams:
            self._connections.waits(self)
            if self._draining:
                self._close()

    def _close(self) -> None:
        # A client that does not say goodbye in TLS would stay for ever.
        if self._abortingCall is None:
            self._abortingCall = self.callLater(self.abortTimeout, self.forceAbortClient)
        cast(ITransport, self.transport).loseConnection()

    def connectionLost(self, reason: Failure = connectionDone, _cancelTimeouts: bool = True) -> None:
        """Forget the connection."""
        super().connectionLost(reason, _cancelTimeouts)
        self._connections.served(self)


@implementer(IProtocol, IHandshakeListener)
class ByALPN(Protocol):
    """Becomes what the handshake has agreed on.

    :param http1: builds what speaks HTTP/1.1.
    :param http2: builds what speaks HTTP/2.
    """

    def __init__(self, http1: Callable[[], IProtocol], http2: Callable[[], IProtocol]) -> None:
        self._http1 = http1
        self._http2 = http2
        self._inside: IProtocol | None = None

    def handshakeCompleted(self) -> None:
        """Build it; before the handshake there is nothing to be said, and its deadline is another's affair."""
        transport = cast(Any, self.transport)
        speaks_h2 = transport.negotiatedProtocol == _H2
        self._inside = inside = self._http2() if speaks_h2 else self._http1()
        inside.makeConnection(transport)
        if speaks_h2:
            transport.registerProducer(inside, True)

    def dataReceived(self, data: bytes) -> None:
        """Pass on what the client says."""
        if self._inside is not None:
            self._inside.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass on that it is over."""
        inside, self._inside = self._inside, None
        if inside is not None:
            inside.connectionLost(reason)


def h2_channel(connections: Connections, clock: IReactorTime, site: Any) -> IProtocol:
    """Build a connection that speaks HTTP/2 for a site."""
    channel: Any = H2Channel(connections, clock)
    channel.factory = channel.site = site
    channel.requestFactory = site.requestFactory
    channel.timeOut = connections.limits.idle_seconds
    channel.callLater = clock.callLater
    return cast(IProtocol, channel)
