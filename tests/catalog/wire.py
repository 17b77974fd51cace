"""A store at the end of a wire: Twisted's own HTTP client talks to it in bytes, in memory and in a clock's time."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectingCancelledError, ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from tests.catalog.store import FakeStore, Reply

ADDRESS = IPv4Address("TCP", "192.0.2.1", 80)


@dataclass(frozen=True)
class Raw:
    """What is sent instead of a proper response.

    :param pieces: taken one at a time, and only as fast as the client reads.
    :param close: close the connection at the end; else it hangs.
    """

    pieces: Iterable[bytes]
    close: bool = False


def head(status: str = "200 OK", **headers: object) -> bytes:
    """Return the head of a response; underscores in names stand for hyphens."""
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


@implementer(ITransport, IPushProducer)
class Connection:
    """The client's end of a connection, as a TCP transport behaves: losses are told later, and pauses are obeyed."""

    def __init__(self, clock: Clock, serve: Callable[[str, str], Raw | None], client: IProtocol) -> None:
        self._clock, self._serve, self.client = clock, serve, client
        self._request = b""
        self._pieces: Iterator[bytes] = iter(())
        self._close = False
        self._paused = False
        self.closed = False
        #: Bytes that the client has read.
        self.sent = 0

    # What the store does.

    def _feed(self) -> None:
        if self.closed or self._paused:
            return
        piece = next(self._pieces, None)
        if piece is not None:
            self.sent += len(piece)
            self._clock.callLater(0, self._feed)
            self.client.dataReceived(piece)
        elif self._close:
            self.drop()

    def drop(self) -> None:
        """Close the connection from the store's side."""
        if not self.closed:
            self.closed = True
            self.client.connectionLost(Failure(ConnectionDone()))

    # What the client does.

    def write(self, data: bytes) -> None:
        """Take a piece of a request, and answer once it is whole."""
        self._request += data
        if not self.closed and self._request.endswith(b"\r\n\r\n"):
            lines = self._request.decode("latin-1").split("\r\n")
            self._request = b""
            fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            raw = self._serve(lines[0].split(" ")[1].removeprefix("/"), fields.get("if-none-match", ""))
            if raw is not None:
                self._pieces, self._close = iter(raw.pieces), raw.close
                self._clock.callLater(0, self._feed)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Take several pieces of a request."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Close the connection; the protocol hears of it later."""
        if not self.closed:
            self.closed = True
            self._clock.callLater(0, self.client.connectionLost, Failure(ConnectionDone()))

    abortConnection = stopProducing = loseConnection

    def pauseProducing(self) -> None:
        """Stop reading."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Read on."""
        self._paused = False
        self._clock.callLater(0, self._feed)

    def getPeer(self) -> IAddress:
        """Return the store's address."""
        return cast(IAddress, ADDRESS)

    def getHost(self) -> IAddress:
        """Return the client's address."""
        return cast(IAddress, ADDRESS)


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class Wire:
    """An agent whose connections end in a store.

    Whatever :attr:`raw` has for a key is sent in place of what the store would answer.
    """

    def __init__(self, store: FakeStore, clock: Clock) -> None:
        self.store, self.clock = store, clock
        self.raw: dict[str, Raw] = {}
        self.refuses = False
        #: Connections are neither made nor refused.
        self.deaf = False
        self.connections: list[Connection] = []
        self.pool = HTTPConnectionPool(clock)
        self.agent = Agent.usingEndpointFactory(cast(Any, clock), self, self.pool)

    @property
    def open(self) -> list[Connection]:
        """The connections that are open."""
        return [connection for connection in self.connections if not connection.closed]

    @property
    def in_use(self) -> list[Connection]:
        """The connections that are open for an exchange, and not idle in the pool."""
        return [connection for connection in self.open if cast(Any, connection.client).state != "QUIESCENT"]

    def drop(self) -> None:
        """Close all connections from the store's side."""
        for connection in self.open:
            connection.drop()

    def settle(self) -> None:
        """Let everything happen that needs no time."""
        self.clock.advance(0)

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Every URL leads to the store."""
        return cast(IStreamClientEndpoint, self)

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect, or do what the switches say."""
        if self.refuses:
            return fail(ConnectionRefusedError())
        if self.deaf:
            return Deferred(lambda connecting: connecting.errback(ConnectingCancelledError(ADDRESS)))
        client = factory.buildProtocol(cast(IAddress, ADDRESS))
        assert client is not None
        connection = Connection(self.clock, self._serve, client)
        self.connections.append(connection)
        client.makeConnection(cast(ITransport, connection))
        return succeed(client)

    def _serve(self, key: str, if_none_match: str) -> Raw | None:
        reply = self.store.reply(key, if_none_match)
        return self.raw.get(key) or Raw([_in_bytes(reply)])


def _in_bytes(reply: Reply) -> bytes:
    headers = {name.replace("-", "_"): value for name, value in reply.headers.items()}
    if reply.status != 304:
        headers["Content_Length"] = str(len(reply.body))
    return head(f"{reply.status} Whatever", **headers) + reply.body
