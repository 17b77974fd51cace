"""Tests of what the site makes of connections: raw bytes in, raw bytes out, and a clock that the test moves."""

import os
import re
from pathlib import Path
from typing import Any, cast

from hypothesis import assume, given
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.knowledge import Knowledge
from sdr.catalog.lookups import ABSENT, UNKNOWN
from sdr.endpoint.access import FORMS
from sdr.endpoint.access_log import AccessLog
from sdr.endpoint.accounting import Accounting
from sdr.endpoint.answer import Answer
from sdr.endpoint.answers import answer
from sdr.endpoint.connections.connections import Connections
from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.rules import Rules
from sdr.endpoint.site import EndpointSite
from sdr.endpoint.web import Questions, Root
from tests.endpoint.connections.responses import Sent, read_all
from tests.endpoint.knowledge import Table
from tests.endpoint.rows import question
from tests.endpoint.sites import SiteCase
from tests.endpoint.test_answers import etags, rules, tables, targets
from tests.endpoint.trees import BODY, DIGEST

ASK = b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"
LIMITS = Limits()


class ConnectionTests(SiteCase):
    """One connection to the site."""

    def setUp(self) -> None:
        """Connect."""
        super().setUp()
        self.connect()

    def test_keep_alive(self) -> None:
        """A connection serves one request after another, until it has been idle for too long."""
        for _ in range(3):
            self.transport.clear()
            self.protocol.dataReceived(ASK)
            self.assertIn(b"HTTP/1.1 200 ", self.transport.value())
            self.reactor.advance(LIMITS.idle_seconds - 1)
            self.assertFalse(self.transport.disconnecting)
        self.reactor.advance(2)
        self.assertTrue(self.transport.disconnecting)

    def test_silent_connection(self) -> None:
        """A connection on which nothing is ever said is closed, and no line of log is spent on it."""
        with capturedLogs() as captured:
            self.reactor.advance(LIMITS.idle_seconds + 1)
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual([event for event in captured if "client" in str(event.get("log_format"))], [])

    def test_dribbled_headers(self) -> None:
        """A request that comes a byte now and then is not waited for longer than any other."""
        for byte in b"GET /v2/ HTTP/1.1\r\nX: " + b"x" * 100:
            self.protocol.dataReceived(bytes([byte]))
            self.reactor.advance(1)
            if self.transport.disconnecting:
                break
        self.assertTrue(self.transport.disconnecting)
        self.assertLessEqual(self.reactor.seconds(), LIMITS.request_seconds + 2)

    def test_slow_body(self) -> None:
        """A body that never ends is not waited for either."""
        self.protocol.dataReceived(b"PUT /v2/a/manifests/b HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(int(LIMITS.request_seconds) + 1):
            self.protocol.dataReceived(b"x")
            self.reactor.advance(1)
        self.assertTrue(self.transport.disconnecting)

    def test_body_is_thrown_away(self) -> None:
        """A request with a body gets its answer, and the body is kept nowhere."""
        self.protocol.dataReceived(b"PUT /v2/a/manifests/b HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n")
        request = self.protocol.requests[-1]
        self.protocol.dataReceived(b"x" * 199_999)
        self.assertEqual(request.content.tell(), 0)
        self.protocol.dataReceived(b"x")
        self.assertIn(b"HTTP/1.1 405 ", self.transport.value())

    def test_large_body_is_refused(self) -> None:
        """A body that says it is large is refused before it is sent, without the invitation to send it."""
        head = b"PUT /v2/a/manifests/b HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d"
        self.protocol.dataReceived(head % (LIMITS.body_bytes + 1) + b"\r\n\r\n" + b"x" * 100)
        self.assertTrue(self.transport.value().startswith(b"HTTP/1.1 413 "))
        self.assertNotIn(b"100 Continue", self.transport.value())
        self.assertTrue(self.transport.disconnecting)

    def test_large_chunked_body_is_refused(self) -> None:
        """A body that does not say how large it is is refused once it is too large."""
        self.protocol.dataReceived(b"PUT /v2/a/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        sent = 0
        while not self.transport.disconnecting and sent < 4 * LIMITS.body_bytes:
            self.protocol.dataReceived(chunk)
            sent += len(chunk)
        self.assertIn(b"HTTP/1.1 413 ", self.transport.value())
        self.assertLess(sent, 3 * LIMITS.body_bytes)

    def test_large_headers(self) -> None:
        """Headers beyond any sense are a bad request."""
        self.protocol.dataReceived(
            b"GET /v2/ HTTP/1.1\r\n" + b"X: " + b"x" * 10_000 + b"\r\nY: " + b"y" * 10_000 + b"\r\n\r\n"
        )
        self.assertIn(b" 400 ", self.transport.value().split(b"\r\n")[0])
        self.assertTrue(self.transport.disconnecting)

    def test_garbage(self) -> None:
        """Bytes that are no HTTP end the connection, and nothing is logged as an error."""
        for garbage in (
            b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
            b"\r\n\r\n\r\n\r\n",
            b"GET\r\n\r\n",
            b"a b c d\r\n\r\n",
        ):
            self.connect()
            self.protocol.dataReceived(garbage)
            self.assertTrue(self.transport.disconnecting, garbage)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_head(self) -> None:
        """HEAD tells the manifest's length and sends none of it; 304 and errors keep to their lengths too."""
        for method, path, more, status, length in (
            ("HEAD", "/v2/acme/app/manifests/1.0", "", 200, len(BODY)),
            ("HEAD", "/v2/acme/app/manifests/1.0", f'If-None-Match: "{DIGEST}"\r\n', 304, None),
            ("HEAD", "/v2/acme/app/tags/list", "", 200, 35),
            ("HEAD", "/v2/acme/app/manifests/none", "", 404, 118 + len(',"requestId":"0123456789abcdef"')),
            ("GET", f"/v2/acme/app/blobs/{DIGEST}", "", 307, 0),
        ):
            self.transport.clear()
            self.protocol.dataReceived(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
            head, _, body = self.transport.value().partition(b"\r\n\r\n")
            self.assertEqual((head.split()[1], body), (str(status).encode(), b""), path)
            said = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
            self.assertEqual(said, [] if length is None else [b"content-length: %d" % length], path)

    def test_tls_on_a_plain_port(self) -> None:
        """A client that tries https first hears at once that this is http, with no need of a whole line."""
        self.protocol.dataReceived(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        self.assertTrue(self.transport.value().startswith(b"HTTP/1.1 400 "))
        self.assertTrue(self.transport.disconnecting)

    def test_only_http_1(self) -> None:
        """HTTP/2 is not offered, whatever happens to be installed."""
        self.assertEqual(self.site.acceptableProtocols(), [b"http/1.1"])


class HeadTests(SynchronousTestCase):
    """HEAD, over the wire."""

    @given(targets.filter(lambda target: re.fullmatch(r"/[!\"$-~]*", target)), etags, tables(ABSENT, UNKNOWN), rules)
    def test_get_without_the_body(self, target: str, etag: str, known: Table, rule: Rules) -> None:
        """HEAD has the status and headers of GET, and no body, wherever GET is not a redirect or due a look."""
        assume(etag.isascii() and etag.isprintable())
        decided = answer(question("GET", target, etag), known, rule)
        assume(isinstance(decided, Answer) and decided.status not in (302, 307))
        get, head = (self.ask(method, target, etag, known, rule) for method in ("GET", "HEAD"))
        self.assertEqual((head.status, head.headers, head.body), (get.status, get.headers, b""))

    def ask(self, method: str, target: str, etag: str, known: Table, rule: Rules) -> Sent:
        """Ask a site."""
        clock = Clock()
        root = Root(Questions(cast(Knowledge, known), rule))
        site = EndpointSite(root, clock, Connections(LIMITS, clock))
        protocol: Any = site.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        lines = (f"{method} {target} HTTP/1.1", "Host: registry.example.com", f"If-None-Match: {etag}", "", "")
        protocol.dataReceived("\r\n".join(lines).encode())
        protocol.connectionLost(Failure(ConnectionDone()))
        (sent,) = read_all(transport.value(), head_at=(0,) if method == "HEAD" else ())
        sent.headers.pop("x-request-id")
        return sent


class AccessLogTests(SiteCase):
    """The access log."""

    def lines(self, *requests: bytes, path: str | None) -> list[str]:
        """Make requests, and return what was logged."""
        log = None if path is None else AccessLog(path, FORMS["combined"])
        if log is not None:
            log.open()
        self.serve(self.root, accounting=Accounting(None, log))
        for request in requests:
            self.connect()
            self.protocol.dataReceived(request)
            self.protocol.connectionLost(Failure(ConnectionDone()))
        if log is not None:
            log.close()
        return Path(path).read_text().splitlines() if path else []

    def test_combined_format(self) -> None:
        """A request is one line in the combined format, with the address as IPv4."""
        agent = b"GET /v2/ HTTP/1.1\r\nHost: x\r\nUser-Agent: docker/20.10\r\nReferer: http://x/\r\n\r\n"
        (line,) = self.lines(agent, path=os.path.abspath(self.mktemp()))
        self.assertRegex(
            line, r'\A192\.0\.2\.7 - - \[[^\]]+\] "GET /v2/ HTTP/1\.1" 200 2 "http://x/" "docker/20\.10"\Z'
        )

    def test_nothing_can_forge_a_line(self) -> None:
        """Quotation marks and control characters of a client are escaped."""
        agent = b'GET /"x\\ HTTP/1.1\r\nHost: x\r\nUser-Agent: a"b\\c\xff\r\n\r\n'
        (line,) = self.lines(agent, path=os.path.abspath(self.mktemp()))
        self.assertIn(r'"GET /\x22x\x5C HTTP/1.1"', line)
        self.assertTrue(line.endswith(r'"a\x22b\x5Cc\xFF"'), line)

    def test_appended(self) -> None:
        """A restart does not lose the log."""
        path = os.path.abspath(self.mktemp())
        self.lines(ASK, path=path)
        self.assertEqual(len(self.lines(ASK, path=path)), 2)

    def test_full_disk(self) -> None:
        """A log that cannot be written costs no client its answer or its connection, and is said once."""
        log = AccessLog("/dev/full", FORMS["combined"])
        log.open()
        self.addCleanup(log.close)
        self.serve(self.root, accounting=Accounting(None, log))
        self.connect()
        with capturedLogs() as captured:
            self.protocol.dataReceived(ASK)
            self.protocol.dataReceived(ASK)
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual([answer.status for answer in read_all(self.transport.value())], [200, 200])
        said = [event for event in captured if "access log" in str(event.get("log_format"))]
        self.assertEqual(len(said), 1)

    def test_off_by_default(self) -> None:
        """Without an access log a request is logged nowhere."""
        with capturedLogs() as captured:
            self.lines(ASK, path=None)
        self.assertEqual([event for event in captured if "GET" in str(event)], [])
