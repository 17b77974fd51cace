"""Tests of the tree that the endpoint serves from a directory."""

import os

from twisted.logger import capturedLogs

from sdr.registry.grammar import Digest
from sdr.tree.keys import blob_key, manifest_key, tags_key
from tests.endpoint.serving import BLOB, BLOB_DIGEST, BLOB_PATH, TreeCase
from tests.endpoint.trees import BODY, DIGEST, NAME, write

IMAGE = "0123456789abcdef" * 4


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
        # A second may have passed in between.
        self.assertEqual(
            (get.headers.pop("date")[:16], head.status, head.body), (head.headers.pop("date")[:16], 200, b"")
        )
        self.assertEqual(head.headers, get.headers)

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

    def test_any_bytes(self) -> None:
        """Whatever bytes a client sends in a header, it gets the file."""
        for name in ("If_None_Match", "Range", "If_Range"):
            self.assertEqual(self.ask(BLOB_PATH, **{name: "\xff\xfe"}).status, 200, name)

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


class V1Tests(TreeCase):
    """Images of protocol v1, in the tree and in an old store."""

    def setUp(self) -> None:
        """Make an image."""
        super().setUp()
        for part in ("json", "ancestry", "layer", "_checksum", "_inprogress"):
            write(self.tree, f"images/{IMAGE}/{part}", b"0123456789")
        write(self.tree, "repositories/a/b/tag_1", IMAGE.encode())

    def test_parts(self) -> None:
        """The parts of an image are served for ever, and a layer says that it takes ranges."""
        for base in ("/tree", "/old"):
            for part, kind in (("json", "json"), ("ancestry", "json"), ("layer", "octet-stream")):
                for method in ("GET", "HEAD"):
                    got = self.ask(f"{base}/images/{IMAGE}/{part}", method)
                    self.assertEqual((got.status, got.headers["content-type"]), (200, f"application/{kind}"))
                    self.assertEqual(got.headers["cache-control"], "public, max-age=31536000, immutable")
                    self.assertEqual((got.headers["accept-ranges"], got.headers["content-length"]), ("bytes", "10"))

    def test_resumed_layer(self) -> None:
        """Docker asks for one byte more than there is, and gets the rest."""
        for base in ("/tree", "/old"):
            got = self.ask(f"{base}/images/{IMAGE}/layer", Range="bytes=4-10")
            self.assertEqual((got.status, got.body), (206, b"456789"))
            self.assertEqual(got.headers["content-range"], "bytes 4-9/10")

    def test_nothing_else(self) -> None:
        """Of an old store nothing else is shown."""
        for key in (
            f"images/{IMAGE}/_checksum",
            f"images/{IMAGE}/_inprogress",
            "repositories/a/b/tag_1",
            "",
            "images/",
        ):
            self.assertEqual(self.ask(f"/old/{key}").status, 404, key)
        self.assertEqual(self.ask(f"/old/{blob_key(BLOB_DIGEST)}").status, 404)
