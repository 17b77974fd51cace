"""Tests of what is HTTP/1.1: a table of heads, and properties of them."""

import time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.connections.body import SIZE_LINE_BYTES, TRAILER_BYTES, BadBody, Chunked, Sized
from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.connections.strict import Head, Refusal, read_head, refuse_early

LIMITS = Limits()
LINE = b"GET /v2/ HTTP/1.1\r\n"
HOST = b"Host: x\r\n"

GOOD = {
    LINE + HOST: Head(0, last=False),
    LINE + b"host:x\r\n": Head(0, last=False),
    LINE + b"Host:\r\n": Head(0, last=False),
    LINE + b"Host: [2001:db8::1]:5000 \r\n": Head(0, last=False),
    LINE + HOST + b"X: \xc3\xa4\tb\r\nY:\r\n": Head(0, last=False),
    LINE + HOST + b"Connection: keep-alive, Close\r\n": Head(0, last=True),
    LINE + HOST + b"Connection: keep-alive\r\nConnection: TE,close\r\n": Head(0, last=True),
    LINE + HOST + b"Content-Length: 5\r\n": Head(5, last=False),
    LINE + HOST + b"content-LENGTH:\t007 \r\n": Head(7, last=False),
    LINE + HOST + b"Transfer-Encoding: Chunked\r\n": Head(None, last=False),
    b"GET / HTTP/1.0\r\n": Head(0, last=True),
    b"GET / HTTP/1.0\r\n" + HOST: Head(0, last=True),
    b'GET /?a=b&c="\\^`{|}~ HTTP/1.1\r\n' + HOST: Head(0, last=False),
    b"OPTIONS * HTTP/1.1\r\n" + HOST: Head(0, last=False),
}

#: What the head is, what is wrong, and the head without its empty line.
BAD = (
    ("absolute form", "target", b"GET http://x/ HTTP/1.1\r\n" + HOST),
    ("no slash", "target", b"GET v2/ HTTP/1.1\r\n" + HOST),
    ("a fragment", "target", b"GET /a#b HTTP/1.1\r\n" + HOST),
    ("authority form", "target", b"CONNECT x:443 HTTP/1.1\r\n" + HOST),
    ("a star", "target", b"GET * HTTP/1.1\r\n" + HOST),
    ("bytes above ASCII", "malformed", b"GET /\xc3\xa4 HTTP/1.1\r\n" + HOST),
    ("HTTP/0.9", "malformed", b"GET /\r\n"),
    ("HTTP/2 preface", "version", b"PRI * HTTP/2.0\r\n"),
    ("HTTP/1.2", "version", b"GET / HTTP/1.2\r\n" + HOST),
    ("HTTP/3.0", "version", b"GET / HTTP/3.0\r\n" + HOST),
    ("HTTP/1.10", "malformed", b"GET / HTTP/1.10\r\n" + HOST),
    ("http/1.1", "malformed", b"GET / http/1.1\r\n" + HOST),
    ("another protocol", "malformed", b"GET / ICY/1.1\r\n" + HOST),
    ("two spaces", "malformed", b"GET  / HTTP/1.1\r\n" + HOST),
    ("a space behind", "malformed", b"GET / HTTP/1.1 \r\n" + HOST),
    ("a space before", "malformed", b" GET / HTTP/1.1\r\n" + HOST),
    ("a tab", "malformed", b"GET\t/ HTTP/1.1\r\n" + HOST),
    ("a space in the target", "malformed", b"GET /a b HTTP/1.1\r\n" + HOST),
    ("a strange method", "malformed", b"G(T / HTTP/1.1\r\n" + HOST),
    ("a long method", "malformed", b"G" * 65 + b" / HTTP/1.1\r\n" + HOST),
    ("NUL in the target", "malformed", b"GET /\x00 HTTP/1.1\r\n" + HOST),
    ("no Host", "host", LINE),
    ("two Hosts", "host", LINE + HOST + b"Host: y\r\n"),
    ("two equal Hosts", "host", LINE + HOST + HOST),
    ("two Hosts in 1.0", "host", b"GET / HTTP/1.0\r\n" + HOST + HOST),
    ("a list of Hosts", "host", LINE + b"Host: x, y\r\n"),
    ("a Host with a path", "host", LINE + b"Host: x/y\r\n"),
    ("a Host with a user", "host", LINE + b"Host: u@x\r\n"),
    ("a Host with a space", "host", LINE + b"Host: x y\r\n"),
    ("a Host with a strange port", "host", LINE + b"Host: x:80a\r\n"),
    ("a Host with half a bracket", "host", LINE + b"Host: [::1\r\n"),
    ("a Host with bytes above ASCII", "host", LINE + b"Host: \xc3\xa4\r\n"),
    ("two lengths", "framing", LINE + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n"),
    ("two equal lengths", "framing", LINE + HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n"),
    ("a list of lengths", "framing", LINE + HOST + b"Content-Length: 1, 1\r\n"),
    ("length with chunked", "framing", LINE + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
    ("chunked with length", "framing", LINE + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"),
    ("chunked twice", "framing", LINE + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    ("chunked in a list", "framing", LINE + HOST + b"Transfer-Encoding: gzip, chunked\r\n"),
    ("identity", "framing", LINE + HOST + b"Transfer-Encoding: identity\r\n"),
    ("another coding", "framing", LINE + HOST + b"Transfer-Encoding: xchunked\r\n"),
    ("no coding", "framing", LINE + HOST + b"Transfer-Encoding:\r\n"),
    ("chunked in 1.0", "framing", b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n"),
    ("a negative length", "framing", LINE + HOST + b"Content-Length: -1\r\n"),
    ("a signed length", "framing", LINE + HOST + b"Content-Length: +1\r\n"),
    ("a hexadecimal length", "framing", LINE + HOST + b"Content-Length: 0x1\r\n"),
    ("a length with a space", "framing", LINE + HOST + b"Content-Length: 1 1\r\n"),
    ("an empty length", "framing", LINE + HOST + b"Content-Length:\r\n"),
    ("a huge length", "framing", LINE + HOST + b"Content-Length: " + b"9" * 19 + b"\r\n"),
    ("a space before the colon", "malformed", LINE + HOST + b"Content-Length : 1\r\n"),
    ("a tab before the colon", "malformed", LINE + HOST + b"Transfer-Encoding\t: chunked\r\n"),
    ("no colon", "malformed", LINE + HOST + b"X\r\n"),
    ("no name", "malformed", LINE + HOST + b": x\r\n"),
    ("obs-fold", "malformed", LINE + HOST + b"X: a\r\n b\r\n"),
    ("obs-fold by a tab", "malformed", LINE + b"Host: x\r\n\ty\r\n"),
    ("a fold at once", "malformed", LINE + b" " + HOST),
    ("bare CR", "malformed", LINE + HOST + b"X: a\rContent-Length: 1\r\n"),
    ("bare LF", "malformed", LINE + HOST + b"X: a\nContent-Length: 1\r\n"),
    ("CR CR LF", "malformed", LINE + HOST + b"X: a\r\r\n"),
    ("bare LF behind the first line", "malformed", b"GET / HTTP/1.1\n" + HOST),
    ("NUL", "malformed", LINE + HOST + b"X: a\x00b\r\n"),
    ("NUL in a name", "malformed", LINE + HOST + b"X\x00: a\r\n"),
    ("a control byte", "malformed", LINE + HOST + b"X: a\x1bb\r\n"),
    ("DEL", "malformed", LINE + HOST + b"X: a\x7fb\r\n"),
    ("bytes above ASCII in a name", "malformed", LINE + HOST + b"X\xa0: a\r\n"),
    ("a long line", "long line", b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST),
    ("many headers", "large head", LINE + HOST + b"X: y\r\n" * 101),
    ("large headers", "large head", LINE + HOST + b"X: " + b"y" * 17000 + b"\r\n"),
)


PIECES = [
    *(b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"chunked", b"x", b"1", b","),
    *(b":", b" ", b"\t", b"\r\n", b"\n", b"\r", b"\x00", b"\x0b", b"_"),
]


class HeadTests(SynchronousTestCase):
    """Heads of requests."""

    def test_good(self) -> None:
        """What is HTTP is let through, with what it says of its connection."""
        for head, found in GOOD.items():
            self.assertEqual(read_head(head + b"\r\n", LIMITS), found, head)

    def test_bad(self) -> None:
        """What two servers could read in two ways is refused, each for its reason."""
        for name, reason, head in BAD:
            found = read_head(head + b"\r\n", LIMITS)
            self.assertIsInstance(found, Refusal, name)
            assert isinstance(found, Refusal)
            self.assertEqual(found.reason, reason, name)

    def test_good_beginnings(self) -> None:
        """No beginning of something good is refused before the rest of it has come."""
        for head in GOOD:
            for end in range(1, len(head) + 2):
                self.assertIsNone(refuse_early((head + b"\r\n")[:end], 0, LIMITS), head[:end])
                self.assertIsNone(refuse_early((head + b"\r\n")[:end], end - 1, LIMITS), head[:end])

    def test_early(self) -> None:
        """What can become no request is not waited for."""
        for beginning in (b"\x16\x03\x01", b"\r\n", b" ", b"GET / HTTP/1.1\n", b"GET /\r\n", b"GET /\x00", b"a\rb"):
            self.assertIsInstance(refuse_early(beginning, 0, LIMITS), Refusal, beginning)
        self.assertEqual(refuse_early(b"G" * 8200, 0, LIMITS), Refusal(b"414 URI Too Long", "long line"))
        self.assertEqual(refuse_early(LINE + b"x" * 16400, 19, LIMITS), Refusal(b"400 Bad Request", "large head"))

    @given(st.binary(max_size=300), st.binary(max_size=300))
    def test_any_bytes(self, line: bytes, fields: bytes) -> None:
        """Whatever is let through has one Host, one length, and no byte that ends a line early."""
        head = line + b"\r\n" + fields + b"\r\n\r\n"
        head = head[: head.index(b"\r\n\r\n") + 4]
        if isinstance(read_head(head, LIMITS), Head):
            self.assertNotRegex(head, rb"(?<!\r)\n|\r(?!\n)|\x00|\n[ \t]")

    @given(st.lists(st.sampled_from(PIECES), max_size=30))
    def test_shapes(self, pieces: list[bytes]) -> None:
        """However the pieces of smuggling are put together, at most one thing says where the body ends."""
        head = LINE + b"Host: x\r\n" + b"".join(pieces) + b"\r\n\r\n"
        head = head[: head.index(b"\r\n\r\n") + 4]
        if isinstance(read_head(head, LIMITS), Head):
            lower = head.lower()
            self.assertLessEqual(lower.count(b"\r\ncontent-length") + lower.count(b"\r\ntransfer-encoding"), 1)
            self.assertEqual(lower.count(b"\r\nhost:"), 1)

    def test_no_bytes_are_slow(self) -> None:
        """No head makes the check slow."""
        limits = Limits(head_bytes=1_000_000, line_bytes=500_000)
        began = time.process_time()
        for filling in (b" ", b"\t", b"a", b"a:", b":", b"a: \r\n", b"Host: x\r\n", b"a: a\r\nHost:\t", b"\r"):
            head = LINE + HOST + filling * (900_000 // len(filling)) + b"\x01\r\n\r\n"
            read_head(head, limits)
            refuse_early(head, 0, limits)
        self.assertLess(time.process_time() - began, 3)


class BodyTests(SynchronousTestCase):
    """Where bodies end."""

    def test_sized(self) -> None:
        """A body ends where it was said to."""
        body = Sized(5)
        self.assertEqual((body.take(b"abc"), body.done), (3, False))
        self.assertEqual((body.take(b"defg"), body.done), (2, True))

    def test_chunked(self) -> None:
        """A body in chunks ends with its trailer, wherever its bytes are split."""
        data = b'A;a;b=c;d="e f"\r\n0123456789\r\n1\r\nx\r\n000\r\nX: y\r\nZ:\r\n\r\n'
        for size in range(1, len(data) + 1):
            body, rest, taken = Chunked(), b"", 0
            for at in range(0, len(data), size):
                rest += data[at : at + size]
                step = body.take(rest)
                rest, taken = rest[step:], taken + step
            self.assertEqual((taken, body.done, rest), (len(data), True, b""), size)
        body = Chunked()
        self.assertEqual(body.take(data + b"GET / HTTP/1.1"), len(data))

    def test_bad_chunks(self) -> None:
        """What another server could read in another way is refused."""
        for data in (
            b"\r\n",
            b"x\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b" 1\r\n",
            b"1 \r\n",
            b"1_0\r\n",
            b"123456789\r\n",
            b"1\nx\r\n",
            b"1\rx",
            b"1;\r\n",
            b"1;a=\r\n",
            b"1;a\x00\r\n",
            b'1;a="\r\n',
            b"1;" + b"a" * (SIZE_LINE_BYTES + 1),
            b"1\r\nxy",
            b"1\r\nx\ny",
            b"1\r\nx0\r\n\r\n",
            b"0\r\nX\r\n",
            b"0\r\nX : y\r\n",
            b"0\r\n X: y\r\n",
            b"0\r\nX: y\n\r\n",
            b"0\r\n" + b"X: y\r\n" * TRAILER_BYTES,
        ):
            body = Chunked()
            with self.assertRaises(BadBody, msg=data):
                body.take(data)

    @given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.data())
    def test_any_chunks(self, chunks: list[bytes], data: st.DataObject) -> None:
        """Every body in chunks is found to end where it ends."""
        whole = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
        split = data.draw(st.integers(0, len(whole)))
        body = Chunked()
        first = body.take(whole[:split])
        self.assertEqual(first + body.take(whole[first:] + b"more"), len(whole))
        self.assertTrue(body.done)
