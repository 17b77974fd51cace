"""Tests of the tree that the endpoint serves from a directory."""

import os
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from sdr.catalog.sources import InThread
from sdr.endpoint.files import TreeFiles
from sdr.endpoint.ranges import Part, Unsatisfiable, read_range
from sdr.endpoint.sending import PIECE, STALL_SECONDS
from sdr.registry.grammar import Digest
from sdr.tree.keys import blob_key, manifest_key, tags_key
from tests.endpoint.trees import BODY, DIGEST, NAME, at_once, write, write_tree

BLOB = b"0123456789" * 100_000
BLOB_DIGEST = Digest.of(BLOB)
BLOB_PATH = f"/tree/{blob_key(BLOB_DIGEST)}"


class Got:
    """An answer, taken apart."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}


class TreeCase(SynchronousTestCase):
    """A directory, served."""

    def setUp(self) -> None:
        """Make a tree with a blob of a megabyte."""
        self.tree = Path(self.mktemp())
        write_tree(self.tree)
        write(self.tree, blob_key(BLOB_DIGEST), BLOB)
        self.in_thread: InThread = at_once
        self.clock = Clock()

    def connect(self) -> tuple[Any, StringTransport]:
        """Open a connection in memory."""
        root = Resource()
        root.putChild(b"tree", TreeFiles(os.path.abspath(self.tree), self.in_thread, self.clock))
        protocol: Any = Site(root, reactor=self.clock).buildProtocol(IPv4Address("TCP", "192.0.2.1", 4))
        transport = StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def ask(self, path: str, method: str = "GET", **headers: str) -> Got:
        """Make one request."""
        protocol, transport = self.connect()
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        protocol.dataReceived(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
        return Got(transport.value())


class ServingTests(TreeCase):
    """What is served, and with what."""

    def test_manifest_by_digest(self) -> None:
        """A manifest has the type that its bytes say, its digest, and may be kept for ever."""
        got = self.ask(f"/tree/{manifest_key(NAME, DIGEST)}")
        self.assertEqual((got.status, got.body), (200, BODY))
        self.assertEqual(got.headers["content-type"], "application/vnd.oci.image.index.v1+json")
        self.assertEqual(got.headers["docker-content-digest"], str(DIGEST))
        self.assertEqual(got.headers["etag"], f'"{DIGEST}"')
        self.assertEqual(got.headers["cache-control"], "public, max-age=31536000, immutable")
        self.assertEqual(got.headers["content-length"], str(len(BODY)))

    def test_manifest_by_tag(self) -> None:
        """A tag's manifest has the digest of its bytes, and is soon asked for again."""
        got = self.ask(f"/tree/{manifest_key(NAME, '1.0')}")
        self.assertEqual((got.headers["docker-content-digest"], got.body), (str(DIGEST), BODY))
        self.assertEqual(got.headers["cache-control"], "public, max-age=60")

    def test_moved_tag(self) -> None:
        """A tag that is moved is served anew at once, with its new digest."""
        self.ask(f"/tree/{manifest_key(NAME, '1.0')}")
        moved = BODY[:-1] + b" }"
        write(self.tree, manifest_key(NAME, "1.0"), moved)
        self.assertEqual(
            self.ask(f"/tree/{manifest_key(NAME, '1.0')}").headers["docker-content-digest"], str(Digest.of(moved))
        )

    def test_unusable_manifest_is_said_once(self) -> None:
        """A manifest that is none is not served, and costs one line of log however often a stranger asks for it."""
        write(self.tree, manifest_key(NAME, "bad"), b"<html>")
        protocol, transport = self.connect()
        with capturedLogs() as captured:
            for _ in range(3):
                protocol.dataReceived(f"GET /tree/{manifest_key(NAME, 'bad')} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.assertEqual(transport.value().count(b"HTTP/1.1 404 "), 3)
        self.assertEqual(len([event for event in captured if "not usable" in str(event.get("log_format"))]), 1)

    def test_escaped_colon(self) -> None:
        """A digest whose colon is escaped is the same digest."""
        self.assertEqual(self.ask(f"/tree/{manifest_key(NAME, DIGEST)}".replace(":", "%3A")).status, 200)

    def test_blob(self) -> None:
        """A blob comes whole."""
        got = self.ask(BLOB_PATH)
        self.assertEqual((got.status, got.body == BLOB), (200, True))
        self.assertEqual(got.headers["content-type"], "application/octet-stream")
        self.assertEqual(got.headers["accept-ranges"], "bytes")

    def test_head(self) -> None:
        """HEAD has the headers of GET and no body."""
        get, head = self.ask(BLOB_PATH), self.ask(BLOB_PATH, "HEAD")
        self.assertEqual((head.status, head.headers, head.body), (200, get.headers, b""))

    def test_documents(self) -> None:
        """Derived documents have the types and caching of the tree."""
        for key, kind, caching in (
            (tags_key(NAME), "application/json", "public, max-age=60"),
            (f"v2/{NAME}/_repository.json", "application/json", "no-cache"),
            ("v2/_repositories.json", "application/json", "no-cache"),
        ):
            got = self.ask(f"/tree/{key}")
            self.assertEqual(
                (got.status, got.headers["content-type"], got.headers["cache-control"]), (200, kind, caching)
            )

    def test_not_modified(self) -> None:
        """A client that has the file gets 304."""
        got = self.ask(BLOB_PATH, If_None_Match=f'"{BLOB_DIGEST}"')
        self.assertEqual((got.status, got.body), (304, b""))

    def test_other_methods(self) -> None:
        """The tree is for reading."""
        for method in ("PUT", "DELETE", "POST"):
            got = self.ask(BLOB_PATH, method)
            self.assertEqual((got.status, got.headers["allow"]), (405, "GET, HEAD"))

    def test_nothing_but_the_tree(self) -> None:
        """What is no key of the tree is not served, whatever lies in the directory."""
        write(self.tree, "secret.txt", b"secret")
        write(self.tree, ".sdr/aside", b"secret")
        write(self.tree.parent, "outside.txt", b"secret")
        for path in (
            "/tree/secret.txt",
            "/tree/.sdr/aside",
            "/tree/../outside.txt",
            "/tree/%2e%2e/outside.txt",
            "/tree/blobs/sha256/../../secret.txt",
            "/tree//etc/passwd",
            "/tree/",
            "/tree",
            "/tree/v2/acme/app",
            "/tree/blobs/sha256",
        ):
            got = self.ask(path)
            self.assertEqual((got.status, b"secret" in got.body), (404, False), path)

    def test_not_there(self) -> None:
        """A key without a file is 404 in JSON."""
        got = self.ask(f"/tree/{blob_key(Digest.of(b'none'))}")
        self.assertEqual((got.status, got.headers["content-type"]), (404, "application/json"))

    def test_named_pipe(self) -> None:
        """Something that is no file is not waited for."""
        path = self.tree / blob_key(Digest.of(b"pipe"))
        os.mkfifo(path)
        self.assertEqual(self.ask(f"/tree/{blob_key(Digest.of(b'pipe'))}").status, 404)

    def test_wrong_manifest(self) -> None:
        """A manifest whose bytes are not what its key says is not served."""
        write(self.tree, manifest_key(NAME, Digest.of(b"other")), BODY)
        write(self.tree, manifest_key(NAME, "bad"), b"not a manifest")
        self.assertEqual(self.ask(f"/tree/{manifest_key(NAME, Digest.of(b'other'))}").status, 404)
        self.assertEqual(self.ask(f"/tree/{manifest_key(NAME, 'bad')}").status, 404)


class RangeTests(TreeCase):
    """Parts of a file (RFC 9110, section 14)."""

    def test_parts(self) -> None:
        """One range of bytes is sent as such, with where it stands in the whole."""
        size = len(BLOB)
        for text, start, end in (
            ("bytes=0-0", 0, 1),
            ("bytes=10-19", 10, 20),
            ("bytes=0-", 0, size),
            (f"bytes={size - 1}-", size - 1, size),
            (f"bytes=5-{size + 100}", 5, size),
            ("bytes=-7", size - 7, size),
            (f"bytes=-{size + 7}", 0, size),
        ):
            got = self.ask(BLOB_PATH, Range=text)
            self.assertEqual((got.status, got.body == BLOB[start:end]), (206, True), text)
            self.assertEqual(got.headers["content-range"], f"bytes {start}-{end - 1}/{size}")
            self.assertEqual(got.headers["content-length"], str(end - start))

    def test_beyond_the_end(self) -> None:
        """A range that is not in the file is 416, and the client is told the size."""
        for text in (f"bytes={len(BLOB)}-", "bytes=-0"):
            got = self.ask(BLOB_PATH, Range=text)
            self.assertEqual((got.status, got.headers["content-range"]), (416, f"bytes */{len(BLOB)}"))

    def test_whole_file_instead(self) -> None:
        """Several ranges, other units and nonsense get the whole file, as they may."""
        for text in ("bytes=0-1,3-4", "lines=1-2", "bytes=5-2", "bytes=x", "bytes=" + "9" * 30 + "-"):
            self.assertEqual(self.ask(BLOB_PATH, Range=text).status, 200, text)

    def test_if_range(self) -> None:
        """A client that has a part of something else gets the whole file."""
        self.assertEqual(self.ask(BLOB_PATH, Range="bytes=1-2", If_Range='"other"').status, 200)
        self.assertEqual(self.ask(BLOB_PATH, Range="bytes=1-2", If_Range=f'"{BLOB_DIGEST}"').status, 206)

    @given(st.text(max_size=30) | st.from_regex(r"\Abytes=[0-9]{0,3}-[0-9]{0,3}\Z"), st.integers(0, 1000))
    def test_within_the_file(self, text: str, size: int) -> None:
        """A range is never more than the file, whatever is asked."""
        try:
            part = read_range(text, size)
        except Unsatisfiable:
            return
        if part is not None:
            self.assertTrue(0 <= part.start < part.end <= size, part)


class SlowClientTests(TreeCase):
    """Clients that are slower than the disk, or leave."""

    def setUp(self) -> None:
        """Hold every blocking call until the test lets it go."""
        super().setUp()
        self.calls: list[tuple[Any, Deferred[Any]]] = []

        def held(call: Any) -> Deferred[Any]:
            done: Deferred[Any] = Deferred()
            self.calls.append((call, done))
            return done

        self.in_thread = held

    def let_go(self) -> None:
        """Run the next blocking call."""
        call, done = self.calls.pop(0)
        done.callback(call())

    def test_waits_for_the_client(self) -> None:
        """No more of a file is read while the client takes none of it."""
        protocol, transport = self.connect()
        protocol.dataReceived(f"GET {BLOB_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.let_go()  # opens the file
        self.let_go()
        producer: Any = transport.producer
        producer.pauseProducing()
        self.let_go()
        self.assertEqual(self.calls, [])
        producer.resumeProducing()
        while self.calls:
            self.let_go()
        self.assertEqual(Got(transport.value()).body, BLOB)

    def test_client_stalls(self) -> None:
        """A client that takes nothing for two minutes is given up, with the file that it held; no line is logged."""
        protocol, transport = self.connect()
        before = len(os.listdir("/proc/self/fd"))
        protocol.dataReceived(f"GET {BLOB_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.let_go()
        self.let_go()
        producer: Any = transport.producer
        producer.pauseProducing()
        self.let_go()
        self.clock.advance(STALL_SECONDS - 1)
        self.assertFalse(transport.disconnected)
        self.clock.advance(2)
        self.assertTrue(transport.disconnected)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_client_pauses(self) -> None:
        """A client that takes something now and then may take as long as it wants."""
        protocol, transport = self.connect()
        protocol.dataReceived(f"GET {BLOB_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.let_go()
        producer: Any = transport.producer
        for _ in range(len(BLOB) // PIECE):
            producer.pauseProducing()
            self.let_go()
            self.clock.advance(STALL_SECONDS - 1)
            producer.resumeProducing()
        self.let_go()
        self.assertEqual(Got(transport.value()).body, BLOB)

    def test_client_leaves(self) -> None:
        """A client that leaves in the middle costs no error and no open file."""
        protocol, _ = self.connect()
        before = len(os.listdir("/proc/self/fd"))
        protocol.dataReceived(f"GET {BLOB_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.let_go()
        self.let_go()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before + 1)
        protocol.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_client_leaves_before_the_file_is_open(self) -> None:
        """A client that leaves while its file is being opened leaves no open file behind."""
        protocol, _ = self.connect()
        before = len(os.listdir("/proc/self/fd"))
        protocol.dataReceived(f"GET {BLOB_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        protocol.connectionLost(Failure(ConnectionLost()))
        self.let_go()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_file_shrinks(self) -> None:
        """A file that becomes shorter while it is sent ends the connection: the length was promised."""
        protocol, transport = self.connect()
        protocol.dataReceived(f"GET {BLOB_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.let_go()
        self.let_go()
        (self.tree / blob_key(BLOB_DIGEST)).write_bytes(b"")
        self.let_go()
        self.assertTrue(transport.disconnecting)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)


class PartTests(SynchronousTestCase):
    """Ranges as values."""

    def test_empty_file(self) -> None:
        """An empty file has no parts."""
        self.assertRaises(Unsatisfiable, read_range, "bytes=0-", 0)
        self.assertEqual(read_range("bytes=0-", 1), Part(0, 1))
