"""The beginning of a TLS connection: its deadline, how it ended, and HTTP that was spoken in the clear."""

from collections.abc import Callable
from typing import Any, cast

from OpenSSL import SSL
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    ITransport,
)
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from sdr.endpoint.tls.interface import Handshake, Outcome

#: A handshake must be over within this many seconds.
HANDSHAKE_SECONDS = 10.0

_PLAIN = b"This port speaks TLS: the URL begins with https://\n"
_PLAIN_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nServer: sdr\r\nContent-Type: text/plain\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(_PLAIN), _PLAIN)
)

#: What OpenSSL says, by parts of it; the first that fits.
_OUTCOMES = (
    ("alert unknown ca", Outcome.CERTIFICATE),
    ("alert bad certificate", Outcome.CERTIFICATE),
    ("alert certificate", Outcome.CERTIFICATE),
    ("alert unsupported certificate", Outcome.CERTIFICATE),
    ("alert", Outcome.ALERT),
    ("no application protocol", Outcome.PROTOCOL),
    ("unsupported protocol", Outcome.VERSION),
    ("version too low", Outcome.VERSION),
    ("no shared", Outcome.CIPHER),
    ("no suitable", Outcome.CIPHER),
    ("wrong version number", Outcome.NOT_TLS),
    ("packet length too long", Outcome.NOT_TLS),
    ("record layer failure", Outcome.NOT_TLS),
    ("unknown protocol", Outcome.NOT_TLS),
    ("unexpected message", Outcome.NOT_TLS),
    ("bad record type", Outcome.NOT_TLS),
)


def outcome_of(reason: BaseException | None) -> Outcome:
    """Return how a handshake ended that was cut off for this reason."""
    if not isinstance(reason, SSL.Error):
        return Outcome.LEFT
    said = str(reason.args).lower()
    return next((outcome for text, outcome in _OUTCOMES if text in said), Outcome.OTHER)


@implementer(IProtocol, IHandshakeListener)
class Watched:
    """Stands between TLS and the protocol inside until the handshake is over, and sees how it ends.

    :param inside: gets the TLS transport itself.
    """

    def __init__(self, inside: IProtocol, factory: "TLSFactory") -> None:
        self._inside = inside
        self._factory = factory
        self._began = factory.clock.seconds()
        self._deadline: IDelayedCall | None = None
        self._transport: Any = None
        self._outcome = Outcome.SILENT

    def makeConnection(self, transport: ITransport) -> None:
        """Start the clock."""
        self._transport = transport
        self._deadline = self._factory.clock.callLater(self._factory.seconds, self._too_late)
        self._inside.makeConnection(transport)

    def connectionMade(self) -> None:
        """Do nothing: the protocol inside has been told."""

    def dataReceived(self, data: bytes) -> None:
        """Pass on what was inside."""
        self._inside.dataReceived(data)

    def handshakeCompleted(self) -> None:
        """Stop the clock."""
        self._end(Outcome.DONE, self._transport.getHandle().get_protocol_version_name())
        if IHandshakeListener.providedBy(self._inside):
            cast(IHandshakeListener, self._inside).handshakeCompleted()

    def connectionLost(self, reason: Failure) -> None:
        """Say how it ended, if that was before the handshake did."""
        cut_off = outcome_of(reason.value)
        if self._outcome is Outcome.LEFT and cut_off is not Outcome.LEFT:
            self._outcome = cut_off
        self._end(self._outcome)
        self._inside.connectionLost(reason)

    def began(self) -> None:
        """Note that the client has said something."""
        if self._outcome is Outcome.SILENT:
            self._outcome = Outcome.LEFT

    def plain_http(self) -> None:
        """Note what the client has said."""
        self._end(Outcome.PLAIN_HTTP)

    def _too_late(self) -> None:
        self._end(Outcome.TIMEOUT)
        self._transport.abortConnection()

    def _end(self, outcome: Outcome, version: str = "") -> None:
        if self._deadline is None:
            return
        if self._deadline.active():
            self._deadline.cancel()
        self._deadline = None
        clock = self._factory.clock
        self._factory.on_handshake(Handshake(outcome, version, clock.seconds() - self._began))


class TLSOrPlain(BufferingTLSTransport):
    """TLS, and an answer for those who speak HTTP in the clear to it."""

    _opened = False
    _plain = False

    def dataReceived(self, bytes: bytes) -> None:
        """Look at the first byte: TLS begins with another one than any method (RFC 8446, section 5.1)."""
        if not self._opened:
            self._opened = True
            watched = cast(Watched, self.wrappedProtocol)
            watched.began()
            if b"A" <= bytes[:1] <= b"Z":
                self._plain = True
                watched.plain_http()
                transport = cast(ITransport, self.transport)
                transport.write(_PLAIN_ANSWER)
                transport.loseConnection()
        if not self._plain:
            super().dataReceived(bytes)


class TLSFactory(TLSMemoryBIOFactory):
    """Puts TLS around what another factory builds.

    :param creator: begins a connection's TLS.
    :param clock: for the deadline of handshakes.
    :param on_handshake: is told of the end of each.
    """

    protocol = TLSOrPlain

    def __init__(
        self,
        creator: IOpenSSLServerConnectionCreator,
        inside: IProtocolFactory,
        clock: IReactorTime,
        on_handshake: Callable[[Handshake], None],
        seconds: float,
    ) -> None:
        super().__init__(creator, False, inside, clock)
        self.clock = clock
        self.on_handshake = on_handshake
        self.seconds = seconds

    def buildProtocol(self, address: IAddress | None) -> TLSOrPlain | None:  # type: ignore[override]
        """Build both, unless the other factory wants no connection."""
        inside = self.wrappedFactory.buildProtocol(address)
        return None if inside is None else self.protocol(self, Watched(inside, self))
