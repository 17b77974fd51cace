"""Tests of the Twisted Web side: requests as they come over the wire, in memory."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from twisted.web.server import Site

from sdr.catalog.catalog import Catalog, State
from sdr.catalog.sources import Fetched
from sdr.cdn.locations import OwnTree
from sdr.endpoint.rules import Rules
from sdr.endpoint.web import Root
from sdr.tree.keys import manifest_key
from tests.endpoint.trees import BODY, DIGEST, NAME, REDIRECT, at_once, endpoint, polled_catalog, write, write_tree


class _Response:
    def __init__(self, response: Any, body: bytes) -> None:
        self.code = response.code
        self.headers = response.headers
        self.length = response.length
        self.body = body

    def header(self, name: str) -> str | None:
        values: list[str] = self.headers.getRawHeaders(name, [])
        return values[0] if values else None


class RequestTests(SynchronousTestCase):
    """One request at a time, over a catalog of a directory."""

    def setUp(self) -> None:
        """Make a tree, and an endpoint over it."""
        self.root = Path(self.mktemp())
        write_tree(self.root)
        self.clock = Clock()

    def ask(self, method: str, path: str, rules: Rules = REDIRECT, **headers: str) -> _Response:
        """Ask an endpoint in memory."""
        catalog = polled_catalog(self.root, self.clock, keep_bodies=rules.inline)
        agent = RequestTraversalAgent(endpoint(catalog, rules))
        asking = HTTPClient(agent).request(
            method,
            f"http://registry.example.com{path}",
            headers=Headers({k: [v] for k, v in headers.items()}),
            allow_redirects=False,
        )
        response: Any = self.successResultOf(asking)
        body = self.successResultOf(response.content())
        return _Response(response, body)

    def test_known_tag(self) -> None:
        """A tag is redirected to its digest on the CDN, with an exact length and no body."""
        got = self.ask("GET", f"/v2/{NAME}/manifests/1.0")
        self.assertEqual(got.code, 307)
        self.assertEqual(got.header("Location"), f"https://cdn.example.com/tree/{manifest_key(NAME, DIGEST)}")
        self.assertEqual((got.length, got.body), (0, b""))
        self.assertEqual(got.header("Docker-Distribution-Api-Version"), "registry/2.0")

    def test_head(self) -> None:
        """HEAD of a tag is answered from memory."""
        got = self.ask("HEAD", f"/v2/{NAME}/manifests/1.0")
        self.assertEqual((got.code, got.body), (200, b""))
        self.assertEqual(got.header("Docker-Content-Digest"), str(DIGEST))

    def test_inline(self) -> None:
        """With inline manifests the bytes come from the store, through the endpoint."""
        got = self.ask("GET", f"/v2/{NAME}/manifests/1.0", replace(REDIRECT, inline=True))
        self.assertEqual((got.code, got.body), (200, BODY))

    def test_look(self) -> None:
        """A tag that no document has is found by its own object."""
        write(self.root, manifest_key(NAME, "new"), BODY)
        got = self.ask("HEAD", f"/v2/{NAME}/manifests/new")
        self.assertEqual((got.code, got.header("Docker-Content-Digest")), (200, str(DIGEST)))

    def test_two_looks(self) -> None:
        """A repository that no list has is found by its manifest's own object."""
        write(self.root, manifest_key("acme/other", "new"), BODY)
        self.assertEqual(self.ask("GET", "/v2/acme/other/manifests/new").code, 307)

    def test_404(self) -> None:
        """What is not in the store is 404, in the specification's JSON."""
        got = self.ask("GET", f"/v2/{NAME}/manifests/none")
        self.assertEqual((got.code, got.header("Content-Type")), (404, "application/json"))
        self.assertIn(b"MANIFEST_UNKNOWN", got.body)

    def test_304(self) -> None:
        """A client that has the manifest gets 304, without a body and without a length."""
        got = self.ask(
            "GET", f"/v2/{NAME}/manifests/1.0", replace(REDIRECT, inline=True), **{"If-None-Match": f'"{DIGEST}"'}
        )
        self.assertEqual((got.code, got.body), (304, b""))

    def test_other_methods(self) -> None:
        """Methods that Twisted Web does not know get the same 405 as those that it does."""
        for method in ("POST", "PUT", "PATCH", "DELETE", "BREW"):
            for path in ("/v2/", "/", "/nowhere"):
                got = self.ask(method, path)
                self.assertEqual((got.code, got.header("Allow")), (405, "GET, HEAD"), f"{method} {path}")

    def test_raw_paths(self) -> None:
        """Escapes, dot segments and doubled slashes are seen as they were sent, and are 404."""
        for path in (f"/v2/{NAME}%2Fx/tags/list", "/v2/../v2/", "//v2/", "/%76%32/", "/v2/%2e%2e/tags/list", "/v2%2F"):
            self.assertEqual(self.ask("GET", path).code, 404, path)

    def test_any_bytes(self) -> None:
        """Whatever bytes a client sends in a header, it is answered."""
        agent = RequestTraversalAgent(endpoint(polled_catalog(self.root, self.clock), REDIRECT))
        for name in (b"Accept", b"Host", b"If-None-Match", b"User-Agent"):
            url = f"http://registry.example.com/v2/{NAME}/tags/list".encode()
            response = self.successResultOf(agent.request(b"GET", url, Headers({name: [b"\xff\xfe"]})))
            self.assertEqual(response.code, 200, name)

    def test_no_cookies_no_version(self) -> None:
        """Answers do not tell which Twisted this is."""
        self.assertEqual(self.ask("GET", "/v2/").header("Server"), "sdr")


class _Waiting:
    """A store whose answers come when a test says so."""

    location = "http://store.example"

    def __init__(self) -> None:
        self.asked: list[Deferred[Fetched]] = []

    async def fetch(self, key: str, *, limit: int, seconds: float, etag: str = "") -> Fetched:
        """Wait."""
        answer: Deferred[Fetched] = Deferred()
        self.asked.append(answer)
        return await answer

    def stop(self) -> Deferred[None]:
        """Never called here."""
        raise AssertionError


class WaitingTests(SynchronousTestCase):
    """Requests that wait for a look at the store."""

    def setUp(self) -> None:
        """Make an endpoint over a store that does not answer yet, and a connection to it."""
        self.store = _Waiting()
        self.catalog = Catalog(self.store, Clock(), 30.0, at_once)
        self.catalog.state = State.LOADED
        self.clock = Clock()
        self.site = Site(endpoint(self.catalog), reactor=self.clock)

    def connect(self, root: Root | None = None) -> tuple[Any, StringTransport]:
        """Open a connection in memory."""
        protocol: Any = self.site.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def test_client_leaves(self) -> None:
        """A client that leaves while its question waits costs no error, and the next client gets its answer."""
        leaving, _ = self.connect()
        leaving.dataReceived(b"GET /v2/a/manifests/1 HTTP/1.1\r\nHost: x\r\n\r\n")
        staying, transport = self.connect()
        staying.dataReceived(b"GET /v2/a/manifests/1 HTTP/1.1\r\nHost: x\r\n\r\n")
        leaving.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(len(self.store.asked), 1, "one look serves both")
        self.store.asked[0].callback(Fetched(404))
        self.store.asked[1].callback(Fetched(200, BODY))
        self.assertIn(b"HTTP/1.1 307 ", transport.value())
        self.assertIn(str(DIGEST).encode(), transport.value())
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_pipelined_requests_in_order(self) -> None:
        """A request that waits holds back the one behind it on the same connection, and no other."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"GET /v2/a/manifests/1 HTTP/1.1\r\nHost: x\r\n\r\nGET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(transport.value(), b"")
        self.store.asked[0].callback(Fetched(404))
        self.store.asked[1].callback(Fetched(404))
        first, second = transport.value().split(b"HTTP/1.1 ")[1:]
        self.assertTrue(first.startswith(b"404 "))
        self.assertTrue(second.startswith(b"200 "))

    def test_unexpected_error(self) -> None:
        """An error of ours is logged and told as 500 in JSON, and the endpoint lives on."""

        def broken(name: str) -> bool:
            raise RuntimeError("broken")

        self.catalog.is_absent = broken  # type: ignore[method-assign]
        protocol, transport = self.connect()
        protocol.dataReceived(f"GET /v2/a/blobs/{DIGEST} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.assertIn(b"HTTP/1.1 500 ", transport.value())
        self.assertIn(b'"code":"UNKNOWN"', transport.value())
        self.assertIn(b"Docker-Distribution-Api-Version: registry/2.0", transport.value())
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        transport.clear()
        protocol.dataReceived(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b"HTTP/1.1 200 ", transport.value())

    def test_two_hosts(self) -> None:
        """Two Host headers are none: with `--cdn DIR` neither of them gets into a redirect."""
        self.site.resource = endpoint(self.catalog, Rules(OwnTree(None)))
        protocol, transport = self.connect()
        protocol.dataReceived(f"GET /v2/a/blobs/{DIGEST} HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n".encode())
        self.assertIn(b"HTTP/1.1 400 ", transport.value())
        self.assertNotIn(b"Location", transport.value())
