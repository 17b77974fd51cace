"""What every store promises, as tests; a store's own tests inherit them."""

import io
import os
import threading
import time
from typing import BinaryIO

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.registry.grammar import Digest
from sdr.stores.interface import Bytes, Changed, NotThere, Served, Stat, Store, StoreError
from sdr.tree.headers import IMMUTABLE, LISTS_HEADERS, SHORT, Headers, blob_headers, manifest_headers
from sdr.tree.keys import blob_key, manifest_key
from tests.texts import DIGESTS, NAMES, TAGS

HEADERS = LISTS_HEADERS


class Broken:
    """A body that fails after its first piece."""

    size = 100

    def open(self) -> BinaryIO:
        """Start reading."""
        stream = io.BytesIO(b"x" * 50)
        whole = stream.read

        def read(size: int | None = -1) -> bytes:
            piece = whole(size)
            if not piece:
                raise ZeroDivisionError
            return piece

        stream.read = read  # type: ignore[method-assign]
        return stream


class Short:
    """A body that is shorter than it says."""

    size = 100

    def open(self) -> BinaryIO:
        """Start reading."""
        return io.BytesIO(b"x" * 50)


class StoreContract(SynchronousTestCase):
    """Tests of one store; ``new_store`` makes an empty one.

    To be inherited by way of its module: trial would run what a test module imports by name.
    """

    #: Whether it keeps the headers that it is given.
    keeps_headers = False
    #: Whether it copies objects that are not large.
    copies = True
    #: How many generated examples each property is shown with.
    examples = 100

    def new_store(self) -> Store:
        """Return an empty store."""
        raise NotImplementedError

    def put(self, store: Store, key: str, data: bytes) -> str:
        """Write an object, and return its version."""
        return store.put(key, Bytes(data), HEADERS)

    def keys(self, store: Store, prefix: str = "", delimiter: str = "") -> list[str]:
        """List keys and common prefixes."""
        return [found.key if isinstance(found, Stat) else found for found in store.list(prefix, delimiter=delimiter)]

    def test_put_and_read(self) -> None:
        """What is written is read again, whole and in pieces, and looked at."""
        store, data = self.new_store(), bytes(range(256)) * 8192
        written = store.put("blobs/sha256/00", Bytes(data), blob_headers(Digest.of(data)))
        got, stat = store.get("blobs/sha256/00")
        with store.open("blobs/sha256/00") as file:
            pieces = file.read(10), file.read()
        self.assertEqual([got, b"".join(pieces)], [data, data])
        self.assertEqual((written, store.head("blobs/sha256/00")), (stat.version, stat))
        self.assertEqual((stat.key, stat.size), ("blobs/sha256/00", len(data)))
        self.assertLess(abs(stat.modified - time.time()), 60)

    def test_read_a_part(self) -> None:
        """A part of an object is read without the rest."""
        store = self.new_store()
        self.put(store, "a", b"0123456789")
        for start, size, wanted in ((3, None, b"3456789"), (3, 4, b"3456"), (0, 2, b"01"), (8, 5, b"89"), (9, 1, b"9")):
            with store.open("a", start=start, size=size) as file:
                self.assertEqual(file.read(), wanted)

    def test_headers(self) -> None:
        """A store that keeps headers keeps just those that it was given."""
        store, digest = self.new_store(), Digest.of(b"1")
        media_type = "application/vnd.oci.image.manifest.v1+json"
        cases = {
            "blobs/sha256/00": (blob_headers(digest), Served("application/octet-stream", IMMUTABLE, None, str(digest))),
            "v2/a/manifests/1": (
                manifest_headers(media_type, digest, by_tag=True),
                Served(media_type, SHORT, None, str(digest)),
            ),
            "v2/_repositories.json": (LISTS_HEADERS, Served("application/json", "no-cache", None, None)),
        }
        for key, (headers, served) in cases.items():
            store.put(key, Bytes(b"1"), headers)
            self.assertIn(store.served(key), [served] if self.keeps_headers else [None])
        self.assertRaises(NotThere, store.served, "v2/a/manifests/2")

    def test_content(self) -> None:
        """Where a store tells objects of the same bytes, it does so when looking and when listing."""
        store = self.new_store()
        for key, data in (("a", b"1"), ("b", b"1"), ("c", b"2")):
            self.put(store, key, data)
        listed = [found for found in store.list("") if isinstance(found, Stat)]
        self.assertEqual([store.head(found.key) for found in listed], listed)
        same, again, other = (found.content for found in listed)
        if same:
            self.assertEqual((same == again, same == other), (True, False))
        else:
            self.assertEqual((again, other), ("", ""))

    def copy(self, store: Store, source: str, key: str, headers: Headers = HEADERS) -> bool:
        """Copy an object; require the copy, or that nothing has changed, and tell which."""
        before = {there: store.get(there)[0] for there in self.keys(store)}
        version = store.copy(source, key, headers)
        if version is not None:
            stat = store.head(key)
            assert stat is not None
            self.assertEqual((stat.version, stat.size), (version, len(before[source])))
            before[key] = before[source]
        self.assertEqual({there: store.get(there)[0] for there in self.keys(store)}, before)
        return version is not None

    def test_copy(self) -> None:
        """Where a store copies, the copy has the bytes, and the two are independent; else nothing happens."""
        for size in (0, 10, 1_500_000):
            store, data = self.new_store(), os.urandom(size)
            self.put(store, "blobs/a", data)
            copied = self.copy(store, "blobs/a", "images/1/layer")
            if size == 10:
                self.assertEqual(copied, self.copies)
            if copied:
                self.put(store, "blobs/a", b"replaced")
                self.assertEqual(store.get("images/1/layer")[0], data)
                store.delete("blobs/a")
                self.assertEqual(store.get("images/1/layer")[0], data)
                self.assertTrue(self.copy(store, "images/1/layer", "blobs/a"))
                self.put(store, "images/1/layer", b"replaced")
                self.assertEqual(store.get("blobs/a")[0], data)
                store.delete("images/1/layer")
                self.assertEqual(store.get("blobs/a")[0], data)

    def test_copy_with_headers(self) -> None:
        """A copy has the headers that are asked for, not those of its source; a store may copy with the same only."""
        digest, data = Digest.of(b"1"), Bytes(b"1")
        for written, wanted in ((blob_headers(digest), HEADERS), (HEADERS, blob_headers(digest)), (HEADERS, HEADERS)):
            store = self.new_store()
            store.put("a", data, written)
            copied = self.copy(store, "a", "b", wanted)
            if wanted is written:
                self.assertEqual(copied, self.copies)
            if copied and self.keeps_headers:
                store.put("c", data, wanted)
                self.assertEqual(store.served("b"), store.served("c"))

    def test_copy_what_is_not_there(self) -> None:
        """Without a source nothing is written, and what would be replaced stays."""
        store = self.new_store()
        for _ in range(2):
            error = self.assertRaises(NotThere, store.copy, "a", "b", HEADERS)
            self.assertEqual((error.store, error.key), (store.location, "a"))
            self.put(store, "b", b"before")
        self.assertEqual((self.keys(store), store.get("b")[0]), (["b"], b"before"))

    def test_copy_over_something(self) -> None:
        """A copy replaces what is there, be it the source itself or what was copied before."""
        store = self.new_store()
        self.put(store, "b", b"before")
        self.put(store, "a", b"1")
        self.copy(store, "a", "b")
        self.assertEqual([self.copy(store, "a", "a"), self.copy(store, "a", "c")], [self.copies] * 2)
        self.assertEqual(self.copy(store, "a", "c"), self.copies)
        self.put(store, "a", b"after")
        self.put(store, "c", b"after that")
        self.assertEqual([store.get(key)[0] for key in ("a", "c")], [b"after", b"after that"])

    def test_empty_object(self) -> None:
        """An object may be empty."""
        store = self.new_store()
        self.put(store, "a", b"")
        self.assertEqual(store.get("a")[0], b"")

    def test_nothing_there(self) -> None:
        """What is not there is told so, also in a store that does not exist yet."""
        store = self.new_store()
        for _ in range(2):
            self.assertIsNone(store.head("v2/a/tags/list"))
            for read in (store.get, store.open):
                error = self.assertRaises(NotThere, read, "v2/a/tags/list")
                self.assertEqual((error.store, error.key), (store.location, "v2/a/tags/list"))
            store.delete("v2/a/tags/list")
            self.put(store, "another", b"")

    def test_overwrite(self) -> None:
        """A second write replaces the first, and is another version though the size is the same."""
        store = self.new_store()
        versions = {self.put(store, "a", b"%d" % number) for number in range(5)}
        self.assertEqual(store.get("a")[0], b"4")
        self.assertEqual(len(versions), 5)

    def test_a_body_that_fails(self) -> None:
        """If reading what is to be written fails, that failure comes out, and what was there stays."""
        store = self.new_store()
        self.put(store, "a", b"before")
        for key in ("a", "b"):
            self.assertRaises(ZeroDivisionError, store.put, key, Broken(), HEADERS)
        self.assertEqual(self.keys(store), ["a"])
        self.assertEqual(store.get("a")[0], b"before")

    def test_a_body_that_is_short(self) -> None:
        """A body of another size than announced is not written."""
        store = self.new_store()
        error = self.assertRaises(StoreError, store.put, "a", Short(), HEADERS)
        self.assertIn("50 bytes", str(error))
        self.assertEqual(self.keys(store), [])

    def test_delete(self) -> None:
        """What is deleted is gone, and its name is free for anything."""
        store = self.new_store()
        self.put(store, "v2/a/b", b"")
        self.put(store, "v2/a/c", b"")
        store.delete("v2/a/b")
        self.assertEqual(self.keys(store), ["v2/a/c"])
        store.delete("v2/a/c")
        self.put(store, "v2/a", b"now a file")
        self.assertEqual(self.keys(store), ["v2/a"])

    def test_list(self) -> None:
        """Keys come in their order, by prefix, which need not end with a part."""
        store = self.new_store()
        names = ["a", "b-c", "b.c", "b/c", "b/d/e", "b0", "b_c", "bc/d"]
        for name in reversed(names):
            self.put(store, name, name.encode())
        self.assertEqual(self.keys(store), sorted(names))
        self.assertEqual(self.keys(store, "b"), sorted(names)[1:])
        self.assertEqual(self.keys(store, "b/"), ["b/c", "b/d/e"])
        self.assertEqual(self.keys(store, "b/d/e"), ["b/d/e"])
        self.assertEqual(self.keys(store, "b/x") + self.keys(store, "x/y/z"), [])
        sizes = [found.size for found in store.list("") if isinstance(found, Stat)]
        self.assertEqual(sizes, [len(name) for name in sorted(names)])

    def test_list_with_delimiter(self) -> None:
        """With a delimiter, what lies deeper is told by its common prefix, in its place."""
        store = self.new_store()
        for name in ("v2/a-b/x", "v2/a/x", "v2/a/y", "v2/a.json", "v2/b/c/d"):
            self.put(store, name, b"")
        self.assertEqual(self.keys(store, "v2/", "/"), ["v2/a-b/", "v2/a.json", "v2/a/", "v2/b/"])
        self.assertEqual(self.keys(store, "v2/a", "/"), ["v2/a-b/", "v2/a.json", "v2/a/"])
        self.assertEqual(self.keys(store, "v2/b/", "/"), ["v2/b/c/"])
        self.assertEqual(self.keys(store, "", "/"), ["v2/"])

    def test_list_with_another_delimiter(self) -> None:
        """Any character delimits: this is how tags are listed without the manifests by digest between them."""
        store = self.new_store()
        names = ["Z", "_a", "sha256", "sha256:00", "sha256:01", "sha512:00", "sha512-x", "v1"]
        for name in names:
            self.put(store, f"v2/a/manifests/{name}", b"")
        tags = sorted(["Z", "_a", "sha256", "sha256:", "sha512:", "sha512-x", "v1"])
        self.assertEqual(self.keys(store, "v2/a/manifests/", ":"), [f"v2/a/manifests/{tag}" for tag in tags])
        self.assertEqual(self.keys(store, "v2/a/manifests/s", ":"), [f"v2/a/manifests/{tag}" for tag in tags[2:6]])

    def test_every_name_of_the_grammar(self) -> None:
        """Every name, tag and digest makes keys that can be written, read and listed."""

        # Not a method: each store is a case of its own, with examples of its own.
        @settings(max_examples=self.examples, deadline=None)
        @given(st.lists(st.tuples(NAMES, TAGS, DIGESTS), min_size=1, max_size=4))
        def check(things: list[tuple[str, str, Digest]]) -> None:
            store = self.new_store()
            written: dict[str, bytes] = {}
            for name, tag, digest in things:
                for key in (manifest_key(name, tag), manifest_key(name, digest), blob_key(digest)):
                    if any(there.startswith(f"{key}/") or key.startswith(f"{there}/") for there in written):
                        # A tag and a repository whose names stand in each other's way: a directory cannot hold both.
                        continue
                    self.put(store, key, key.encode())
                    written[key] = key.encode()
            self.assertEqual(self.keys(store), sorted(written))
            for key, data in written.items():
                self.assertEqual(store.get(key)[0], data)

        check()


class ConditionalContract(StoreContract):
    """Tests of a store that has conditional writes."""

    def test_has_them(self) -> None:
        """It says so."""
        self.assertTrue(self.new_store().conditional_writes)

    def test_create_only(self) -> None:
        """A write that expects nothing is refused where something is."""
        store = self.new_store()
        store.put("a", Bytes(b"1"), HEADERS, replaces=None)
        self.refuse(Changed, store, "a", None)
        self.assertEqual(store.get("a")[0], b"1")

    def test_replace_if_unchanged(self) -> None:
        """A write that expects a version is refused where another is, or nothing."""
        store = self.new_store()
        first = self.put(store, "a", b"1")
        second = store.put("a", Bytes(b"2"), HEADERS, replaces=first)
        self.refuse(Changed, store, "a", first)
        self.assertEqual(store.get("a")[0], b"2")
        store.delete("a")
        self.refuse(Changed, store, "a", second)
        self.assertIsNone(store.head("a"))

    def refuse(self, kind: type[StoreError], store: Store, key: str, replaces: str | None) -> None:
        """Require that a conditional write is refused."""
        error = self.assertRaises(kind, store.put, key, Bytes(b"x"), HEADERS, replaces=replaces)
        self.assertEqual((error.store, error.key), (store.location, key))

    def test_no_update_is_lost_between_threads(self) -> None:
        """Threads that read, add and put back on condition lose nothing, create-only included."""
        store, threads, each = self.new_store(), 8, 12

        def add() -> None:
            done = 0
            while done < each:
                try:
                    data, stat = store.get("n")
                    number, version = int(data), stat.version
                except NotThere:
                    number, version = 0, None
                try:
                    store.put("n", Bytes(b"%d" % (number + 1)), HEADERS, replaces=version)
                except Changed:
                    continue
                done += 1

        workers = [threading.Thread(target=add) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(store.get("n")[0], b"%d" % (threads * each))
