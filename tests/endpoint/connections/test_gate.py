"""Tests of the gate: who is let in, whose a connection is, and who is cut off."""

from functools import partial
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from sdr.endpoint.connections.addresses import NOBODY, Trusted, read_trusted
from sdr.endpoint.connections.channel import Channel
from sdr.endpoint.connections.connections import FIRST_REQUEST_SECONDS, STILL_CLOSING, Connections
from sdr.endpoint.connections.gate import Gate, Gated
from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.connections.request import request_factory
from sdr.endpoint.request_ids import request_ids
from tests.endpoint.connections.responses import read_all
from tests.endpoint.connections.test_proxy_protocol import BAD, GOOD

PROXY = IPv4Address("TCP", "10.0.0.1", 4)
CLIENT = IPv4Address("TCP", "192.0.2.7", 4)
ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
V1 = b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 443\r\n"


class Spoken(Protocol):
    """Keeps what happens to it."""

    def __init__(self) -> None:
        self.data = b""
        self.peer: IAddress | None = None
        self.lost = False

    def connectionMade(self) -> None:
        """Note who is there."""
        self.peer = cast(Any, self.transport).getPeer()

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note it."""
        self.lost = True


class SpokenFactory(Factory):
    """Makes those, and keeps them."""

    noisy = False

    def __init__(self) -> None:
        self.made: list[Spoken] = []

    def buildProtocol(self, addr: IAddress | None) -> Spoken:
        """Make one."""
        self.made.append(Spoken())
        return self.made[-1]


class GateCase(SynchronousTestCase):
    """A gate."""

    limits = Limits(connections=4, connections_per_address=2, request_seconds=5, idle_seconds=10, write_seconds=7)

    def setUp(self) -> None:
        """Make one that trusts a network."""
        self.clock = Clock()
        self.refused: list[str] = []
        self.connections = Connections(self.limits, self.clock, self.refused.append)
        self.factory: Any = SpokenFactory()
        self.gate = self.make_gate(read_trusted(["10.0.0.0/8"]))

    def make_gate(self, trusted: Trusted) -> Gate:
        """Make a gate."""
        return Gate(self.factory, self.connections, self.clock, trusted)

    def connect(self, peer: Any = CLIENT) -> tuple[Gated | None, StringTransport]:
        """Connect from somewhere."""
        transport = StringTransport(peerAddress=peer)
        protocol = self.gate.buildProtocol(peer)
        if protocol is not None:
            protocol.makeConnection(cast(Any, transport))
        return protocol, transport

    def let_in(self, peer: Any = CLIENT) -> tuple[Gated, StringTransport]:
        """Connect from somewhere, successfully."""
        protocol, transport = self.connect(peer)
        assert protocol is not None
        return protocol, transport

    def lose(self, protocol: Gated) -> None:
        """Lose a connection."""
        protocol.connectionLost(Failure(ConnectionDone()))


class CountTests(GateCase):
    """Who is let in."""

    def test_per_address(self) -> None:
        """A client has only so many connections, others have theirs, and a closed one makes room."""
        first, _ = self.let_in()
        self.let_in(IPv6Address("TCP", "::ffff:192.0.2.7", 5))
        self.assertIsNone(self.connect()[0])
        self.assertEqual(self.refused, ["connections of an address"])
        self.let_in(IPv4Address("TCP", "192.0.2.8", 4))
        self.lose(first)
        self.let_in()

    def test_per_network(self) -> None:
        """All of an IPv6 /64 is one client."""
        self.let_in(IPv6Address("TCP", "2001:db8::1", 4))
        self.let_in(IPv6Address("TCP", "2001:db8::2", 4))
        self.assertIsNone(self.connect(IPv6Address("TCP", "2001:db8::3", 4))[0])
        self.let_in(IPv6Address("TCP", "2001:db8:0:1::1", 4))

    def test_total(self) -> None:
        """There are only so many connections; the next is closed at once."""
        made = [self.let_in(IPv4Address("TCP", f"192.0.2.{at}", 4))[0] for at in range(4)]
        self.assertEqual(self.connections.open(), 4)
        self.assertIsNone(self.connect(IPv4Address("TCP", "192.0.2.99", 4))[0])
        self.assertEqual(self.refused, ["connections"])
        self.lose(made[0])
        self.let_in(IPv4Address("TCP", "192.0.2.99", 4))

    def test_unix(self) -> None:
        """Who comes through a Unix socket has no address to be counted by."""
        for _ in range(4):
            self.let_in(UNIXAddress(None))
        self.assertIsNone(self.connect(UNIXAddress(None))[0])

    def test_forgotten(self) -> None:
        """Nothing is kept of who has left, and no clock runs on."""
        made = [self.let_in(peer)[0] for peer in (CLIENT, PROXY, PROXY, IPv6Address("TCP", "2001:db8::1", 4))]
        made[1].dataReceived(V1[:7])
        made[2].dataReceived(V1)
        for protocol in made:
            self.lose(protocol)
        self.assertEqual((self.connections.open(), self.connections.waiting()), (0, 0))
        self.assertEqual(vars(self.connections)["_clients"], {})
        self.assertEqual(vars(self.connections)["_channels"], {})
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.gate.protocols, {})


class ProxyTests(GateCase):
    """The PROXY protocol."""

    def test_every_header_at_every_split(self) -> None:
        """A trusted proxy says whose a connection is, however its header is cut into pieces."""
        for header, source in GOOD.items():
            for split in {*range(1, min(len(header), 300)), len(header)}:
                protocol, transport = self.let_in(PROXY)
                for piece in (header[:split], header[split:] + b"rest"):
                    protocol.dataReceived(piece)
                spoken = self.factory.made.pop()
                self.assertEqual(spoken.data, b"rest", header)
                expected = PROXY.host if source is None else str(source.address)
                self.assertEqual((spoken.peer.host, protocol.getPeer().host), (expected, expected))  # type: ignore[attr-defined]
                self.assertFalse(transport.disconnecting)
                self.lose(protocol)
                self.assertTrue(spoken.lost)
        self.assertEqual(self.refused, [])

    def test_bad(self) -> None:
        """What begins like a header and is none closes the connection, and nobody has spoken on it."""
        for header in BAD:
            protocol, transport = self.let_in(PROXY)
            for byte in header:
                protocol.dataReceived(bytes([byte]))
            self.assertTrue(transport.disconnected, header)
            self.assertEqual(transport.value(), b"")
            protocol.dataReceived(b"more")
            self.lose(protocol)
        self.assertEqual(self.factory.made, [])
        self.assertEqual(set(self.refused), {"proxy header"})

    def test_without(self) -> None:
        """A trusted proxy that sends no header speaks for itself."""
        protocol, _ = self.let_in(PROXY)
        protocol.dataReceived(b"P")
        protocol.dataReceived(b"UT /")
        (spoken,) = self.factory.made
        self.assertEqual((spoken.data, spoken.peer), (b"PUT /", PROXY))

    def test_second_header(self) -> None:
        """Only the first header is one."""
        protocol, _ = self.let_in(PROXY)
        protocol.dataReceived(V1 + V1.replace(b"192.0.2.7", b"6.6.6.6"))
        self.assertEqual(protocol.getPeer(), IPv4Address("TCP", "192.0.2.7", 4711))
        self.assertTrue(self.factory.made[0].data.startswith(b"PROXY "))

    def test_stranger(self) -> None:
        """A header from anybody else is ordinary bytes."""
        protocol, _ = self.let_in(CLIENT)
        protocol.dataReceived(V1.replace(b"192.0.2.7", b"6.6.6.6"))
        (spoken,) = self.factory.made
        self.assertTrue(spoken.data.startswith(b"PROXY "))
        self.assertEqual(protocol.getPeer(), CLIENT)

    def test_slow_header(self) -> None:
        """A header that does not come whole in time closes the connection; one that does not begin may take longer."""
        protocol, transport = self.let_in(PROXY)
        self.clock.advance(9)
        protocol.dataReceived(V1[:-1])
        self.clock.advance(4)
        self.assertFalse(transport.disconnected)
        self.clock.advance(1.1)
        self.assertTrue(transport.disconnected)
        _, silent = self.let_in(PROXY)
        self.clock.advance(10.1)
        self.assertTrue(silent.disconnected)

    def test_clients_are_counted(self) -> None:
        """The clients that a proxy names are counted, and the proxy is not."""
        for _ in range(2):
            self.let_in(PROXY)[0].dataReceived(V1)
        third, transport = self.let_in(PROXY)
        third.dataReceived(V1)
        self.assertTrue(transport.disconnected)
        self.lose(third)
        self.assertIsNone(self.connect(CLIENT)[0])
        self.let_in(PROXY)[0].dataReceived(V1.replace(b"2.7", b"2.9"))

    def test_unix(self) -> None:
        """Whoever is on the Unix socket may be trusted too."""
        self.gate = self.make_gate(Trusted(unix=True))
        protocol, _ = self.let_in(UNIXAddress(None))
        protocol.dataReceived(V1)
        self.assertEqual(self.factory.made[0].peer, IPv4Address("TCP", "192.0.2.7", 4711))


class WriteTests(GateCase):
    """Readers that do not read."""

    def test_stall(self) -> None:
        """A client that takes nothing of what waits for it is cut off."""
        protocol, connected = self.let_in()
        transport: Any = connected
        protocol.registerProducer(StringTransport(), True)
        transport.producer.pauseProducing()
        self.clock.advance(6.9)
        self.assertFalse(transport.disconnected)
        self.clock.advance(0.2)
        self.assertTrue(transport.disconnected)
        self.assertEqual(self.refused, ["stalled reader"])

    def test_slow(self) -> None:
        """A client that reads slowly is served."""
        protocol, connected = self.let_in()
        transport: Any = connected
        source = StringTransport()
        protocol.registerProducer(source, True)
        for _ in range(10):
            transport.producer.pauseProducing()
            self.assertEqual(source.producerState, "paused")
            self.clock.advance(6)
            transport.producer.resumeProducing()
            self.assertEqual(source.producerState, "producing")
        protocol.unregisterProducer()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(transport.disconnecting)


class Says(Resource):
    """Says whom a request is from."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """Answer."""
        return f"{request.getClientAddress().host} {request.isSecure()}".encode()


class WholeTests(GateCase):
    """HTTP behind the gate."""

    def setUp(self) -> None:
        """Put a site behind it."""
        super().setUp()
        self.trust(read_trusted(["10.0.0.0/8"]))

    def trust(self, trusted: Trusted) -> None:
        """Make a gate before a site."""
        self.factory = Site(Says(), request_factory(trusted, request_ids(), self.clock), reactor=self.clock)
        self.factory.protocol = partial(Channel, self.connections)
        self.factory.noisy = False
        self.gate = self.make_gate(trusted)

    def said(self, data: bytes, peer: Any = PROXY) -> tuple[int, str]:
        """Send bytes, and return what was answered first."""
        protocol, transport = self.let_in(peer)
        protocol.dataReceived(data)
        self.lose(protocol)
        (answer,) = read_all(transport.value())
        return answer.status, answer.body.decode()

    def test_whom_requests_are_from(self) -> None:
        """A request knows its client by the PROXY protocol and by headers, each from trusted proxies only."""
        plain = ASK[:-2] + b"X-Forwarded-For: 6.6.6.6, 198.51.100.1\r\nX-Forwarded-Proto: https\r\n\r\n"
        standard = ASK[:-2] + b'Forwarded: for="[2001:db8::7]:4711";proto=https\r\n\r\n'
        self.assertEqual(self.said(ASK), (200, "10.0.0.1 False"))
        self.assertEqual(self.said(V1 + ASK), (200, "192.0.2.7 False"))
        self.assertEqual(self.said(plain), (200, "198.51.100.1 True"))
        self.assertEqual(self.said(standard), (200, "2001:db8::7 True"))
        self.assertEqual(self.said(V1 + plain), (200, "192.0.2.7 False"))
        self.assertEqual(self.said(V1.replace(b"192.0.2.7", b"10.0.0.9") + plain), (200, "198.51.100.1 True"))
        self.assertEqual(self.said(plain, CLIENT), (200, "192.0.2.7 False"))
        self.trust(Trusted(unix=True))
        self.assertEqual(self.said(plain, UNIXAddress(None)), (200, "198.51.100.1 True"))
        self.trust(NOBODY)
        self.assertEqual(self.said(plain), (200, "10.0.0.1 False"))

    def test_header_of_a_stranger(self) -> None:
        """A stranger's PROXY header is a bad request."""
        self.assertEqual(self.said(V1 + ASK, CLIENT)[0], 400)

    def test_waiting_makes_room(self) -> None:
        """Where all connections are taken, the one that waits longest for a next request is closed for a new one."""
        made = [self.let_in(IPv4Address("TCP", f"192.0.2.{at}", 4)) for at in range(4)]
        for protocol, _ in (made[2], made[1]):
            protocol.dataReceived(ASK)
        self.assertEqual(self.connections.waiting(), 2)
        self.let_in(IPv4Address("TCP", "192.0.2.99", 4))
        self.assertEqual([transport.disconnecting for _, transport in made], [False, False, True, False])
        self.assertEqual(self.refused, ["made room"])

    def test_room_has_an_end(self) -> None:
        """Connections that are slow to close do not let in ever more."""
        for at in range(1000):
            protocol, _ = self.connect(IPv4Address("TCP", f"198.51.{at // 250}.{at % 250}", 4))
            if protocol is not None:
                protocol.dataReceived(ASK)
        self.assertEqual(self.connections.open(), 4 + STILL_CLOSING)

    def test_drain(self) -> None:
        """Draining closes who waits, lets in nobody, and is over when the last connection is."""
        idle, first = self.let_in()
        proxy, second = self.let_in(PROXY)
        busy, third = self.let_in(IPv4Address("TCP", "192.0.2.8", 4))
        busy.dataReceived(ASK[:5])
        over = self.connections.drain(30)
        self.assertEqual([t.disconnecting for t in (first, second, third)], [False, False, False])
        self.assertIsNone(self.connect()[0])
        # They have only just connected, and may be about to ask.
        self.clock.advance(FIRST_REQUEST_SECONDS)
        self.assertEqual([t.disconnecting for t in (first, second, third)], [True, True, False])
        self.lose(idle)
        self.lose(proxy)
        busy.dataReceived(ASK[5:])
        self.assertIn(b"Connection: close", third.value())
        self.assertTrue(third.disconnecting)
        self.assertNoResult(over)
        self.lose(busy)
        self.successResultOf(over)
        self.gate.doStop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_drain_has_an_end(self) -> None:
        """Who does not finish is cut off."""
        protocol, transport = self.let_in()
        protocol.dataReceived(ASK[:5])
        over = self.connections.drain(3)
        self.clock.advance(3)
        self.assertTrue(transport.disconnected)
        self.lose(protocol)
        self.successResultOf(over)

    def test_drain_of_nothing(self) -> None:
        """Draining is over at once where nobody is connected."""
        self.successResultOf(self.connections.drain(30))
        self.assertEqual(self.clock.getDelayedCalls(), [])
