"""Tests of the store in a bucket: obstore's own store in memory stands for the bucket."""

import functools
import io
import string
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import BinaryIO

from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore
from twisted.trial.unittest import SynchronousTestCase

from sdr.registry.grammar import Digest
from sdr.stores import object_copying
from sdr.stores.interface import (
    ANY_VERSION,
    AnyVersion,
    Bytes,
    Changed,
    NotAllowed,
    NotReachable,
    NotThere,
    Stat,
    Store,
    StoreError,
)
from sdr.stores.object_errors import Refused, translated
from sdr.stores.object_listing import listed
from sdr.stores.object_options import SERVICES, Opened, Service
from sdr.stores.object_requests import Requests
from sdr.stores.object_throttling import seconds
from sdr.stores.object_uploads import MAX_PARTS, part_size_for
from sdr.stores.object_writing import Writing
from sdr.stores.objects import ObjectStore
from sdr.stores.probing import PROBES, has_conditional_writes
from sdr.stores.retrying import Busy, Patience
from sdr.tree.headers import LISTS_HEADERS, blob_headers
from tests.stores import contract, memory

MEBIBYTE = 1024 * 1024


def bucket(service: Service = SERVICES["az"], prefix: str = "some/prefix") -> Opened:
    """Return a bucket in memory; its ETags are numbers, as Azure's are."""
    inside = MemoryStore()
    return Opened(inside, inside, prefix, service)


class ContractTests(contract.ConditionalContract):
    """What every store promises, by one that cannot tell when a copy is made."""

    keeps_headers = True
    copies = False

    def new_store(self) -> Store:
        """Return an empty store."""
        return ObjectStore(bucket(), "az://in-memory/some/prefix")


class WholeBucketTests(contract.ConditionalContract):
    """What every store promises, without a prefix, and where writing in parts begins early."""

    keeps_headers = True
    examples = 10

    def new_store(self) -> Store:
        """Return an empty store."""
        return ObjectStore(bucket(replace(SERVICES["az"], copies=True), prefix=""), "az://in-memory", part=40)


class ObjectsTests(SynchronousTestCase):
    """What is particular to buckets."""

    def test_not_a_key(self) -> None:
        """What no key can be is refused before anything is asked."""
        store = ObjectStore(bucket(), "az://in-memory")
        for key in ("", "/a", "a//b", "a/", "a/../b", ".", "a\0"):
            error = self.assertRaises(StoreError, store.get, key)
            self.assertEqual(str(error), f"az://in-memory{': ' if key else ''}{key}: not a key")
            for names in ((key, "b"), ("b", key)):
                self.assertIn("not a key", str(self.assertRaises(StoreError, store.copy, *names, LISTS_HEADERS)))

    def test_prefix(self) -> None:
        """Two stores in one bucket do not see each other's objects."""
        inside = bucket()
        first, second = (ObjectStore(replace(inside, prefix=prefix), prefix) for prefix in ("a", "ab"))
        first.put("k", Bytes(b"1"), LISTS_HEADERS)
        self.assertEqual((first.get("k")[0], second.head("k"), list(second.list(""))), (b"1", None, []))
        self.assertEqual([found.key for found in first.list("") if isinstance(found, Stat)], ["k"])

    def test_too_long(self) -> None:
        """A body that is longer than it says is not written, in parts or whole."""

        class Long:
            size = 100

            def open(self) -> BinaryIO:
                return io.BytesIO(b"x" * 101)

        for part in (10, 1000):
            store = ObjectStore(bucket(), "az://in-memory", part=part)
            error = self.assertRaises(StoreError, store.put, "a", Long(), LISTS_HEADERS)
            self.assertIn("over 100 bytes to write", str(error))
            self.assertIsNone(store.head("a"))

    def test_metadata_name(self) -> None:
        """Azure takes identifiers as names of metadata only."""
        inside = bucket()
        ObjectStore(inside, "az://in-memory").put("a", Bytes(b"1"), blob_headers(Digest.of(b"1")))
        self.assertIsInstance(inside.at_once, MemoryStore)
        got = inside.at_once.get("some/prefix/a").attributes
        self.assertEqual(got["docker_content_digest"], str(Digest.of(b"1")))

    def test_etags_that_are_no_md5(self) -> None:
        """Where an ETag is not the MD5 of what arrived whole, it is no sign of the content from then on."""
        store = ObjectStore(bucket(SERVICES["s3"]), "s3://in-memory")
        store.put("a", Bytes(b"1"), LISTS_HEADERS)
        stat = store.head("a")
        assert stat is not None
        self.assertEqual(stat.content, "")

    def test_arrives_damaged(self) -> None:
        """What arrived otherwise than it was sent does not stay: its size is that of what should be there."""

        class Damaging(Writing):
            def put_bytes(
                self, key: str, data: bytes, attributes: dict[str, str], replaces: str | AnyVersion | None
            ) -> str:
                return super().put_bytes(key, b"X" + data[1:], attributes, replaces)

        inside = bucket(SERVICES["s3"])
        writing = Damaging(Requests(inside, "s3://in-memory", Patience()), MEBIBYTE, 1)
        error = self.assertRaises(StoreError, writing.put, "a", Bytes(b"123"), LISTS_HEADERS, ANY_VERSION)
        self.assertIn("publish it again", str(error))
        self.assertIsNone(ObjectStore(inside, "s3://in-memory").head("a"))

    def test_arrives_damaged_and_stays(self) -> None:
        """Who may not delete it is told to have it deleted."""

        class Keeping(Writing):
            def put_bytes(
                self, key: str, data: bytes, attributes: dict[str, str], replaces: str | AnyVersion | None
            ) -> str:
                return super().put_bytes(key, b"X" + data[1:], attributes, replaces)

            def remove(self, key: str) -> None:
                raise NotAllowed("s3://in-memory", key, "access denied")

        writing = Keeping(Requests(bucket(SERVICES["s3"]), "s3://in-memory", Patience()), MEBIBYTE, 1)
        error = self.assertRaises(StoreError, writing.put, "a", Bytes(b"123"), LISTS_HEADERS, ANY_VERSION)
        self.assertIn("access denied; delete it", str(error))

    def test_probing_leaves_nothing(self) -> None:
        """What is written to try conditional writes is gone afterwards, and they are tried once."""
        inside = bucket()
        store = ObjectStore(inside, "az://in-memory")
        self.assertTrue(store.conditional_writes)
        self.assertEqual(list(store.list("")), [])
        self.assertTrue(store.conditional_writes)


class CopyingTests(SynchronousTestCase):
    """Copies within a bucket."""

    def test_too_large(self) -> None:
        """What is larger than one request copies is not tried."""
        store = ObjectStore(bucket(SERVICES["s3"]), "s3://in-memory")
        store.put("a", Bytes(b"123"), LISTS_HEADERS)
        self.patch(object_copying, "LARGEST", 2)
        self.assertIsNone(store.copy("a", "b", LISTS_HEADERS))
        self.assertIsNone(store.head("b"))


class RequestsTests(SynchronousTestCase):
    """What is tried again."""

    def test_bounded(self) -> None:
        """What fails is tried again, but not when it has taken minutes to fail."""
        for each, wanted in ((1.0, 6), (100.0, 2), (400.0, 1)):
            now = [0.0]
            tried: list[float] = []
            requests = Requests(
                bucket(), "az://in-memory", Patience(sleep=lambda _: None), clock=functools.partial(now.__getitem__, 0)
            )

            def fail(now: list[float] = now, tried: list[float] = tried, each: float = each) -> None:
                tried.append(now[0])
                now[0] += each
                raise NotReachable("az://in-memory", "k", "no")

            self.assertRaises(NotReachable, requests.retried, "k", fail)
            self.assertEqual(len(tried), wanted)


class UploadsTests(SynchronousTestCase):
    """The size of parts."""

    def test_size_of_parts(self) -> None:
        """It is what it always is until there would be too many of them."""
        self.assertEqual(part_size_for(1, 8 * MEBIBYTE), 8 * MEBIBYTE)
        self.assertEqual(part_size_for(8 * MEBIBYTE * MAX_PARTS, 8 * MEBIBYTE), 8 * MEBIBYTE)
        self.assertEqual(part_size_for(8 * MEBIBYTE * MAX_PARTS + 1, 8 * MEBIBYTE), 9 * MEBIBYTE)

    @given(st.integers(0, 5 * 10**12))
    def test_never_too_many(self, size: int) -> None:
        """The largest object that there can be has not too many parts."""
        self.assertLessEqual(-(-size // part_size_for(size, 8 * MEBIBYTE)), MAX_PARTS)


_KEYS = st.lists(
    st.lists(st.text("Aa0.-:~_", min_size=1, max_size=3).filter(lambda part: part not in (".", "..")), min_size=1).map(
        "/".join
    ),
    max_size=12,
)


class ListingTests(SynchronousTestCase):
    """Any prefix and delimiter, from listings by whole parts."""

    @given(_KEYS, st.text("Aa0.-:/~_", max_size=5), st.sampled_from(["", "/", ":", "0"]), st.integers(0, 3))
    def test_is_what_the_model_lists(self, keys: list[str], prefix: str, delimiter: str, passed_over: int) -> None:
        """It lists what a store does that knows all keys, however early the rest of a common prefix is passed over."""
        if prefix.startswith("/") or "//" in prefix:
            return
        model = memory.MemoryStore()
        for key in keys:
            model.put(key, Bytes(b""), LISTS_HEADERS)

        def entries(folder: str, after: str) -> Iterator[Stat]:
            below = f"{folder}/" if folder else ""
            for key in sorted(model.objects):
                if key.startswith(below) and key > after:
                    yield model.objects[key][2]

        found = list(listed(entries, prefix, delimiter, passed_over=passed_over))
        self.assertEqual(found, list(model.list(prefix, delimiter=delimiter)))

    def test_passes_over(self) -> None:
        """A common prefix with many keys is not read to its end: that is how tags are found beside many digests."""
        stats = [Stat(key, 0, "", 0) for key in ("m/a", *(f"m/sha256:{number:05}" for number in range(9000)), "m/z")]
        read: list[str] = []

        def entries(folder: str, after: str) -> Iterator[Stat]:
            for stat in stats:
                if stat.key > after:
                    read.append(stat.key)
                    yield stat

        self.assertEqual(list(listed(entries, "m/", ":")), [stats[0], "m/sha256:", stats[-1]])
        self.assertLess(len(read), 1100)

    def test_begins_where_the_prefix_does(self) -> None:
        """What sorts before the prefix is not read."""
        asked: list[tuple[str, str]] = []

        def entries(folder: str, after: str) -> Iterator[Stat]:
            asked.append((folder, after))
            return iter(())

        for prefix in ("a/b/", "a/bc", "0", "a/0", ""):
            list(listed(entries, prefix, ""))
        self.assertEqual(asked, [("a/b", ""), ("a", "a/bb~"), ("", ".~"), ("a", "a/.~"), ("", "")])


class Pretending:
    """A store that is tried for conditional writes.

    :param honours: which conditions it honours: "create", "replace".
    :param refuses: what it raises for any condition.
    """

    def __init__(self, *honours: str, refuses: type[StoreError] | None = None) -> None:
        self.honours, self.refuses = honours, refuses
        self.objects: dict[str, str] = {}

    def write(self, key: str, data: bytes, replaces: str | AnyVersion | None) -> str:
        """Write."""
        if not isinstance(replaces, AnyVersion):
            if self.refuses:
                raise self.refuses("s", key, "no")
            kind = "create" if replaces is None else "replace"
            if kind in self.honours and self.objects.get(key) != replaces:
                raise Changed("s", key, "changed")
        self.objects[key] = data.hex()
        return self.objects[key]

    def remove(self, key: str) -> None:
        """Remove."""
        self.objects.pop(key, None)


class ProbingTests(SynchronousTestCase):
    """Whether there are conditional writes."""

    def test_only_with_both(self) -> None:
        """Both conditions must be honoured, and what keeps to the condition must be written; nothing stays."""
        for store, wanted in (
            (Pretending("create", "replace"), True),
            (Pretending("create"), False),
            (Pretending("replace"), False),
            (Pretending(), False),
            (Pretending(refuses=Refused), False),
            (Pretending(refuses=Changed), False),
        ):
            self.assertEqual(has_conditional_writes(store), wanted)
            self.assertEqual(store.objects, {})

    def test_lost_answer(self) -> None:
        """A replacement that was done, but whose answer was lost, is refused when it is tried again: no proof."""

        class Losing(Pretending):
            lost = 1

            def write(self, key: str, data: bytes, replaces: str | AnyVersion | None) -> str:
                done = super().write(key, data, replaces)
                if data == b"2" and self.lost:
                    self.lost -= 1
                    return super().write(key, data, replaces)
                return done

        store = Losing("create", "replace")
        self.assertTrue(has_conditional_writes(store))
        self.assertEqual((store.lost, store.objects), (0, {}))

    def test_cannot_be_tried(self) -> None:
        """Who may not write is told so, with the key; who may not delete is told nothing."""

        class Forbidden(Pretending):
            def write(self, key: str, data: bytes, replaces: str | AnyVersion | None = ANY_VERSION) -> str:
                raise NotAllowed("s", key, "no")

        class Keeping(Pretending):
            def remove(self, key: str) -> None:
                raise NotAllowed("s", key, "no")

        self.assertIn(PROBES, self.assertRaises(NotAllowed, has_conditional_writes, Forbidden()).key)
        self.assertTrue(has_conditional_writes(Keeping("create", "replace")))


class ErrorsTests(SynchronousTestCase):
    """What obstore's messages mean."""

    def test_kinds(self) -> None:
        """Each is one line of ours, of the kind that says whether trying again may help."""
        status = "Error performing PUT https://host/b/k in 1ms - Server returned non-2xx status code: "
        for text, kind, reason in (
            ("404 Not Found: <Code>NoSuchBucket</Code>", NotThere, "there is no such bucket"),
            ("404 Not Found: ", NotThere, "there is no such object"),
            (
                "403 Forbidden: <Code>AccessDenied</Code>",
                NotAllowed,
                "access denied: these credentials may not do this",
            ),
            (
                "403 Forbidden: <Code>InvalidAccessKeyId</Code><Message>Unknown\n key.</Message>",
                NotAllowed,
                "the credentials are wrong: InvalidAccessKeyId: Unknown key",
            ),
            ("429 Too Many Requests: ", Busy, "the store is asked too much: 429"),
            ("503 Slow: <Code>SlowDown</Code>", Busy, "the store is asked too much: SlowDown"),
            ("503 Service Unavailable: ", NotReachable, "the store is not well: 503"),
            ("501 Not Implemented: ", Refused, "the store refuses: 501"),
            ("507 Full: ", StoreError, "the store has no room left for it, or its quota is used up"),
            (
                "413 Large: <Code>QuotaExceeded</Code>",
                StoreError,
                "the store has no room left for it, or its quota is used up",
            ),
            ("400 Bad: <Code>Odd</Code><Message>Why.</Message>", StoreError, "the store refuses: 400: Odd: Why"),
        ):
            error = translated(Exception(f"{status}{text}\n\nDebug source:\nmuch\nmore"), "s3://b", "k")
            self.assertEqual((type(error), str(error)), (kind, f"s3://b: k: {reason}"))

    def test_connections(self) -> None:
        """What kept a connection from being made is said, with the host."""
        said = "Generic S3 error: Error performing PUT https://host:1/b/k in 1ms - HTTP error: error sending request"
        for debug, kind, reason in (
            ('Os { message: "Connection refused" }', NotReachable, "cannot reach https://host:1: connection refused"),
            ("dns error", NotReachable, "cannot reach https://host:1: there is no such name"),
            ("source: TimedOut", NotReachable, "cannot reach https://host:1: no answer in time"),
            ("eof", NotReachable, "the connection to https://host:1 was lost"),
            (
                "invalid peer certificate: UnknownIssuer",
                StoreError,
                "https://host:1: its certificate is not trusted here; AWS_CA_BUNDLE names a file of more authorities",
            ),
        ):
            error = translated(Exception(f"{said}\n\nDebug source:\n{debug}"), "s3://b", "")
            self.assertEqual((type(error), str(error)), (kind, f"s3://b: {reason}"))

    def test_names_of_objects(self) -> None:
        """What an object is called does not change what is said of it."""
        for name in ("v2/latest/meta-data/manifests/TimedOut", "v2/metadata/identity/certificate/tags/list"):
            said = (
                f"Generic S3 error: Error performing PUT https://host/{name} in 1ms - HTTP error: error sending request"
            )
            error = translated(
                Exception(f"{said}\n\nDebug source:\nuri: Some(\n https://host/{name},\n)"), "s3://b", name
            )
            self.assertEqual(str(error), f"s3://b: {name}: the connection to https://host was lost")

    def test_no_credentials(self) -> None:
        """Each service has other credentials."""
        said = "Generic GCS error: Error performing GET http://169.254.169.254/computeMetadata/v1 in 1ms"
        for store, wanted in (("s3://b", "AWS_PROFILE"), ("gs://b", "GOOGLE_APPLICATION"), ("az://b", "AZURE_STORAGE")):
            error = translated(Exception(said), store, "k")
            self.assertIsInstance(error, NotAllowed)
            self.assertIn(wanted, str(error))

    @given(st.text(string.printable))
    def test_one_line(self, text: str) -> None:
        """Whatever is said, it is one line."""
        self.assertNotIn("\n", str(translated(Exception(text), "s3://b", "k")))


class ThrottlingTests(SynchronousTestCase):
    """How long a store wants to be left alone."""

    def test_retry_after(self) -> None:
        """It says so in seconds or as a date."""
        cases: Mapping[str, float | None] = {
            "7": 7.0,
            "Thu, 01 Jan 1970 00:01:10 GMT": 10.0,
            "Thu, 01 Jan 1970 00:00:10 GMT": 0.0,
            "soon": None,
        }
        for said, wanted in cases.items():
            self.assertEqual(seconds(said, 60.0), wanted)
