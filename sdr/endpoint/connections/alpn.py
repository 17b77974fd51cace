"""The choice between HTTP/1.1 and HTTP/2 once a TLS handshake has agreed on one (RFC 7301)."""

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.interfaces import IHandshakeListener, IProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from sdr.endpoint.connections.connections import Connections

_H2 = b"h2"


@implementer(IProtocol, IHandshakeListener)
class ByALPN(Protocol):
    """Becomes what the handshake has agreed on.

    :param connections: all connections; in a handshake this is what ends them.
    :param http1: builds what speaks HTTP/1.1.
    :param http2: builds what speaks HTTP/2.
    """

    def __init__(
        self, connections: Connections, http1: Callable[[], IProtocol], http2: Callable[[], IProtocol]
    ) -> None:
        self._connections = connections
        self._http1 = http1
        self._http2 = http2
        self._inside: IProtocol | None = None

    def connectionMade(self) -> None:
        """Wait for the handshake."""
        self._connections.serves(self)

    def drain(self) -> None:
        """End: nothing was asked yet."""
        cast(Any, self.transport).abortConnection()

    def handshakeCompleted(self) -> None:
        """Build it; before the handshake there is nothing to be said, and its deadline is another's affair."""
        self._connections.served(self)
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
        self._connections.served(self)
        inside, self._inside = self._inside, None
        if inside is not None:
            inside.connectionLost(reason)
