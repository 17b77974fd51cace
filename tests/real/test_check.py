"""``sdr check`` through real web servers: what they do to a tree is found, and nothing else."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.check.checking import Checker
from sdr.publish.check.findings import Checked, Fault
from sdr.publish.check.web_reader import WebReader
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Silent
from sdr.registry.media_types import JSON, NDJSON
from sdr.stores.directory import DirectoryStore
from sdr.stores.interface import NotReachable, NotThere, StoreError
from tests.publish.trees import snapshot
from tests.real import pulling
from tests.real.programs import folder, free_port
from tests.real.servers import Endpoint, Nginx, caching_nginx, directory_nginx

#: What compresses everything for a client that can take it.
GZIP = "gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;"


def check(url: str, *, deep: bool = False, name: str | None = None) -> Checked:
    """Check the published images through a CDN."""
    store = DirectoryStore(pulling.published())
    return Checker(store, Jobs(8), Silent(), WebReader(url, pauses=(0.01,))).check(name=name, deep=deep)


def keys() -> set[str]:
    """Return the keys of the tree."""
    return {key for key in snapshot(pulling.published()) if key.startswith(("v2/", "blobs/"))}


class ServersTests(SynchronousTestCase):
    """Web servers as people set them up, well and less well."""

    def faults(self, checked: Checked) -> dict[Fault, set[str]]:
        """Return the keys with each fault."""
        found: dict[Fault, set[str]] = {}
        for finding in checked.findings:
            found.setdefault(finding.fault, set()).add(finding.key)
        return found

    def tree(self) -> str:
        """Return the URL of the tree, as the endpoint serves it."""
        endpoint = Endpoint("--cdn", str(pulling.published())).start()
        self.addCleanup(endpoint.stop)
        return f"{endpoint.url}/tree"

    def started(self, nginx: Nginx) -> str:
        """Start an nginx and return its URL."""
        nginx.start()
        self.addCleanup(nginx.stop)
        return nginx.url

    def caching(self, more: str) -> str:
        """Return the URL of an nginx that caches what the endpoint serves, and has some lines more."""
        changes = {
            "https://store.example.com/tree": self.tree(),
            "/var/cache/nginx/sdr": str(folder()),
            "proxy_cache sdr;": f"proxy_cache sdr; {more}",
        }
        return self.started(Nginx("caching.conf", changes))

    def test_endpoint(self) -> None:
        """The tree that the endpoint serves is as it should be, blobs read whole."""
        checked = check(self.tree(), deep=True)
        self.assertEqual((checked.findings, checked.objects), ((), len(keys())))

    def test_one_repository(self) -> None:
        """One repository is checked alone."""
        checked = check(self.tree(), name=pulling.SINGLE)
        self.assertEqual(checked.findings, ())
        self.assertLess(checked.objects, len(keys()))

    def test_caching_nginx(self) -> None:
        """So is it behind nginx that caches, when it comes from the cache too."""
        url = self.started(caching_nginx(self.tree()))
        for _ in range(2):
            self.assertEqual(check(url, deep=True).findings, ())

    def test_nginx_over_a_directory(self) -> None:
        """Nginx over a directory serves the blobs as they should be; what it cannot know of manifests is found."""
        found = self.faults(check(self.started(directory_nginx(pulling.published())), deep=True))
        self.assertEqual(found.keys(), {Fault.TYPE, Fault.CACHING})
        self.assertEqual([key for key in set().union(*found.values()) if key.startswith("blobs/")], [])
        self.assertEqual({key for key in keys() if "/manifests/" in key} - found[Fault.TYPE], set())

    def test_nginx_that_compresses(self) -> None:
        """Everything that a client would be sent compressed is found, and that is its one fault."""
        self.assertEqual(self.faults(check(self.caching(GZIP), deep=True)), {Fault.ENCODING: keys()})

    def test_nginx_that_adds_a_charset(self) -> None:
        """So is a charset."""
        checked = check(self.caching("charset utf-8; charset_types *;"), deep=True)
        self.assertEqual(self.faults(checked), {Fault.TYPE: keys()})
        self.assertIn("charset=utf-8 where", str(checked.findings[0]))

    def test_nginx_that_has_its_own_caching(self) -> None:
        """So is a Cache-Control that is overwritten."""
        more = "proxy_hide_header Cache-Control; add_header Cache-Control max-age=3600 always;"
        self.assertEqual(self.faults(check(self.caching(more), deep=True)), {Fault.CACHING: keys()})

    def test_nginx_without_types(self) -> None:
        """Without a type, every object is found, and what each client makes of the manifests is told."""
        more = "proxy_hide_header Content-Type;"
        checked = check(self.caching(more), deep=True)
        self.assertEqual(self.faults(checked), {Fault.TYPE: keys()})
        manifest = next(finding for finding in checked.findings if "/manifests/" in finding.key)
        self.assertIn('docker fails: "missing or empty Content-Type"', str(manifest))

    def test_nginx_with_one_type(self) -> None:
        """With the same type for all, what has another is found."""
        more = f"proxy_hide_header Content-Type; add_header Content-Type {JSON};"
        found = self.faults(check(self.caching(more)))
        self.assertIn(f"v2/{pulling.SINGLE}/manifests/1.0", found[Fault.TYPE])
        self.assertNotIn(f"v2/{pulling.SINGLE}/tags/list", found[Fault.TYPE])
        self.assertIn(NDJSON, str([str(finding) for finding in check(self.caching(more)).findings]))

    def test_nginx_without_ranges(self) -> None:
        """Blobs of which no part can be had are found."""
        found = self.faults(check(self.caching("max_ranges 0; proxy_force_ranges off; proxy_set_header Range '';")))
        self.assertEqual(found, {Fault.RANGE: {key for key in keys() if key.startswith("blobs/")}})

    def test_wrong_url(self) -> None:
        """A URL behind which there is no tree is one error."""
        self.assertRaises(NotThere, check, f"{self.tree()}/not")

    def test_nobody_there(self) -> None:
        """A CDN that does not answer is one error in one line, that says why."""
        url = f"http://127.0.0.1:{free_port()}"
        error = self.assertRaises(NotReachable, check, url)
        self.assertRegex(str(error), rf"^{url}: v2/_repositories.json: [^\n]*Connection refused$")


#: Answers one request of a test.
Answering = Callable[[BaseHTTPRequestHandler], None]


class WebReaderTests(SynchronousTestCase):
    """One request at a time, to a server that answers what the test says."""

    def reader(self, answer: Answering) -> WebReader:
        """Start a server and return what reads from it."""
        asked = self.asked = []

        class Asked(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                asked.append((self.path, dict(self.headers)))
                answer(self)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Asked)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return WebReader(f"http://127.0.0.1:{server.server_port}/base/", pauses=(0.01, 0.01))

    asked: list[tuple[str, dict[str, str]]]

    def test_requests_are_those_of_clients(self) -> None:
        """GET asks for gzip as docker does, a part and HEAD do not; the types of manifests are accepted."""
        reader = self.reader(lambda request: say(request, 200, b"body"))
        reader.head("a:b")
        for part in ({}, {"start": 3, "size": 4}):
            with reader.get("a:b", **part) as reply:
                self.assertEqual(b"".join(reply.pieces), b"body")
        self.assertEqual({path for path, _ in self.asked}, {"/base/a:b"})
        self.assertEqual([headers.get("Accept-Encoding") for _, headers in self.asked], [None, "gzip", None])
        self.assertEqual([headers.get("Range") for _, headers in self.asked], [None, None, "bytes=3-6"])
        self.assertIn("application/vnd.oci.image.index.v1+json", self.asked[0][1]["Accept"])

    def test_nothing_is_decoded(self) -> None:
        """A body is as it was sent, whatever it says of itself."""
        reader = self.reader(lambda request: say(request, 200, b"not gzip", Content_Encoding="gzip"))
        with reader.get("key") as reply:
            self.assertEqual(b"".join(reply.pieces), b"not gzip")
            self.assertEqual(reply.served.content_encoding if reply.served else None, "gzip")

    def test_redirects(self) -> None:
        """Redirects are followed with all that was asked for; a loop ends."""

        def redirect(request: BaseHTTPRequestHandler) -> None:
            if request.path == "/there":
                say(request, 200, b"there")
            else:
                say(request, 307, b"", Location="/base/loop" if "loop" in request.path else "/there")

        reader = self.reader(redirect)
        with reader.get("key", start=0, size=2) as reply:
            self.assertEqual((reply.status, b"".join(reply.pieces)), (200, b"there"))
        self.assertEqual(self.asked[-1][1]["Range"], "bytes=0-1")
        error = self.assertRaises(StoreError, reader.head, "loop")
        self.assertIn("more than 5 redirects", str(error))

    def test_busy(self) -> None:
        """What is busy is asked again, a few times."""
        reader = self.reader(lambda request: say(request, 503 if len(self.asked) < 3 else 200, b""))
        self.assertEqual((reader.head("key").status, len(self.asked)), (200, 3))
        del self.asked[:]
        reader = self.reader(lambda request: say(request, 503, b""))
        self.assertEqual((reader.head("key").status, len(self.asked)), (503, 3))

    def test_broken_off(self) -> None:
        """A body that is shorter than announced is an error that says so, and no body."""

        def short(request: BaseHTTPRequestHandler) -> None:
            request.close_connection = True
            say(request, 200, b"short", Content_Length="10")

        with self.reader(short).get("key") as reply:
            error = self.assertRaises(StoreError, list, reply.pieces)
        self.assertRegex(str(error), r"key: it ends after [05] bytes: [^\n]+$")

    def test_urls(self) -> None:
        """What is no CDN's URL is refused."""
        for text in ("", "cdn.example.com", "ftp://cdn", "https://", "https://cdn/?x", "https://cdn/#x", "http://[::1"):
            self.assertRaises(ValueError, WebReader, text)


def say(request: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    """Answer a request, with ``_`` for ``-`` in the names of headers."""
    request.send_response(status)
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)
