"""Tests of a store over HTTP(S) as a source: what it is asked, and what is made of the answers."""

from collections.abc import Sequence
from typing import Any, cast

from treq.testing import RequestTraversalAgent
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions, KeyPair
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.test.iosim import FakeTransport, connect
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import URI, Agent
from twisted.web.http import Request
from twisted.web.iweb import IAgentEndpointFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from sdr.catalog.http_source import HTTPSource
from sdr.catalog.sources import Fetched, FetchFailed
from tests.catalog.polled import URL
from tests.catalog.store import FakeStore, Reply, StoreResource
from tests.catalog.wire import ADDRESS, Raw, Wire, head

LIMIT = 1000


class HTTPSourceTests(SynchronousTestCase):
    """A store over HTTP that does what it should."""

    def setUp(self) -> None:
        """Make a store with one object."""
        self.store = FakeStore()
        self.store.objects["v2/x"] = b"hello"
        self.clock = Clock()

    def fetch(self, key: str = "v2/x", etag: str = "", resource: Resource | None = None) -> Deferred[Fetched]:
        """Fetch the object."""
        agent = RequestTraversalAgent(resource or StoreResource(self.store))
        source = HTTPSource(f"{URL}/base", agent, self.clock)
        return Deferred.fromCoroutine(source.fetch(key, limit=LIMIT, seconds=2.0, etag=etag))

    def test_found(self) -> None:
        """A key is put behind the base, and the object comes with its validator."""
        self.store.objects["base/v2/x"] = b"hello"
        got = self.successResultOf(self.fetch())
        self.assertEqual((got.status, got.body), (200, b"hello"))
        self.assertEqual(self.store.keys_asked(), ["base/v2/x"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_not_modified(self) -> None:
        """The validator goes back, and 304 keeps it."""
        self.store.objects["base/v2/x"] = b"hello"
        first = self.successResultOf(self.fetch())
        self.assertEqual(self.successResultOf(self.fetch(etag=first.etag)), Fetched(304, b"", first.etag))
        self.assertEqual(self.store.asked[-1].if_none_match, first.etag)

    def test_missing(self) -> None:
        """A page that says 404 or 403 is that status and nothing else."""
        for status in (403, 404):
            self.store.down = Reply(status, b"<h1>No</h1>")
            self.assertEqual(self.successResultOf(self.fetch()), Fetched(status))

    def test_key_is_sent_as_it_is(self) -> None:
        """The colon of a digest is sent as it is."""
        key = f"v2/acme/app/manifests/sha256:{'0' * 64}"
        self.successResultOf(self.fetch(key))
        self.assertEqual(self.store.keys_asked(), [f"base/{key}"])

    def test_etag_of_any_bytes(self) -> None:
        """A validator that is not ASCII, or not even text, goes back byte for byte."""
        seen: list[Sequence[bytes]] = []

        class Odd(Resource):
            isLeaf = True

            def render_GET(self, request: Request) -> bytes:
                seen.append(request.requestHeaders.getRawHeaders(b"if-none-match", []))
                request.setHeader(b"ETag", b'"\xe2\x82\xac\xff"')
                return b"x"

        first = self.successResultOf(self.fetch(resource=Odd()))
        self.successResultOf(self.fetch(etag=first.etag, resource=Odd()))
        self.assertEqual(seen, [[], [b'"\xe2\x82\xac\xff"']])

    def test_request(self) -> None:
        """A request names sdr, asks for no compression, and never brings a cookie back."""
        seen: list[dict[bytes, Sequence[bytes]]] = []

        class Curious(Resource):
            isLeaf = True

            def render_GET(self, request: Request) -> bytes:
                seen.append(dict(request.requestHeaders.getAllRawHeaders()))
                request.addCookie(b"session", b"1", path=b"/")
                return b"x"

        source = HTTPSource(URL, RequestTraversalAgent(Curious()), self.clock)
        for _ in range(2):
            self.successResultOf(Deferred.fromCoroutine(source.fetch("x", limit=LIMIT, seconds=2.0)))
        for headers in seen:
            self.assertEqual(headers[b"User-Agent"], [b"sdr"])
            self.assertEqual(headers[b"Accept-Encoding"], [b"identity"])
            self.assertNotIn(b"Cookie", headers)

    def test_retry_after(self) -> None:
        """The seconds that a store asks for are told, up to five minutes; a date or nonsense is not."""
        for value, seconds in [("7", 7.0), ("9999", 300.0), ("9" * 400, 300.0), ("-1", 0.0), ("1e3", 0.0), ("²", 0.0)]:
            self.store.down = Reply(503, b"", {"Retry-After": value})
            failure = self.failureResultOf(self.fetch(), FetchFailed)
            self.assertEqual(cast(FetchFailed, failure.value).retry_after, seconds, value)

    def size(self, resource: Resource) -> Deferred[int | None]:
        """Ask how large an object is."""
        source = HTTPSource(URL, RequestTraversalAgent(resource), self.clock)
        return Deferred.fromCoroutine(source.size("images/x/layer", seconds=2.0))

    def test_size(self) -> None:
        """The size of an object is asked for without the object."""
        self.store.objects["images/x/layer"] = bytes(10 * LIMIT)
        self.assertEqual(self.successResultOf(self.size(StoreResource(self.store))), 10 * LIMIT)
        self.store.objects["images/x/layer"] = b""
        self.assertEqual(self.successResultOf(self.size(StoreResource(self.store))), 0)
        for status in (403, 404):
            self.store.down = Reply(status)
            self.assertIsNone(self.successResultOf(self.size(StoreResource(self.store))))
        for status in (301, 401, 500, 503):
            self.store.down = Reply(status)
            self.failureResultOf(self.size(StoreResource(self.store)), FetchFailed)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_size_not_told(self) -> None:
        """A size that is not told, or is no number, is a failure: docker would trust it."""
        for length in (None, b"-1", b"x", b"\xb2"):

            class Odd(Resource):
                isLeaf = True
                told = length

                def render_HEAD(self, request: Request) -> int:
                    if self.told is not None:
                        request.setHeader(b"Content-Length", self.told)
                    request.write(b"")
                    request.finish()
                    return NOT_DONE_YET

            failure = self.failureResultOf(self.size(Odd()), FetchFailed)
            self.assertIn("length", str(failure.value).lower())

    def test_percent_signs(self) -> None:
        """A percent sign in a key is the key's own: the registry of 2014 quoted names."""
        self.successResultOf(self.fetch("repositories/a/b%2Fc/tags"))
        self.assertEqual(self.store.keys_asked(), ["base/repositories/a/b%252Fc/tags"])

    def test_stop(self) -> None:
        """Stopping closes the agent's idle connections, where it keeps any."""
        stopped: Deferred[None] = Deferred()
        agent = RequestTraversalAgent(StoreResource(self.store))
        self.assertIs(HTTPSource(URL, agent, self.clock, lambda: stopped).stop(), stopped)
        self.assertIsNone(self.successResultOf(HTTPSource(URL, agent, self.clock).stop()))


class HTTPSourceWireTests(SynchronousTestCase):
    """A store over HTTP, byte by byte."""

    def setUp(self) -> None:
        """Make a store at the end of a wire."""
        self.clock = Clock()
        self.store = FakeStore()
        self.store.objects["x"] = b"hello"
        self.wire = Wire(self.store, self.clock)
        self.source = HTTPSource(URL, self.wire.agent, self.clock, self.wire.pool.closeCachedConnections)

    def fetch(self, etag: str = "") -> Deferred[Fetched]:
        """Begin to fetch the object."""
        fetching = Deferred.fromCoroutine(self.source.fetch("x", limit=LIMIT, seconds=2.0, etag=etag))
        self.wire.settle()
        return fetching

    def test_whole(self) -> None:
        """A body in pieces is put together."""
        self.wire.raw["x"] = Raw([head(Content_Length=10), b"01234", b"567", b"89"])
        self.assertEqual(self.successResultOf(self.fetch()).body, b"0123456789")

    def test_chunked(self) -> None:
        """A chunked body is put together."""
        self.wire.raw["x"] = Raw([head(Transfer_Encoding="chunked"), b"5\r\n01234\r\n1\r\n5\r\n0\r\n\r\n"])
        self.assertEqual(self.successResultOf(self.fetch()).body, b"012345")

    def test_until_the_end(self) -> None:
        """A body without a length ends where the connection does."""
        self.wire.raw["x"] = Raw([head(), b"01234"], close=True)
        self.assertEqual(self.successResultOf(self.fetch()).body, b"01234")

    def test_not_modified(self) -> None:
        """A 304 that does not repeat the validator leaves it as it was; one with another brings that."""
        self.wire.raw["x"] = Raw([head("304 Not Modified")])
        self.assertEqual(self.successResultOf(self.fetch('"a"')), Fetched(304, b"", '"a"'))
        self.wire.raw["x"] = Raw([head("304 Not Modified", ETag='W/"b"')])
        self.assertEqual(self.successResultOf(self.fetch('"a"')), Fetched(304, b"", 'W/"b"'))

    def test_compressed_page(self) -> None:
        """A page that says 404 is that, though it is compressed, and badly."""
        self.wire.raw["x"] = Raw([head("404 Not Found", Content_Length=4, Content_Encoding="gzip") + b"oops"])
        self.assertEqual(self.successResultOf(self.fetch()), Fetched(404))

    def test_limit(self) -> None:
        """A body of exactly the limit is read; one byte more is not, however it comes."""
        self.wire.raw["x"] = Raw([head(Content_Length=LIMIT), b"x" * LIMIT])
        self.assertEqual(len(self.successResultOf(self.fetch()).body), LIMIT)
        for raw in (
            Raw([head(Content_Length=LIMIT + 1), b"x" * LIMIT, b"x"]),
            Raw([head(), b"x" * LIMIT, b"x"], close=True),
            Raw([head("404 Not Found", Content_Length=LIMIT + 1), b"x" * (LIMIT + 1)]),
        ):
            self.wire.raw["x"] = raw
            failure = self.failureResultOf(self.fetch(), FetchFailed)
            self.assertEqual(str(failure.value), "larger than 1000 bytes")

    def test_deadline_covers_the_whole(self) -> None:
        """A store that keeps sending does not win time by it."""
        pieces = iter([head(Content_Length=100)])
        self.wire.raw["x"] = Raw(pieces)
        fetching = self.fetch()
        connection = self.wire.connections[0]
        for _ in range(15):
            self.clock.advance(0.125)
            connection.client.dataReceived(b"x")
        self.assertNoResult(fetching)
        self.clock.advance(0.125)
        self.failureResultOf(fetching, FetchFailed)
        self.assertEqual(self.wire.open, [])

    def test_kinds(self) -> None:
        """What went wrong is said in one of few words, too."""
        for raw, kind in (
            (Raw([head("500 Oops", Content_Length=0)]), "status"),
            (Raw([head(Content_Length=LIMIT + 1), b"x" * (LIMIT + 1)]), "too_large"),
            (Raw([head(Content_Length=4, Content_Encoding="gzip") + b"oops"]), "malformed"),
            (Raw([head(Content_Length=4) + b"oo"], close=True), "unreachable"),
            (Raw([head(Content_Length=4) + b"oo"]), "timeout"),
        ):
            self.wire.raw["x"] = raw
            fetching = self.fetch()
            self.clock.pump([0.0] * 5 + [2.0, 0.0])
            self.assertEqual(cast(FetchFailed, self.failureResultOf(fetching, FetchFailed).value).kind, kind)
        self.wire.drop()
        self.wire.refuses = True
        self.assertEqual(cast(FetchFailed, self.failureResultOf(self.fetch(), FetchFailed).value).kind, "unreachable")

    def test_cancel(self) -> None:
        """A fetch that is given up ends at once at any stage, is no failure of the store, and leaves nothing."""
        self.wire.deaf = True
        connecting = self.fetch()
        self.wire.deaf = False
        self.wire.raw["x"] = Raw([])
        silent = self.fetch()
        self.wire.raw["x"] = Raw([head(Content_Length=10), b"half"])
        halfway = self.fetch()
        for fetching in (connecting, silent, halfway):
            self.assertNoResult(fetching)
            fetching.cancel()
            self.failureResultOf(fetching, CancelledError)
        self.assertEqual(self.wire.open, [])
        self.wire.settle()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_idle_connection(self) -> None:
        """Fetches one after the other share a connection, and stopping closes it."""
        for _ in range(3):
            self.successResultOf(self.fetch())
        self.assertEqual(len(self.wire.connections), 1)
        stopping = self.source.stop()
        self.wire.settle()
        self.successResultOf(stopping)
        self.assertEqual((self.wire.open, self.clock.getDelayedCalls()), ([], []))

    def test_idle_connection_that_was_closed(self) -> None:
        """A connection that the store has closed meanwhile is no failure."""
        self.successResultOf(self.fetch())
        self.wire.drop()
        self.assertEqual(self.successResultOf(self.fetch()).body, b"hello")


class _Halfway(Protocol):
    """Sends a head and half of a body, and no more."""

    def dataReceived(self, data: bytes) -> None:
        """Answer."""
        assert self.transport is not None
        self.transport.write(head(Content_Length=100) + b"half")


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class _TLSWire:
    """Leads every connection, through real TLS in memory, to a store that answers halfway."""

    def __init__(self, clock: Clock) -> None:
        self._clock = cast(IReactorTime, clock)
        certificate = KeyPair.generate(size=2048).selfSignedCert(1, CN="store.example.com")
        self._accepting = TLSMemoryBIOFactory(
            certificate.options(), False, Factory.forProtocol(_Halfway), clock=self._clock
        )

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Every URL leads here."""
        return cast(IStreamClientEndpoint, self)

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect."""
        address = cast(IAddress, ADDRESS)
        connecting = TLSMemoryBIOFactory(CertificateOptions(), True, factory, clock=self._clock)
        client, server = connecting.buildProtocol(address), self._accepting.buildProtocol(address)
        self.client_end, self.server_end = FakeTransport(client, False), FakeTransport(server, True)
        self.pump = connect(server, self.server_end, client, self.client_end)
        assert client is not None
        return succeed(cast(Any, client).wrappedProtocol)


class TLSTests(SynchronousTestCase):
    """A store over TLS, which could hold on to a connection that is closed politely."""

    def test_give_up(self) -> None:
        """A body that is given up closes the connection below TLS at once: a silent store need not agree."""
        clock = Clock()
        wire = _TLSWire(clock)
        source = HTTPSource(URL, Agent.usingEndpointFactory(cast(Any, clock), wire), clock)
        fetching = Deferred.fromCoroutine(source.fetch("x", limit=LIMIT, seconds=2.0))
        for _ in range(10):
            wire.pump.flush()
            clock.advance(0)
        self.assertFalse(wire.client_end.disconnecting)
        clock.advance(2)
        failure = self.failureResultOf(fetching, FetchFailed)
        self.assertEqual(str(failure.value), "no complete answer within 2 s")
        self.assertTrue(wire.client_end.disconnecting)
        # The store hears of it, and only now.
        wire.pump.flush()
        self.assertTrue(wire.server_end.disconnected)
