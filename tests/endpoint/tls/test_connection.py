"""Tests of a TLS connection after its handshake: goodbyes, large pieces, slow readers, and strangers' bytes."""

import ssl
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHandshakeListener, IPushProducer, ISSLTransport, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from sdr.endpoint.tls.serving import HTTP2
from tests.endpoint.tls.test_serving import Client, Echo, ServingCase


@implementer(IPushProducer, IHandshakeListener)
class Recorder(Echo):
    """Keeps what it hears, and says only what a test wants."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.told: list[str] = []

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.heard.append(data)

    def handshakeCompleted(self) -> None:
        """Note it."""
        self.told.append("handshake")

    def pauseProducing(self) -> None:
        """Note it."""
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """Note it."""
        self.told.append("resume")

    def stopProducing(self) -> None:
        """Note it."""
        self.told.append("stop")


class ConnectionCase(ServingCase):
    """One connection."""

    def setUp(self) -> None:
        """Serve a certificate."""
        super().setUp()
        self.serve(self.certificate("a.example"), protocols=HTTP2)

    def built(self) -> Echo:
        """Make what speaks inside, and keep it."""
        self.inside = Recorder()
        return self.inside

    def connected(self) -> Client:
        """Connect and do the handshake."""
        client = self.connect("a.example")
        self.outer: Any = client.protocol
        return client

    def hear(self, client: Client) -> bytes:
        """Return all that the client reads."""
        client.pump()
        heard = b""
        try:
            while piece := client.tls.read(100_000):
                heard += piece
        except ssl.SSLWantReadError:
            pass
        return heard


class GoodbyeTests(ConnectionCase):
    """How connections end."""

    def test_client_says_goodbye(self) -> None:
        """A client's goodbye is returned, and the connection closed; the protocol inside hears that all is well."""
        client = self.connected()
        with self.assertRaises(ssl.SSLWantReadError):
            client.tls.unwrap()
        client.pump()
        client.tls.unwrap()
        self.assertTrue(client.wire.disconnecting)
        client.protocol.connectionLost(Failure(ConnectionDone()))
        assert self.inside.lost is not None
        self.inside.lost.trap(ConnectionDone)

    def test_client_says_goodbye_while_the_transport_is_full(self) -> None:
        """A producer that waits does not keep the connection open: the client wants no more."""
        client = self.connected()
        self.outer.registerProducer(self.inside, True)
        producer: Any = client.wire.producer
        producer.pauseProducing()
        with self.assertRaises(ssl.SSLWantReadError):
            client.tls.unwrap()
        client.pump()
        self.assertIsNone(client.wire.producer)
        self.assertTrue(client.wire.disconnecting)

    def test_cut(self) -> None:
        """An end without a goodbye, which may be a stranger's, is told from one with it."""
        client = self.connected()
        client.tls.write(b"half a requ")
        client.pump()
        client.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.inside.heard, [b"half a requ"])
        assert self.inside.lost is not None
        self.inside.lost.trap(ConnectionLost)

    def test_server_says_goodbye(self) -> None:
        """What was said last comes whole, then a goodbye; the client's own is waited for."""
        client = self.connected()
        self.outer.write(b"last")
        self.outer.loseConnection()
        self.outer.write(b"too late")
        client.pump()
        self.assertEqual(client.tls.read(100), b"last")
        self.assertEqual(client.tls.read(100), b"")
        self.assertFalse(client.wire.disconnecting)
        client.tls.unwrap()
        client.pump()
        self.assertTrue(client.wire.disconnecting)
        self.assertFalse(client.wire.disconnected)

    def test_client_talks_on(self) -> None:
        """A client that goes on after the goodbye is heard until its own."""
        client = self.connected()
        self.outer.loseConnection()
        client.tls.write(b"more")
        client.pump()
        self.assertFalse(client.wire.disconnecting)
        self.assertEqual(self.hear(client), b"")
        self.assertEqual(self.inside.heard, [b"more"])
        client.tls.unwrap()
        client.pump()
        self.assertTrue(client.wire.disconnecting)

    def test_abort(self) -> None:
        """A connection that is aborted ends at once, with no word."""
        client = self.connected()
        client.wire.clear()
        self.outer.abortConnection()
        self.outer.write(b"x")
        self.assertTrue(client.wire.disconnecting)
        self.assertEqual(client.wire.value(), b"")

    def test_end_in_the_handshake(self) -> None:
        """What ends before the handshake has ended is cut: there is nothing to be said."""
        client = self.begin("a.example")
        cast(Any, client.protocol).loseConnection()
        self.assertTrue(client.wire.disconnecting)
        self.assertEqual(client.wire.value(), b"")
        client.protocol.connectionLost(Failure(connectionDone.value))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_strangers_bytes(self) -> None:
        """A record that was changed on its way is not heard; the client is told, and the connection ends."""
        for change in (lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: b"GET / HTTP/1.1\r\n\r\n" + data):
            client = self.connected()
            client.tls.write(b"secret")
            sent = client._out.read()
            client.protocol.dataReceived(change(sent))
            client.protocol.dataReceived(sent)
            self.assertEqual(self.inside.heard, [])
            self.assertTrue(client.wire.disconnecting)
            with self.assertRaises(ssl.SSLError):
                self.hear(client)

    def test_lost(self) -> None:
        """Nothing is said on a connection that is lost, and nobody minds who tries."""
        client = self.connected()
        client.protocol.connectionLost(Failure(ConnectionDone()))
        client.wire.clear()
        self.outer.write(b"x")
        self.outer.loseConnection()
        self.outer.registerProducer(self.inside, True)
        self.assertEqual(self.inside.told[-1], "stop")
        self.assertEqual(client.wire.value(), b"")


class FlowTests(ConnectionCase):
    """What goes over a connection."""

    def test_large(self) -> None:
        """Pieces of many records go both ways."""
        client = self.connected()
        large = bytes(range(256)) * 4096
        self.outer.write(large)
        self.assertEqual(self.hear(client), large)
        for at in range(0, len(large), 30_000):
            client.tls.write(large[at : at + 30_000])
            client.pump()
        self.assertEqual(b"".join(self.inside.heard), large)

    def test_together(self) -> None:
        """What is answered while bytes are read leaves as one record; much of it leaves sooner."""
        client = self.connected()
        self.inside.dataReceived = lambda data: [self.outer.write(b"x" * int(data)) for _ in range(3)]  # type: ignore[method-assign,assignment]
        for size, records in ((1, 1), (40_000, 8)):
            client.tls.write(b"%d" % size)
            client.protocol.dataReceived(client._out.read())
            sent, found = client.wire.value(), 0
            at = 0
            while at < len(sent):
                at += 5 + int.from_bytes(sent[at + 3 : at + 5], "big")
                found += 1
            self.assertEqual((at, found), (len(sent), records))
            self.assertEqual(len(self.hear(client)), 3 * size)

    def test_request_with_the_handshake(self) -> None:
        """What comes with the end of the handshake is answered with it."""
        client = self.begin("a.example")
        with self.assertRaises(ssl.SSLWantReadError):
            client.tls.do_handshake()
        client.pump()
        client.tls.do_handshake()
        client.tls.write(b"request")
        client.pump()
        self.assertEqual(self.inside.told, ["handshake"])
        self.assertEqual(self.inside.heard, [b"request"])

    def test_backpressure(self) -> None:
        """Who writes is told when the transport is full; what it writes until it is done leaves before the goodbye."""
        client = self.connected()
        self.outer.registerProducer(self.inside, True)
        producer: Any = client.wire.producer
        producer.pauseProducing()
        producer.resumeProducing()
        self.assertEqual(self.inside.told[1:], ["pause", "resume"])
        self.outer.loseConnection()
        self.outer.write(b"still")
        client.pump()
        self.assertEqual(client.tls.read(10), b"still")
        with self.assertRaises(ssl.SSLWantReadError):
            client.tls.read(10)
        self.outer.unregisterProducer()
        self.assertIsNone(client.wire.producer)
        client.pump()
        self.assertEqual(client.tls.read(10), b"")
        self.assertRaises(ValueError, self.outer.registerProducer, self.inside, False)

    def test_reading_can_wait(self) -> None:
        """Who reads can have the transport wait."""
        client = self.connected()
        self.outer.pauseProducing()
        self.assertEqual(client.wire.producerState, "paused")
        self.outer.resumeProducing()
        self.assertEqual(client.wire.producerState, "producing")

    def test_what_it_is(self) -> None:
        """The protocol inside sees a TLS transport, with the addresses of the one outside."""
        context = self.context()
        context.set_alpn_protocols(["h2"])
        client = self.connect("a.example", context)
        outer: Any = client.protocol
        self.assertTrue(ISSLTransport.providedBy(outer))
        self.assertTrue(ITCPTransport.providedBy(outer))
        self.assertEqual(outer.negotiatedProtocol, b"h2")
        self.assertEqual((outer.getPeer(), outer.getHost()), (client.wire.getPeer(), client.wire.getHost()))
        outer.setTcpNoDelay(True)

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.integers(1, 2000), max_size=12))
    def test_any_pieces(self, sizes: list[int]) -> None:
        """However the wire cuts what the client sends, handshake and all, the same is heard."""
        client = self.begin("a.example")
        protocol = client.protocol

        class Cut:
            def dataReceived(self, data: bytes) -> None:
                for size in [*sizes, len(data)]:
                    if data:
                        protocol.dataReceived(data[:size])
                    data = data[size:]

        client.protocol = Cut()
        client.shake()
        client.tls.write(b"one" * 1000)
        client.tls.write(b"two")
        client.pump()
        self.assertEqual(b"".join(self.inside.heard), b"one" * 1000 + b"two")
        protocol.connectionLost(Failure(connectionDone.value))


class StallTests(ConnectionCase):
    """Clients that stop."""

    def test_in_the_handshake(self) -> None:
        """A client that stops in the middle of the handshake is cut off in time, whatever it has said."""
        hello = self.begin("a.example")
        with self.assertRaises(ssl.SSLWantReadError):
            hello.tls.do_handshake()
        sent = hello._out.read()
        for end in (1, 6, len(sent) // 2, len(sent)):
            client = self.begin("a.example")
            client.protocol.dataReceived(sent[:end])
            self.clock.advance(9.9)
            self.assertFalse(client.wire.disconnecting)
            self.clock.advance(0.1)
            self.assertTrue(client.wire.disconnecting)
            client.protocol.connectionLost(Failure(connectionDone.value))
