"""The gate before everything else on a connection: whether there is room for it, whose it is, and whether it reads."""

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from sdr.endpoint.connections.addresses import NOBODY, Address, Trusted, read_address
from sdr.endpoint.connections.connections import FIRST_REQUEST_SECONDS, Connections
from sdr.endpoint.connections.eager import at_once
from sdr.endpoint.connections.proxy_protocol import Absent, Bad, NeedMore, Source, read_header


def address_of(peer: object) -> Address | None:
    """Return where a peer is; nothing for a Unix socket."""
    return read_address(peer.host) if isinstance(peer, IPv4Address | IPv6Address) else None


@implementer(IPushProducer)
class _Watched:
    """What produces for a connection, and how long it is kept waiting by a client that does not read."""

    def __init__(self, producer: IPushProducer, gated: "Gated") -> None:
        self._producer = producer
        self._gated = gated

    def pauseProducing(self) -> None:
        """Wait: more is written than has left."""
        self._gated.begin_write_clock()
        self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        """Go on: all of it has left."""
        self._gated.end_write_clock()
        self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """Stop: the connection is lost."""
        self._producer.stopProducing()


class Gated(ProtocolWrapper):
    """A connection that was let in, and the transport of whatever speaks on it.

    A trusted proxy's first bytes are waited for: whoever speaks on the connection is only made once it is known whose
    it is.
    """

    factory: "Gate"

    #: Sends at once what the kernel takes; there as soon as somebody speaks on the connection.
    write_at_once: Callable[[bytes], None]

    def __init__(self, factory: "Gate", wrapped: IProtocol | None) -> None:
        super().__init__(factory, cast(IProtocol, wrapped))
        self._header: bytes | None = b"" if wrapped is None else None
        self._source: IAddress | None = None
        self._counted: Address | None = None
        self._header_clock: IDelayedCall | None = None
        self._write_clock: IDelayedCall | None = None

    def makeConnection(self, transport: ITransport) -> None:
        """Count the connection, and begin to speak unless its first bytes may say whose it is."""
        if self._header is None:
            self.factory.opened(self, transport)
            peer = address_of(transport.getPeer())
            if peer is not None and not self.factory.believes(transport.getPeer()):
                self._count(peer)
            self.write_at_once = at_once(transport)
            super().makeConnection(transport)
            self._step_aside()
        else:
            Protocol.makeConnection(self, transport)
            self.factory.opened(self, transport)
            self.factory.connections.serves(self)
            self._header_clock = self.factory.clock.callLater(self.factory.limits.idle_seconds, self._too_late)

    def dataReceived(self, data: bytes) -> None:
        """Read the header first if there may be one."""
        if self._header is None:
            if self.wrappedProtocol is not None:
                self.wrappedProtocol.dataReceived(data)
            return
        if not self._header and self._header_clock is not None:
            self._header_clock.reset(self.factory.limits.request_seconds)
        self._header += data
        reading = read_header(self._header)
        if isinstance(reading, NeedMore):
            return
        if isinstance(reading, Bad):
            self._refuse("proxy header")
            return
        rest = self._header if isinstance(reading, Absent) else self._header[reading.consumed :]
        source = None if isinstance(reading, Absent) else reading.source
        if source is not None and not self._belongs_to(source):
            return
        self._speak(rest)

    def _belongs_to(self, source: Source) -> bool:
        kind = IPv4Address if source.address.version == 4 else IPv6Address
        self._source = kind("TCP", str(source.address), source.port)
        if not self.factory.believes(self._source):
            if not self.factory.connections.admits_from(source.address):
                self._refuse(None)
                return False
            self._count(source.address)
        return True

    def _count(self, address: Address) -> None:
        self._counted = address
        self.factory.connections.belongs_to(address)

    def _speak(self, rest: bytes) -> None:
        self._stop_waiting()
        wrapped = self.factory.wrappedFactory.buildProtocol(self.getPeer())
        if wrapped is None:
            self._refuse(None)
            return
        self.wrappedProtocol = wrapped
        self.write_at_once = at_once(self.transport)
        super().makeConnection(cast(Any, self.transport))
        self._step_aside()
        if rest:
            wrapped.dataReceived(rest)

    def _step_aside(self) -> None:
        """Have bytes go straight from one side to the other: each call between them would be made for each request."""
        if self.wrappedProtocol is not None:
            self.dataReceived = self.wrappedProtocol.dataReceived  # type: ignore[method-assign]
        self.write = cast(Any, self.transport).write  # type: ignore[method-assign]

    def _too_late(self) -> None:
        self._header_clock = None
        draining = self.factory.connections.draining and not self._header
        self._refuse(None if draining else "slow proxy header")

    def drain(self) -> None:
        """End soon: nobody speaks on this connection yet, but a header and a request may be on their way."""
        if self._header_clock is not None and not self._header:
            self._header_clock.reset(min(FIRST_REQUEST_SECONDS, self.factory.limits.request_seconds))

    def _refuse(self, reason: str | None) -> None:
        self._stop_waiting()
        if reason is not None:
            self.factory.connections.refused(reason)
        cast(Any, self.transport).abortConnection()

    def _stop_waiting(self) -> None:
        self._header = None
        self.factory.connections.served(self)
        clock, self._header_clock = self._header_clock, None
        if clock is not None:
            clock.cancel()

    def getPeer(self) -> IAddress:
        """Return the client's address, which is not the proxy's."""
        return self._source or cast(IAddress, cast(Any, self.transport).getPeer())

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Watch how long the client keeps a producer waiting."""
        super().registerProducer(_Watched(producer, self) if streaming else producer, streaming)

    def unregisterProducer(self) -> None:
        """Stop watching: what is to be sent is all written."""
        self.end_write_clock()
        super().unregisterProducer()

    def begin_write_clock(self) -> None:
        """Give the client its time to read."""
        if self._write_clock is None:
            self._write_clock = self.factory.clock.callLater(self.factory.limits.write_seconds, self._stalls)

    def end_write_clock(self) -> None:
        """Note that the client has read."""
        clock, self._write_clock = self._write_clock, None
        if clock is not None:
            clock.cancel()

    def _stalls(self) -> None:
        self._write_clock = None
        self.factory.connections.refused("stalled reader")
        cast(Any, self.transport).abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget the connection."""
        self._stop_waiting()
        self.end_write_clock()
        self.factory.closed(self, self._counted)
        # Nobody but the garbage collector would find a connection that refers to itself.
        vars(self).pop("dataReceived", None)
        wrapped, self.wrappedProtocol = self.wrappedProtocol, cast(Any, None)
        if wrapped is not None:
            wrapped.connectionLost(reason)


@implementer(IProtocolNegotiationFactory)
class Gate(WrappingFactory[Gated]):
    """The factory to listen with, around the one that speaks TLS or HTTP.

    :param factory: what is behind the gate.
    :param connections: all that are open; shared by the gates of all listeners.
    :param trusted: the proxies that may say whose a connection is, by the PROXY protocol.
    """

    protocol = Gated
    noisy = False

    def __init__(
        self, factory: IProtocolFactory, connections: Connections, clock: IReactorTime, trusted: Trusted = NOBODY
    ) -> None:
        super().__init__(factory)
        self.connections = connections
        self.limits = connections.limits
        self.clock = clock
        self._trusted = trusted

    def believes(self, peer: object) -> bool:
        """Tell whether a peer is a trusted proxy."""
        if isinstance(peer, UNIXAddress):
            return self._trusted.unix
        return address_of(peer) in self._trusted

    def buildProtocol(self, addr: IAddress | None) -> Gated | None:  # type: ignore[override]
        """Let a connection in, or have it closed at once."""
        if not self.connections.admits():
            return None
        if self.believes(addr):
            return Gated(self, None)
        peer = address_of(addr)
        if peer is not None and not self.connections.admits_from(peer):
            return None
        wrapped = self.wrappedFactory.buildProtocol(addr)
        return None if wrapped is None else Gated(self, wrapped)

    def acceptableProtocols(self) -> list[bytes]:
        """Return what is spoken behind the gate, for Twisted's TLS before it: clients offer protocols, and need one."""
        inside: Any = self.wrappedFactory
        return list(inside.acceptableProtocols()) if IProtocolNegotiationFactory.providedBy(inside) else [b"http/1.1"]

    def registerProtocol(self, p: Gated) -> None:
        """Do nothing: a connection is counted when it is made."""

    def opened(self, gated: Gated, transport: Any) -> None:
        """Count a connection."""
        self.connections.opened(transport)
        self.protocols[gated] = transport

    def closed(self, gated: Gated, counted: Address | None) -> None:
        """Forget a connection."""
        transport = self.protocols.pop(gated, None)
        if transport is not None:
            self.connections.closed(transport, counted)
