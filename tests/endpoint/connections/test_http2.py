"""Tests of HTTP/2: a client by the h2 library, and a site in memory."""

import json
import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hyperframe.frame import DataFrame, Frame, HeadersFrame, PingFrame, PriorityFrame, RstStreamFrame, SettingsFrame
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from sdr.cdn.locations import OwnTree
from sdr.endpoint.access import FORMS
from sdr.endpoint.access_log import AccessLog
from sdr.endpoint.accounting import Accounting
from sdr.endpoint.admin.metrics import Metrics
from sdr.endpoint.connections.gate import Gate
from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.files import TreeFiles
from sdr.endpoint.rules import Rules
from sdr.endpoint.tls.certificates import parse_certificate
from sdr.endpoint.tls.serving import HTTP2, StandardTLS
from sdr.registry.grammar import Digest
from sdr.tree.keys import blob_key
from tests.endpoint.admin.samples import value
from tests.endpoint.connections.h2_client import H2Client, TLSTransport
from tests.endpoint.connections.responses import read_all
from tests.endpoint.connections.test_channel import Quick, Slow
from tests.endpoint.serving import STALL_SECONDS
from tests.endpoint.sites import SiteCase
from tests.endpoint.tls.authority import Authority
from tests.endpoint.tls.test_serving import Client
from tests.endpoint.trees import BODY, DIGEST, at_once, endpoint, polled_catalog, write

R = TypeVar("R")

PEER = IPv4Address("TCP", "192.0.2.7", 4)
BLOB = b"0123456789" * 30_000
BLOB_PATH = f"/tree/{blob_key(Digest.of(BLOB))}"
FILES = "/proc/self/fd"


class H2Case(SiteCase):
    """A site that speaks HTTP/2, and a client."""

    limits = Limits(requests=20, request_seconds=5, idle_seconds=10, write_seconds=30, body_bytes=1000)

    def setUp(self) -> None:
        """Connect."""
        super().setUp()
        write(self.folder, blob_key(Digest.of(BLOB)), BLOB)
        self.client = self.converse(self.root)

    def converse(self, root: Resource, *, window: int = 65535, accounting: Accounting | None = None) -> H2Client:
        """Connect to a resource."""
        if hasattr(self, "client"):
            self.client.lose()
        self.serve(root, accounting=accounting, http2=True)
        self.gate = Gate(self.site, self.connections, self.reactor)
        self.client = H2Client(self.gate.buildProtocol(PEER), self.reactor, window=window)
        return self.client

    def assert_nothing_stays(self) -> None:
        """Lose the connection, and look for what it leaves."""
        self.client.lose()
        self.assertEqual((self.connections.open(), self.connections.waiting()), (0, 0))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.flushLoggedErrors(), [])


class AnswerTests(H2Case):
    """Answers."""

    def test_answers(self) -> None:
        """What is answered over HTTP/1.1 is answered here, with the request's id."""
        got = self.client.ask("/v2/")
        self.assertEqual((got.status, got.body, got.ended), (200, b"{}", True))
        self.assertRegex(got.headers["x-request-id"], r"\A[0-9a-f]{16}\Z")
        got = self.client.ask("/v2/acme/app/manifests/1.0")
        self.assertEqual((got.status, got.body, got.ended), (307, b"", True))
        self.assertIn(str(DIGEST), got.headers["location"])
        got = self.client.ask("/v2/acme/app/manifests/1.0", "HEAD")
        self.assertEqual((got.status, got.headers["content-length"], got.body), (200, str(len(BODY)), b""))
        self.assertEqual(self.client.ask("/v2/acme/app/manifests/none").status, 404)
        self.assert_nothing_stays()

    def test_file(self) -> None:
        """A file that is larger than the client's window comes whole, and is closed."""
        before = len(os.listdir(FILES))
        got = self.client.ask(BLOB_PATH)
        self.assertEqual((got.status, got.body == BLOB, got.ended), (200, True, True))
        self.assertEqual(len(os.listdir(FILES)), before)
        self.assert_nothing_stays()

    def test_file_shrinks(self) -> None:
        """A file that becomes shorter while it is sent ends its stream with an error, and nobody else's."""
        calls: list[object] = []

        def shrinking(call: Callable[[], R], /) -> Deferred[R]:
            calls.append(call)
            if len(calls) == 3:
                (self.folder / BLOB_PATH.removeprefix("/tree/")).write_bytes(b"")
            return at_once(call)

        root = endpoint(polled_catalog(self.folder, self.reactor))
        root.putChild(b"tree", TreeFiles(os.path.abspath(self.folder), shrinking, self.reactor, STALL_SECONDS))
        client = self.converse(root)
        got = client.ask(BLOB_PATH)
        self.assertEqual((got.status, got.ended, got.reset), (200, False, ErrorCodes.INTERNAL_ERROR))
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertEqual(client.ask("/v2/").status, 200)
        self.assert_nothing_stays()

    def test_accounting(self) -> None:
        """A request is counted and logged with who it was and how it came; a redirect to the endpoint is to https."""
        path = Path(self.mktemp())
        log = AccessLog(str(path), FORMS["json"])
        log.open()
        self.addCleanup(log.close)
        metrics = Metrics()
        root = endpoint(polled_catalog(self.folder, self.reactor), Rules(OwnTree(None)))
        got = self.converse(root, accounting=Accounting(metrics, log)).ask(f"/v2/acme/app/blobs/{DIGEST}")
        self.assertTrue(got.headers["location"].startswith("https://registry.example.com/tree/blobs/"))
        self.assertEqual(value(metrics, "sdr_requests_total", route="blob", code="307", method="GET"), 1)
        line = json.loads(path.read_text())
        self.assertEqual((line["peer"], line["protocol"], line["route"]), ("192.0.2.7", "HTTP/2", "blob"))
        self.assertEqual(line["request_id"], got.headers["x-request-id"])

    def test_body_is_thrown_away(self) -> None:
        """A request with a body gets its answer."""
        stream = self.client.begin("/v2/a/manifests/b", "PUT", end=False)
        self.client.conn.send_data(stream, b"x" * 1000, end_stream=True)
        self.client.pump()
        self.assertEqual(self.client.answers[stream].status, 405)
        self.assertEqual(self.client.ask("/v2/").status, 200)

    def test_at_once(self) -> None:
        """Requests are answered as soon as their answers are there, whatever their order."""
        slow = Slow()
        client = self.converse(slow)
        streams = [client.begin(f"/{number}") for number in range(3)]
        self.assertEqual(self.connections.waiting(), 0)
        for at in (2, 0, 1):
            self.assertFalse(client.answers[streams[at]].ended)
            slow.requests[at].write(b"%d" % at)
            slow.requests[at].finish()
            client.pump()
            self.assertEqual(client.answers[streams[at]].body, b"%d" % at)
            self.assertTrue(client.answers[streams[at]].ended)
        self.assertEqual(self.connections.waiting(), 1)
        self.assert_nothing_stays()

    def test_too_many_at_once(self) -> None:
        """A client that has a hundred requests under way, and makes another, has broken the rules."""
        self.limits = Limits()
        client = self.converse(Slow())
        client.pump()
        for _ in range(100):
            client.begin("/")
        self.assertEqual(client.conn.remote_settings.max_concurrent_streams, 100)
        self.assertRaises(ProtocolError, client.begin, "/")

    def test_star(self) -> None:
        """`OPTIONS *` is a question like any other."""
        self.assertEqual(self.client.ask("*", "OPTIONS").status, 405)

    def test_connect(self) -> None:
        """A proxy is not what this is."""
        stream = self.client.conn.get_next_available_stream_id()
        self.client.begin_raw(stream, [(":method", "CONNECT"), (":authority", "x:443")])
        self.assertEqual(self.client.answers[stream].reset, ErrorCodes.CANCEL)
        self.assertEqual(self.client.ask("/v2/").status, 200)
        self.assert_nothing_stays()


class LimitTests(H2Case):
    """What a connection may cost."""

    def test_requests(self) -> None:
        """The last request that a connection may make is answered, after a goodbye."""
        for at in range(self.limits.requests):
            self.assertEqual((self.client.goodbyes, self.client.transport.disconnecting), ([], False))
            self.assertEqual(self.client.ask("/v2/").status, 200, at)
        self.assertEqual([frame.last_stream_id for frame in self.client.goodbyes], [2 * self.limits.requests - 1])
        self.assertTrue(self.client.transport.disconnecting)
        self.assert_nothing_stays()

    def test_idle(self) -> None:
        """A connection waits so long for its next request, and pings do not make it wait longer."""
        self.client.ask("/v2/")
        for _ in range(3):
            self.reactor.advance(3)
            self.client.conn.ping(b"12345678")
            self.client.pump()
            self.assertFalse(self.client.transport.disconnecting)
        self.reactor.advance(1.1)
        self.assertTrue(self.client.transport.disconnecting)
        self.client.pump()
        self.assertEqual([frame.error_code for frame in self.client.goodbyes], [ErrorCodes.NO_ERROR])
        self.assert_nothing_stays()

    def test_silent_client(self) -> None:
        """A client that asks nothing is closed, and cut off where it does not say goodbye."""
        self.reactor.advance(10.1)
        self.assertTrue(self.client.transport.disconnecting)
        self.reactor.advance(15)
        self.assertTrue(self.client.transport.disconnected)
        self.assert_nothing_stays()

    def test_answering_has_no_idle_clock(self) -> None:
        """While the endpoint thinks, it is not the client who waits too long."""
        slow = Slow()
        client = self.converse(slow)
        stream = client.begin("/")
        self.reactor.advance(self.limits.idle_seconds + 5)
        self.assertFalse(client.transport.disconnecting)
        slow.requests[0].finish()
        client.pump()
        self.assertTrue(client.answers[stream].ended)

    def test_slow_request(self) -> None:
        """A request that does not come whole in time is given up, and the others on its connection are not."""
        slow = self.client.begin("/v2/", "PUT", end=False)
        for _ in range(3):
            self.client.conn.send_data(slow, b"x")
            self.client.pump()
            self.reactor.advance(1.8)
        self.client.pump()
        self.assertEqual(self.client.answers[slow].reset, ErrorCodes.CANCEL)
        self.assertEqual(self.refused, ["slow request"])
        self.assertEqual(self.client.ask("/v2/").status, 200)
        self.assertEqual(self.connections.waiting(), 1)
        self.assert_nothing_stays()

    def test_large_body(self) -> None:
        """A body that is too large is not waited for."""
        stream = self.client.begin("/v2/", "PUT", end=False)
        self.client.conn.send_data(stream, b"x" * 1001)
        self.client.pump()
        self.assertEqual((self.client.answers[stream].reset, self.refused), (ErrorCodes.CANCEL, ["large body"]))
        self.assert_nothing_stays()

    def test_large_head(self) -> None:
        """Headers may be as large as over HTTP/1.1, and the client is told how large that is."""
        self.assertEqual(self.client.conn.remote_settings.max_header_list_size, self.limits.head_bytes)
        self.client.ask("/v2/", "GET", ("x", "y" * self.limits.head_bytes))
        self.assertTrue(self.client.transport.disconnecting)
        self.assert_nothing_stays()

    def test_client_takes_nothing(self) -> None:
        """A client that takes nothing of a file is given up with the file that it holds, however often it pings."""
        client = self.converse(self.root, window=0)
        before = len(os.listdir(FILES))
        client.begin(BLOB_PATH)
        self.assertEqual(len(os.listdir(FILES)), before + 1)
        for _ in range(5):
            self.reactor.advance(5)
            client.conn.ping(b"12345678")
            client.pump()
            self.assertFalse(client.transport.disconnecting)
        self.reactor.advance(5.1)
        self.assertTrue(client.transport.disconnecting)
        self.assertEqual(self.refused, ["stalled reader"])
        self.assert_nothing_stays()
        self.assertEqual(len(os.listdir(FILES)), before)

    def test_little_ahead(self) -> None:
        """Of a large file little is read before the client's socket takes it, however much room the client claims."""
        data = b"0123456789" * 500_000
        write(self.folder, blob_key(Digest.of(data)), data)
        reads: list[object] = []

        def counted(call: Callable[[], R], /) -> Deferred[R]:
            reads.append(call)
            return at_once(call)

        root = Resource()
        root.putChild(b"tree", TreeFiles(os.path.abspath(self.folder), counted, self.reactor, STALL_SECONDS))
        client = self.converse(root, window=2**31 - 1)
        client.conn.increment_flow_control_window(2**31 - 1 - 65535)
        client.pump()
        producer: Any = client.transport.producer
        producer.pauseProducing()
        stream = client.begin(f"/tree/{blob_key(Digest.of(data))}")
        self.assertEqual(len(reads), 2, "it is opened, and its first piece is read")
        producer.resumeProducing()
        client.pump()
        self.assertTrue(client.answers[stream].body == data)
        self.assertTrue(client.answers[stream].ended)
        self.assert_nothing_stays()

    def test_room_by_settings(self) -> None:
        """A client that makes room by its settings alone is sent the rest."""
        client = self.converse(self.root, window=0)
        client.acknowledges = False
        stream = client.begin("/v2/")
        self.assertEqual((client.answers[stream].status, client.answers[stream].ended), (200, False))
        client.conn.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 50_000})
        client.pump()
        self.assertEqual((client.answers[stream].body, client.answers[stream].ended), (b"{}", True))
        file = client.begin(BLOB_PATH)
        self.assertEqual(len(client.answers[file].body), 50_000)
        client.conn.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 60_000})
        client.pump()
        self.assertEqual(client.answers[file].body, BLOB[:60_000])
        self.assert_nothing_stays()

    def test_client_takes_a_little(self) -> None:
        """A client that takes something now and then has more time."""
        client = self.converse(self.root, window=1000)
        client.acknowledges = False
        stream = client.begin(BLOB_PATH)
        for _ in range(3):
            self.reactor.advance(self.limits.write_seconds - 1)
            client.conn.increment_flow_control_window(1000, stream)
            client.pump()
        self.assertFalse(client.transport.disconnecting)
        self.assertEqual(client.answers[stream].body, BLOB[:4000])
        self.assert_nothing_stays()

    def test_wishes(self) -> None:
        """Any number of priorities costs nothing and breaks nothing."""
        self.client.send(b"".join(PriorityFrame(2 * at + 1, depends_on=0).serialize() for at in range(3000)))
        self.client.send(b"".join(PriorityFrame(2 * at + 1, depends_on=2 * at + 3).serialize() for at in range(3000)))
        self.assertEqual(self.client.ask("/v2/").status, 200)
        self.assert_nothing_stays()

    def test_resets(self) -> None:
        """A client that asks and takes it back, again and again, is told goodbye after its last request."""
        client = self.converse(Slow())
        for _ in range(self.limits.requests):
            stream = client.begin("/")
            client.conn.reset_stream(stream)
            client.pump()
        self.assertEqual(len(client.goodbyes), 1)
        self.assertTrue(client.transport.disconnecting)
        self.assert_nothing_stays()


class EndTests(H2Case):
    """The end of a connection, and of the endpoint."""

    def test_drain_idle(self) -> None:
        """A connection that waits for a request is told goodbye and closed at once."""
        self.client.ask("/v2/")
        drained = self.connections.drain(10)
        self.client.pump()
        self.assertEqual([(frame.error_code, frame.last_stream_id) for frame in self.client.goodbyes], [(0, 1)])
        self.assertTrue(self.client.transport.disconnecting)
        self.assertNoResult(drained)
        self.client.lose()
        self.successResultOf(drained)
        self.assert_nothing_stays()

    def test_drain(self) -> None:
        """An answer under way still comes after the goodbye, and requests made later are refused."""
        slow = Slow()
        client = self.converse(slow)
        first = client.begin("/first")
        self.connections.drain(10)
        client.pump()
        self.assertEqual([(frame.error_code, frame.last_stream_id) for frame in client.goodbyes], [(0, first)])
        later = client.begin("/later")
        self.assertEqual(client.answers[later].reset, ErrorCodes.REFUSED_STREAM)
        self.assertEqual(len(slow.requests), 1)
        self.assertFalse(client.transport.disconnecting)
        slow.requests[0].write(b"whole")
        slow.requests[0].finish()
        client.pump()
        self.assertEqual((client.answers[first].body, client.answers[first].ended), (b"whole", True))
        self.assertTrue(client.transport.disconnecting)
        self.assert_nothing_stays()

    def test_drain_while_the_transport_is_full(self) -> None:
        """The goodbye is written while the transport is full, which says so again; the answer still comes."""
        slow = Slow()
        client = self.converse(slow)
        asked = client.begin("/asked")
        channel: Any = next(iter(self.connections._channels))
        channel.pauseProducing()
        slow.requests[0].write(b"whole")
        client.pump()
        self.connections.drain(10)
        channel.pauseProducing()
        channel.resumeProducing()
        slow.requests[0].finish()
        client.pump()
        self.assertEqual((client.answers[asked].body, client.answers[asked].ended), (b"whole", True))

    def test_drain_arriving(self) -> None:
        """A request that has begun to come is answered, and what comes of one that was refused disturbs nobody."""
        client = self.converse(Quick())
        first = client.begin("/first", "PUT", end=False)
        self.connections.drain(10)
        later = client.conn.get_next_available_stream_id()
        client.begin_unheard(later, "/later")
        client.conn.send_data(later, b"x")
        client.conn.send_data(later, b"x", end_stream=True)
        client.conn.send_data(first, b"x", end_stream=True)
        client.pump()
        self.assertEqual((client.answers[first].body, client.answers[first].ended), (b"/first", True))
        self.assertEqual(client.answers[later].reset, ErrorCodes.REFUSED_STREAM)
        self.assert_nothing_stays()

    def test_drain_has_an_end(self) -> None:
        """What is not answered in time is cut off."""
        client = self.converse(Slow())
        client.begin("/")
        self.connections.drain(10)
        self.reactor.advance(10)
        self.assertTrue(client.transport.disconnected)
        self.assert_nothing_stays()

    def test_client_resets(self) -> None:
        """A client that takes a request back is not answered, the request hears of it, and the connection lives on."""
        slow = Slow()
        client = self.converse(slow)
        stream = client.begin("/")
        left: list[Failure] = []
        slow.requests[0].notifyFinish().addErrback(left.append)
        client.conn.reset_stream(stream)
        client.pump()
        self.assertEqual((len(left), self.connections.waiting()), (1, 1))
        self.assertFalse(client.transport.disconnecting)
        self.assert_nothing_stays()

    def test_client_leaves(self) -> None:
        """A client that leaves in the middle of a file leaves nothing behind."""
        client = self.converse(self.root, window=0)
        before = len(os.listdir(FILES))
        client.begin(BLOB_PATH)
        client.begin("/v2/", "PUT", end=False)
        self.assert_nothing_stays()
        self.assertEqual(len(os.listdir(FILES)), before)

    def test_client_says_goodbye(self) -> None:
        """A client that says goodbye is closed at once, and cut off if it does not leave."""
        self.client.ask("/v2/")
        self.client.conn.close_connection()
        self.client.pump()
        self.assertTrue(self.client.transport.disconnecting)
        self.assertEqual(self.connections.waiting(), 0)
        self.reactor.advance(15)
        self.assertTrue(self.client.transport.disconnected)
        self.assert_nothing_stays()

    def test_nonsense(self) -> None:
        """Bytes that are no HTTP/2 end the connection, and nothing is logged as an error."""
        self.client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
        self.assertTrue(self.client.transport.disconnecting)
        self.assert_nothing_stays()

    def test_nonsense_while_answering(self) -> None:
        """Also while a request is being answered."""
        slow = Slow()
        client = self.converse(slow)
        client.begin("/")
        left: list[Failure] = []
        slow.requests[0].notifyFinish().addErrback(left.append)
        client.send(b"\xff" * 100)
        self.assertTrue(client.transport.disconnecting)
        self.assertEqual(len(left), 1)
        self.assert_nothing_stays()


NAMES = st.sampled_from([":method", ":path", ":scheme", ":authority", ":x", "host", "x", "a b", "Upper", "", "te", "é"])
VALUES = st.sampled_from(["GET", "CONNECT", "/", "*", "x:1", "", "http", " a", "a\nb", "100-continue", "5", "trailers"])
METHODS = st.sampled_from(["GET", "HEAD", "PUT", "CONNECT", "", "G T"])
PATHS = st.sampled_from(["/", "", "x", "*", "/%"])
HEADS = st.one_of(
    st.lists(st.tuples(NAMES, VALUES), max_size=6),
    st.tuples(METHODS, PATHS).map(
        lambda ask: [(":method", ask[0]), (":path", ask[1]), (":scheme", "https"), (":authority", "x")]
    ),
)
STREAMS = st.integers(0, 9)
FRAMES = st.one_of(
    st.builds(DataFrame, STREAMS.filter(bool), st.binary(max_size=20), flags=st.sampled_from([(), ("END_STREAM",)])),
    st.builds(RstStreamFrame, STREAMS.filter(bool), st.integers(0, 20)),
    st.builds(PriorityFrame, STREAMS.filter(bool), STREAMS, st.integers(0, 255)),
    st.builds(PingFrame, st.just(0), st.just(b"12345678")),
    st.builds(SettingsFrame, st.just(0), st.dictionaries(st.integers(1, 8), st.integers(0, 70_000), max_size=2)),
    st.tuples(STREAMS.filter(bool), HEADS, st.sampled_from([("END_HEADERS",), ("END_HEADERS", "END_STREAM"), ()])),
    st.binary(max_size=12),
)


class FuzzTests(H2Case):
    """Any frames."""

    @settings(max_examples=300)
    @given(st.lists(FRAMES, max_size=10), st.sampled_from([0, 3, 65535]), st.booleans())
    def test_any_frames(self, frames: list[Any], window: int, drains: bool) -> None:
        """Whatever a client sends, nothing is logged as an error, the connection ends, and nothing stays behind."""
        client = self.converse(self.root, window=window)
        for frame in frames:
            if not client.transport.disconnecting:
                client.protocol.dataReceived(_bytes(client, frame))
                self.reactor.advance(0)
        if drains:
            self.connections.drain(60)
        self.reactor.pump([1.0] * 120)
        self.assertTrue(client.transport.disconnecting or client.transport.disconnected)
        self.assert_nothing_stays()


def _bytes(client: H2Client, frame: Any) -> bytes:
    if isinstance(frame, Frame):
        return frame.serialize()
    if isinstance(frame, bytes):
        return frame
    stream, head, flags = frame
    return HeadersFrame(stream, client.conn.encoder.encode(head), flags=flags).serialize()


class ChoiceTests(SiteCase):
    """What the handshake agrees on."""

    def setUp(self) -> None:
        """Speak both."""
        super().setUp()
        self.serve(self.root, http2=True)

    def test_http1(self) -> None:
        """A client that agreed on HTTP/1.1, or on nothing, speaks that."""
        for negotiated in (b"http/1.1", None):
            protocol: Any = self.site.buildProtocol(PEER)
            transport = TLSTransport(negotiated, PEER)
            protocol.makeConnection(transport)
            protocol.dataReceived(b"too early")
            protocol.handshakeCompleted()
            protocol.dataReceived(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual([got.status for got in read_all(transport.value())], [200])
            protocol.connectionLost(Failure(ConnectionResetError()))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_drain_in_a_handshake(self) -> None:
        """A connection in its handshake ends with the endpoint; nothing was asked on it."""
        protocol: Any = self.site.buildProtocol(PEER)
        transport = TLSTransport(None, PEER)
        protocol.makeConnection(transport)
        self.connections.drain(10)
        self.assertTrue(transport.disconnected)
        protocol.connectionLost(Failure(ConnectionResetError()))

    def test_offered(self) -> None:
        """Both are offered, HTTP/2 first."""
        self.assertEqual(self.site.acceptableProtocols(), [b"h2", b"http/1.1"])

    def test_over_tls(self) -> None:
        """Over real TLS each client gets what it asks for, and a connection that is drained is closed."""
        authority, folder = Authority(time.time()), self.mktemp()
        chain, key = authority.issue("r.example.com")
        Path(folder).write_bytes(authority.root)
        tls = StandardTLS(self.reactor, HTTP2)
        tls.prepare([parse_certificate("r.pem", chain, "r.pem", key)])()
        gate = Gate(tls.wrap(self.site), self.connections, self.reactor)
        answered = b"HTTP/1.1 200 "
        for offered, began in ((["h2", "http/1.1"], b"\x00\x00"), (["http/1.1"], answered), ([], answered)):
            context = ssl.create_default_context(cafile=folder)
            context.set_alpn_protocols(offered)
            client = Client(gate.buildProtocol(PEER), self.reactor, context, "r.example.com", None)
            client.shake()
            self.assertEqual(client.tls.selected_alpn_protocol(), offered[0] if offered else None)
            if offered[:1] != ["h2"]:
                client.tls.write(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
                client.pump()
            self.assertTrue(client.tls.read(10000).startswith(began))
            self.connections.draining = False
            self.connections.drain(10)
            client.pump()
            while client.tls.read(10000):  # raises unless the end was told
                pass
            client.protocol.connectionLost(Failure(ConnectionResetError()))
            self.connections.draining = False
        self.assertEqual(self.connections.open(), 0)
