"""A TLS connection: the protocol of a transport outside, and the transport of a protocol inside."""

import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Protocol, cast

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IHandshakeListener,
    IProducer,
    IProtocol,
    IPushProducer,
    IReactorTime,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from sdr.endpoint.connections.eager import at_once
from sdr.endpoint.tls.contexts import Contexts
from sdr.endpoint.tls.handshakes import NO_PROTOCOL_ALERT, PLAIN_ANSWER, outcome_of
from sdr.endpoint.tls.hello import Hello, NoHello, read_hello
from sdr.endpoint.tls.interface import Handshake, Outcome
from sdr.endpoint.tls.outside import Outside

#: Bytes that are taken from the library at a time: a record has no more.
RECORD = 16384
#: Bytes that are held back, while the protocol inside reads, to be sent as one record.
TOGETHER = 4 * RECORD


class Shared(Protocol):
    """What connections have in common: :class:`sdr.endpoint.tls.factory.TLSFactory`."""

    clock: IReactorTime
    seconds: float
    on_handshake: Callable[[Handshake], None]

    def speaks_any(self, protocols: Iterable[bytes]) -> bool:
        """Tell whether one of these can be spoken inside."""
        ...


@implementer(IProtocol, ISSLTransport, ITCPTransport, IPushProducer, IConsumer)
class TLSConnection(Outside):
    """Speaks TLS with a client, for a protocol that is told nothing of it.

    The protocol inside is connected at once, so that it can be drained, and hears its first byte after the handshake.

    :param inside: what speaks inside.
    :ivar disconnecting: whether the protocol inside has said that it is over.
    """

    def __init__(self, factory: Shared, inside: IProtocol, contexts: Contexts) -> None:
        self._factory = factory
        self._inside = inside
        self._contexts: Contexts | None = contexts
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._hello = b""
        self._outcome = Outcome.SILENT
        self._deadline: IDelayedCall | None = None
        self._began = 0.0
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._speaking = self._heard = self._reading = self._over = self._producing = self._goodbye = False
        self.disconnecting = False

    # The protocol of the transport outside.

    def makeConnection(self, transport: Any) -> None:
        """Begin: the client speaks first, and has so much time for all of the handshake."""
        self.transport = transport
        self._write_at_once = at_once(transport)
        clock = self._factory.clock
        self._began = clock.seconds()
        self._deadline = clock.callLater(self._factory.seconds, self._too_late)
        self._inside.makeConnection(cast(Any, self))

    def connectionMade(self) -> None:
        """Do nothing: the protocol inside has been told."""

    def dataReceived(self, data: bytes) -> None:
        """Read what the client says."""
        if self._over:
            return
        self._heard = True
        if self._speaking:
            self._incoming.write(data)
            self._read()
        elif self._tls is not None:
            self._shake(data)
        else:
            self._hello += data
            self._greet()
        self._heard = False

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell how the handshake ended, if it had not, and the protocol inside that the connection has."""
        if self._speaking and not self._goodbye and not self._over:
            # An end without a goodbye may be a stranger's.
            reason = Failure(ConnectionLost())
        self._end_handshake(self._outcome)
        self._over = True
        self._tls = self._contexts = None
        self._unsent.clear()
        inside, self._inside = self._inside, cast(Any, None)
        inside.connectionLost(reason)

    # The handshake.

    def _greet(self) -> None:
        """Wait for all of the ClientHello, which says whose certificate the client wants to see."""
        if self._outcome is Outcome.SILENT:
            self._outcome = Outcome.LEFT
            if b"A" <= self._hello[:1] <= b"Z":
                # TLS begins with another byte than any method (RFC 8446, section 5.1).
                self._refuse(Outcome.PLAIN_HTTP, PLAIN_ANSWER)
                return
        try:
            hello = read_hello(self._hello)
        except NoHello:
            hello = Hello(None, ())
        if hello is None:
            return
        if hello.protocols and not self._factory.speaks_any(hello.protocols):
            self._refuse(Outcome.PROTOCOL, NO_PROTOCOL_ALERT)
            return
        context = cast(Contexts, self._contexts).named(hello.server_name)
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._contexts = None
        data, self._hello = self._hello, b""
        self._shake(data)

    def _shake(self, data: bytes) -> None:
        """Go on with the handshake."""
        tls = cast(ssl.SSLObject, self._tls)
        self._incoming.write(data)
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()  # the alert
            self._refuse(outcome_of(error))
            return
        self._speaking = True
        self._end_handshake(Outcome.DONE)
        if IHandshakeListener.providedBy(self._inside):
            cast(IHandshakeListener, self._inside).handshakeCompleted()
        # The ticket leaves with the first answer, where the request has come already.
        self._read()

    def _refuse(self, outcome: Outcome, words: bytes = b"") -> None:
        self._end_handshake(outcome)
        self._over = True
        if words:
            self.transport.write(words)
        self.transport.loseConnection()

    def _too_late(self) -> None:
        self._deadline = None
        self._tell(Outcome.TIMEOUT)
        self.abortConnection()

    def _end_handshake(self, outcome: Outcome) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.cancel()
            self._tell(outcome)

    def _tell(self, outcome: Outcome) -> None:
        version = (self._tls.version() or "") if outcome is Outcome.DONE and self._tls is not None else ""
        self._factory.on_handshake(Handshake(outcome, version, self._factory.clock.seconds() - self._began))

    # What is said inside.

    def _read(self) -> None:
        """Pass on what the client has said; what is answered meanwhile leaves together."""
        if self._reading:
            return
        self._reading = True
        tls: Any = self._tls
        incoming = self._incoming
        try:
            # The library says that there is no more by raising, which costs as much as reading. It keeps nothing back
            # of a record that is read whole.
            while incoming.pending and not self._over:
                data = tls.read(RECORD)
                if not data:
                    self._goodbye = True
                    break
                self._inside.dataReceived(data)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._goodbye = True
        except ssl.SSLError:
            self._cut()
        finally:
            self._reading = False
        if self._unsent:
            self._send()
        if self._goodbye and not self._over:
            self._close()
        elif self._outgoing.pending:
            self._flush()  # what the library has to say for itself

    def _send(self) -> None:
        """Send what was held back."""
        data = self._unsent[0] if len(self._unsent) == 1 else b"".join(self._unsent)
        self._unsent.clear()
        self._unsent_bytes = 0
        if self._over or self._tls is None:
            return
        try:
            sent = self._tls.write(data)
            while sent < len(data):
                sent += self._tls.write(memoryview(data)[sent:])
        except ssl.SSLError:
            self._cut()
        else:
            if self.disconnecting and not self._producing:
                self._shut()
            else:
                self._flush()

    def _flush(self) -> None:
        # What is said of its own accord leaves in a turn of its own, as with any transport.
        if self._outgoing.pending:
            (self._write_at_once if self._heard else self.transport.write)(self._outgoing.read())

    def _cut(self) -> None:
        """End: what came was not what the client had sent, or is no TLS."""
        self._flush()  # the alert
        self._lose()

    def _shut(self) -> None:
        """Say goodbye; the client's own, or its end, is waited for: what it reads must not be cut."""
        try:
            cast(ssl.SSLObject, self._tls).unwrap()
        except ssl.SSLError:
            self._flush()
        else:
            self._goodbye = True
            self._close()

    def _close(self) -> None:
        """End: the client has said goodbye."""
        if not self.disconnecting:
            self.disconnecting = True
            with suppress(ssl.SSLError):
                cast(ssl.SSLObject, self._tls).unwrap()
        self._flush()
        self._lose()

    def _lose(self) -> None:
        self._over = True
        if self._producing:
            # Else the transport outside would wait for it.
            self._producing = False
            self.transport.unregisterProducer()
        self.transport.loseConnection()

    # The transport of the protocol inside.

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._over or (self.disconnecting and not self._producing) or not data:
            return
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if self._speaking and (not self._reading or self._unsent_bytes > TOGETHER):
            self._send()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send pieces as one."""
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        """End once everything is sent, and the client has heard that it is over."""
        if self.disconnecting or self._over:
            return
        if not self._speaking:
            self.abortConnection()
            return
        self.disconnecting = True
        if not self._producing and not self._unsent:
            self._shut()

    def abortConnection(self) -> None:
        """End at once."""
        self.disconnecting = self._over = True
        self.transport.abortConnection()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Have somebody told when the client reads slower than is written.

        :raise ValueError: if the producer waits to be asked for each piece; HTTP's own channels never do.
        """
        if not streaming:
            raise ValueError("only producers that push")
        if self._over:
            producer.stopProducing()
            return
        self._producing = True
        self.transport.registerProducer(producer, True)

    def unregisterProducer(self) -> None:
        """Forget it: all is written."""
        if not self._producing:
            return
        self._producing = False
        self.transport.unregisterProducer()
        if self.disconnecting and self._speaking and not self._over and not self._unsent:
            self._shut()
