"""Tests of what is plain, and of what it says."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.connections.strict import Head, read_head
from sdr.endpoint.fast.recognition import LONGEST, Fields, Line, question_of, read_fields, read_line
from sdr.registry.questions import Question

LIMITS = Limits()
LINE = b"GET /v2/ HTTP/1.1"


def fields(*lines: str, heeds_proxies: bool = False) -> Fields | None:
    """Read headers behind a plain first line."""
    head = LINE + b"\r\n" + b"".join(line.encode("latin-1") + b"\r\n" for line in lines) + b"\r\n"
    return read_fields(head, LIMITS, heeds_proxies=heeds_proxies)


class LineTests(SynchronousTestCase):
    """First lines."""

    def test_plain(self) -> None:
        """GET and HEAD below /v2 are plain, queries too."""
        for target in ("/v2", "/v2/", "/v2?n=1", "/v2/a/manifests/1", "/v2/a/tags/list?n=1&last=b", "/v2/%00/..//\\"):
            for method in ("GET", "HEAD"):
                self.assertEqual(read_line(f"{method} {target} HTTP/1.1".encode(), LIMITS), Line(method, target))

    def test_not_plain(self) -> None:
        """Everything else is not."""
        for line in (
            *("GET / HTTP/1.1", "GET /v1/_ping HTTP/1.1", "GET /v22 HTTP/1.1", "GET /tree/v2/ HTTP/1.1"),
            *(
                "GET /v2/ HTTP/1.0",
                "GET /v2/ HTTP/2.0",
                "GET /v2/ HTTP/1.1 ",
                "get /v2/ HTTP/1.1",
                " GET /v2/ HTTP/1.1",
            ),
            *("POST /v2/ HTTP/1.1", "PUT /v2/a/manifests/1 HTTP/1.1", "OPTIONS * HTTP/1.1", "GET  /v2/ HTTP/1.1"),
            *("GET http://x/v2/ HTTP/1.1", "GET /v2/#x HTTP/1.1", "GET /v2/\t HTTP/1.1", "GET /v2/\xff HTTP/1.1"),
            *("GET /v2/\r HTTP/1.1", "GET /v2/\n HTTP/1.1", "GET /v2/ HTTP/1.1\n", "GET /v2/\x00 HTTP/1.1", ""),
            f"GET /v2/{'x' * LIMITS.line_bytes} HTTP/1.1",
        ):
            self.assertIsNone(read_line(line.encode("latin-1"), LIMITS), line)


class FieldsTests(SynchronousTestCase):
    """Headers."""

    def test_what_answers_depend_on(self) -> None:
        """Values are those that Twisted Web would give: stripped, and several joined."""
        found = fields(
            *("Host:x", "ACCEPT:  a/b ", "accept: c/d\t", 'If-None-Match: "1"', "If-None-Match: *"),
            *("Referer: one", "Referer: two", "User-Agent: docker/1 (x: y)", "X:"),
        )
        self.assertEqual(found, Fields(("a/b,c/d", "x", '"1",*', ""), False, "two", "docker/1 (x: y)"))
        assert found is not None
        question = question_of(Line("HEAD", "/v2/a/tags/list?n=1?"), found, "https")
        wanted = Question("HEAD", "/v2/a/tags/list", "n=1?", "a/b,c/d", "x", "https", '"1",*')
        self.assertEqual(question, wanted)

    def test_old_dockers(self) -> None:
        """Of user agents only those matter that answers look at."""
        for agent, matters in (("docker/1.9.1 go/x", True), ("docker/17.05.0-ce", True), ("docker/24.0", False)):
            found = fields("Host: x", f"User-Agent: {agent}")
            assert found is not None
            self.assertEqual((found.asked[3], found.user_agent), (agent if matters else "", agent))

    def test_connection(self) -> None:
        """A client may ask for its last answer; other wishes for the connection are not plain."""
        for value, last in (("keep-alive", False), ("Keep-Alive", False), ("close", True), ("Close", True)):
            found = fields("Host: x", f"Connection: {value}")
            assert found is not None
            self.assertEqual(found.last, last)
        for value in ("upgrade", "close, te", "keep-alive, x", ""):
            self.assertIsNone(fields("Host: x", f"Connection: {value}"), value)

    def test_more_than_a_question(self) -> None:
        """What has a body, an expectation, another protocol or a secret is not plain."""
        for line in (
            *("Content-Length: 0", "content-length: 5", "Transfer-Encoding: chunked", "Expect: 100-continue"),
            *("Upgrade: h2c", "HTTP2-Settings: x", "TE: trailers", "Trailer: x", "Cookie: a=b"),
            *("Authorization: Basic x", "Proxy-Authorization: x", "Accept: \xff", "X: \xe4"),
        ):
            self.assertIsNone(fields("Host: x", line), line)

    def test_not_strict(self) -> None:
        """What the check of heads refuses is not plain."""
        for lines in (
            (),
            ("Host: x", "Host: x"),
            ("Host: a b",),
            ("Host: x", "X : y"),
            ("Host: x", " fold"),
            ("Host",),
        ):
            self.assertIsNone(fields(*lines), lines)
        self.assertIsNone(fields("Host: x", *["X: y"] * LIMITS.headers))
        self.assertIsNone(read_fields(LINE + b"\r\nHost: x\r\nX: a\nb\r\n\r\n", LIMITS, heeds_proxies=False))

    def test_long(self) -> None:
        """Headers that are too long to be kept are not plain."""
        self.assertIsNone(fields("Host: x", f"X: {'x' * LONGEST}"))

    def test_proxies(self) -> None:
        """Where proxies are heeded, what one says goes the other way; elsewhere it means nothing."""
        for name in ("Forwarded", "X-Forwarded-For", "x-forwarded-proto", "X-Request-Id"):
            self.assertIsNone(fields("Host: x", f"{name}: y", heeds_proxies=True), name)
            self.assertIsNotNone(fields("Host: x", f"{name}: y"), name)

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.sampled_from([b"Host: x", b"X: y", b"Host", b" z", b"Content-Length: 1", b"\xff: y", b"A:\x00",
                                     b"Connection: close", b"a\rb", b"c\nd"]), max_size=5))  # fmt: skip
    def test_subset(self, lines: list[bytes]) -> None:
        """What is plain is good for the check of heads, and has no body."""
        head = LINE + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
        found = read_fields(head, LIMITS, heeds_proxies=False)
        if found is not None:
            self.assertEqual(read_head(head, LIMITS), Head(0, found.last))
