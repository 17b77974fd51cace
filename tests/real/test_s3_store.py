"""Tests of the store in a bucket, over real connections.

moto has conditional writes, and Swift's S3 API checks credentials.
"""

import io
import itertools
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import BinaryIO

from twisted.trial.unittest import SynchronousTestCase

from sdr.registry.grammar import Digest
from sdr.stores.interface import Bytes, NotAllowed, NotReachable, NotThere, Store, StoreError
from sdr.stores.object_options import opened
from sdr.stores.objects import ObjectStore
from sdr.stores.opening import open_store
from sdr.stores.retrying import Patience
from sdr.tree.headers import LISTS_HEADERS, blob_headers
from tests.real.faulty import Fault, Faulty
from tests.real.programs import fetch, folder, free_port
from tests.real.s3 import client, keys, make_bucket, moto
from tests.real.swift import READER, swift
from tests.stores import contract

BUCKET = "sdr-tests"

MEBIBYTE = 1024 * 1024

#: The smallest parts that S3 takes.
PART = 5 * MEBIBYTE

#: Three parts, each another.
LARGE = b"".join(bytes([number]) * 4 * MEBIBYTE for number in range(3))

_numbers = itertools.count()


def moto_environment() -> dict[str, str]:
    """Return moto's environment; the bucket is there."""
    moto().make_bucket(BUCKET)
    return moto().environment


def swift_environment() -> dict[str, str]:
    """Return the environment for Swift's S3 API; the bucket is there."""
    make_bucket(swift().s3_environment, BUCKET)
    return swift().s3_environment


def parts_store(environment: Mapping[str, str], bucket: str = BUCKET, patience: Patience | None = None) -> ObjectStore:
    """Return a store that writes in parts what is over 5 MiB."""
    text = f"s3://{bucket}/store/{next(_numbers)}"
    return ObjectStore(opened(text, environment), text, part=PART, patience=patience)


class MotoTests(contract.ConditionalContract):
    """What every store promises, by one that has conditional writes."""

    keeps_headers = True
    examples = 10

    def new_store(self) -> Store:
        """Return a store of its own in the bucket."""
        return open_store(f"s3://{BUCKET}/store/{next(_numbers)}", moto_environment())

    def test_keys_are_the_bytes_of_the_url(self) -> None:
        """A key arrives as it is, with nothing escaped twice: a CDN serves by it."""
        bucket = moto().make_bucket("sdr-keys")
        store = open_store(f"s3://{bucket}", moto().environment)
        names = [
            "v2/a__b.c-d/manifests/sha256:00",
            "v2/a/tags/list",
            "v2/_repositories.json",
            "a+b",
            "a%41",
            "a b",
            "~",
        ]
        for name in names:
            self.put(store, name, b"")
        self.assertEqual(keys(client(moto().environment), bucket), sorted(names))
        self.assertEqual(self.keys(store), sorted(names))


class SwiftTests(contract.StoreContract):
    """What every store promises, by Swift's S3 API, which has no conditional writes."""

    keeps_headers = True
    examples = 10

    def new_store(self) -> Store:
        """Return a store of its own in the bucket."""
        return open_store(f"s3://{BUCKET}/store/{next(_numbers)}", swift_environment())

    def test_has_no_conditional_writes(self) -> None:
        """It says so after a moment, and what was tried leaves nothing behind."""
        store = self.new_store()
        began = time.monotonic()
        self.assertFalse(store.conditional_writes)
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(self.keys(store), [])


class Failing:
    """A body that fails in its third part."""

    size = len(LARGE)

    def open(self) -> BinaryIO:
        """Start reading."""
        stream = io.BytesIO(LARGE[: 2 * PART + 1])
        whole = stream.read

        def read(size: int | None = -1) -> bytes:
            piece = whole(size)
            if not piece:
                raise ZeroDivisionError
            return piece

        stream.read = read  # type: ignore[method-assign]
        return stream


class Short:
    """A body that ends in its third part."""

    size = len(LARGE)

    def open(self) -> BinaryIO:
        """Start reading."""
        return io.BytesIO(LARGE[: 2 * PART + 1])


class MotoPartsTests(SynchronousTestCase):
    """Objects that are written in parts."""

    def environment(self) -> dict[str, str]:
        """Return what is to be in the environment."""
        return moto_environment()

    def test_large_object(self) -> None:
        """A large object arrives whole, with its headers, and is listed and looked at alike."""
        store, digest = parts_store(self.environment()), Digest.of(LARGE)
        version = store.put("blobs/sha256/00", Bytes(LARGE), blob_headers(digest))
        stat = store.head("blobs/sha256/00")
        assert stat is not None
        self.assertTrue(version.endswith("-3"), version)
        self.assertEqual((stat.version, stat.size, stat.content), (version, len(LARGE), ""))
        self.assertEqual(list(store.list("")), [stat])
        self.assertEqual(store.get("blobs/sha256/00"), (LARGE, stat))
        with store.open("blobs/sha256/00", start=PART - 1, size=2) as file:
            self.assertEqual(file.read(), LARGE[PART - 1 : PART + 1])
        self.assertEqual(store.served("blobs/sha256/00").digest, str(digest))
        store.delete("blobs/sha256/00")
        self.assertEqual(list(store.list("")), [])

    def test_copy(self) -> None:
        """What was written in parts is copied whole, and the copy outlives it."""
        store, digest = parts_store(self.environment()), Digest.of(LARGE)
        store.put("a", Bytes(LARGE), blob_headers(digest))
        self.assertIsNone(store.copy("a", "b", LISTS_HEADERS))
        version = store.copy("a", "b", blob_headers(digest))
        store.delete("a")
        data, stat = store.get("b")
        self.assertEqual((data == LARGE, stat.version), (True, version))
        self.assertEqual(store.served("b").digest, str(digest))

    def test_a_body_that_fails(self) -> None:
        """A body that fails or ends in its third part leaves nothing, and what it replaces is still there."""
        environment = self.environment()
        store = parts_store(environment)
        store.put("a", Bytes(b"before"), LISTS_HEADERS)
        for key in ("a", "b"):
            self.assertRaises(ZeroDivisionError, store.put, key, Failing(), LISTS_HEADERS)
            error = self.assertRaises(StoreError, store.put, key, Short(), LISTS_HEADERS)
            self.assertIn(f"{2 * PART + 1} bytes", str(error))
        self.assertEqual(store.get("a")[0], b"before")
        self.assertIsNone(store.head("b"))
        self.assertEqual(client(environment).list_multipart_uploads(Bucket=BUCKET).get("Uploads", []), [])


class SwiftPartsTests(MotoPartsTests):
    """Objects that are written in parts, by Swift's S3 API."""

    def environment(self) -> dict[str, str]:
        """Return what is to be in the environment."""
        return swift_environment()

    def test_parts_are_read_by_everybody_only_if_their_container_is(self) -> None:
        """The parts are in a container of their own: without the reading ACL on it a HEAD says 200, and a GET 409."""
        bucket = make_bucket(swift().s3_environment, "sdr-public")
        store = parts_store(swift().s3_environment, bucket)
        store.put("a", Bytes(LARGE), LISTS_HEADERS)
        url = f"{swift().storage_url}/{bucket}/{store.location.split('/', 3)[3]}/a"

        def statuses() -> tuple[int, int]:
            return fetch(url, method="HEAD").status, fetch(url).status

        self.assertEqual(statuses(), (401, 401))
        swift().make_container(bucket)
        self.assertEqual(statuses(), (200, 409))
        swift().make_container(f"{bucket}+segments")
        self.assertEqual(statuses(), (200, 200))
        self.assertEqual(fetch(url).body, LARGE)
        store.delete("a")
        self.assertEqual(swift().objects(f"{bucket}+segments"), [])


class CredentialsTests(SynchronousTestCase):
    """Who may do what."""

    def refused(self, kind: type[StoreError], said: str, store: Store, *calls: Callable[[], object]) -> None:
        """Require that calls are refused with one line that names store and key, and without a delay."""
        for call in calls:
            began = time.monotonic()
            error = self.assertRaises(kind, call)
            self.assertIn(said, str(error))
            self.assertTrue(str(error).startswith(f"{store.location}: "), str(error))
            self.assertNotIn("\n", str(error))
            self.assertLess(time.monotonic() - began, 10)

    def calls(self, store: Store) -> list[Callable[[], object]]:
        """Return what a publisher does with a store."""
        return [
            lambda: store.put("k", Bytes(b"1"), LISTS_HEADERS),
            lambda: store.put("k", Bytes(LARGE), LISTS_HEADERS),
            lambda: store.conditional_writes,
            lambda: store.get("k"),
            lambda: list(store.list("")),
            lambda: list(store.list("", delimiter="/")),
        ]

    def test_wrong_credentials(self) -> None:
        """Wrong credentials are said to be wrong, also where the answer itself cannot say why."""
        for change in ({"AWS_SECRET_ACCESS_KEY": "wrong"}, {"AWS_ACCESS_KEY_ID": "test:nobody"}):
            store = parts_store({**swift_environment(), **change})
            self.refused(NotAllowed, "the credentials are wrong", store, *self.calls(store), partial(store.head, "k"))
            self.refused(NotAllowed, "the credentials are wrong", store, partial(store.delete, "k"))

    def test_no_permission_to_write(self) -> None:
        """Who may only read is told so by a write."""
        environment = swift_environment()
        swift().make_container(BUCKET)
        reader = {"AWS_ACCESS_KEY_ID": READER[0], "AWS_SECRET_ACCESS_KEY": READER[1]}
        store = parts_store({**environment, **reader})
        self.assertEqual(list(store.list("")), [])
        calls = [*self.calls(store)[:3], lambda: store.delete("k")]
        self.refused(NotAllowed, "access denied", store, *calls)

    def test_no_bucket(self) -> None:
        """A bucket that is not there is told from an object that is not."""
        for environment in (moto_environment(), swift_environment()):
            store = parts_store(environment, "sdr-nowhere")
            self.refused(NotThere, "there is no such bucket", store, *self.calls(store))
            self.assertIsNone(store.head("k"))

    def test_no_credentials(self) -> None:
        """Without credentials, and on no machine that has a role, that is said at once."""
        environment = {name: value for name, value in moto_environment().items() if "KEY" not in name}
        nowhere = {"AWS_METADATA_ENDPOINT": f"http://127.0.0.1:{free_port()}", "HOME": str(folder())}
        store = parts_store({**environment, **nowhere})
        self.refused(NotAllowed, "no usable credentials", store, self.calls(store)[0])

    def test_profiles(self) -> None:
        """A profile of ~/.aws has credentials, region and endpoint."""
        environment, home = swift_environment(), folder()
        (home / ".aws").mkdir()
        (home / ".aws" / "credentials").write_text(
            f"[mine]\naws_access_key_id = {environment['AWS_ACCESS_KEY_ID']}\n"
            f"aws_secret_access_key = {environment['AWS_SECRET_ACCESS_KEY']}\n"
            f"[wrong]\naws_access_key_id = {environment['AWS_ACCESS_KEY_ID']}\naws_secret_access_key = wrong\n"
        )
        (home / ".aws" / "config").write_text(
            "".join(
                f"[profile {name}]\nregion = us-east-1\nendpoint_url = {environment['AWS_ENDPOINT_URL']}\n"
                for name in ("mine", "wrong")
            )
        )
        store = parts_store({"HOME": str(home), "AWS_PROFILE": "mine"})
        store.put("k", Bytes(b"1"), LISTS_HEADERS)
        self.assertEqual(store.get("k")[0], b"1")
        store = parts_store({"HOME": str(home), "AWS_PROFILE": "wrong"})
        self.refused(NotAllowed, "the credentials are wrong", store, self.calls(store)[0])


class FaultsTests(SynchronousTestCase):
    """A service that fails now and then, or for good."""

    def setUp(self) -> None:
        """Put a proxy in front of moto."""
        environment = moto_environment()
        proxy = Faulty(environment["AWS_ENDPOINT_URL"])
        self.proxy = proxy.__enter__()
        self.addCleanup(proxy.__exit__, None, None, None)
        self.waits: list[float] = []
        self.store = parts_store(
            {**environment, "AWS_ENDPOINT_URL": proxy.url}, patience=Patience(sleep=self.waits.append)
        )

    def test_fails_once(self) -> None:
        """What fails once, or is cut off, is done again, and nobody notices."""
        store = self.store
        faults = [Fault(503), Fault(500), Fault(), Fault(429)]
        for number, fault in enumerate(faults):
            self.proxy.faults[:] = [fault]
            store.put(f"k{number}", Bytes(b"1"), LISTS_HEADERS)
            self.proxy.faults[:] = [fault]
            self.assertEqual(store.get(f"k{number}")[0], b"1")
            self.proxy.faults[:] = [fault]
            self.assertEqual(len(list(store.list(""))), number + 1)
            self.proxy.faults[:] = [fault]
            self.assertEqual(len(list(store.list("", delimiter="/"))), number + 1)
            self.assertEqual(self.proxy.faults, [])

    def test_copy_fails(self) -> None:
        """A copy that fails once is made again; a service that knows none is asked once, and that is no error."""
        store = self.store
        store.put("a", Bytes(b"1"), LISTS_HEADERS)
        for fault in (Fault(503, only="PUT"), Fault(only="PUT"), Fault(503, only="HEAD"), Fault(429, only="PUT")):
            self.proxy.faults[:] = [fault]
            self.assertIsNotNone(store.copy("a", "b", LISTS_HEADERS))
            self.assertEqual((store.get("b")[0], self.proxy.faults), (b"1", []))
            store.delete("b")
        denied = b"<Error><Code>AccessDenied</Code></Error>"
        self.proxy.faults[:] = [Fault(403, body=denied, only="PUT")]
        error = self.assertRaises(NotAllowed, store.copy, "a", "b", LISTS_HEADERS)
        self.assertIn(f"{store.location}: b: access denied", str(error))
        self.proxy.faults[:] = [Fault(405, only="PUT")]
        self.assertEqual([store.copy("a", "b", LISTS_HEADERS) for _ in range(2)], [None, None])
        self.assertIsNone(store.head("b"))

    def test_fails_once_in_parts(self) -> None:
        """A part that fails is sent again, and an object that breaks off is read to its end."""
        for fault in (Fault(503, only="PUT"), Fault(only="PUT")):
            self.proxy.faults[:] = [fault]
            self.store.put("large", Bytes(LARGE), LISTS_HEADERS)
            self.proxy.faults[:] = [Fault(cut=6 * MEBIBYTE)]
            with self.store.open("large") as file:
                self.assertEqual(file.read(), LARGE)
        self.assertEqual(self.waits, [])

    def test_upload_is_given_up(self) -> None:
        """If a part is refused for good, the upload is given up, and leaves no parts."""
        self.proxy.faults[:] = [Fault(403, body=b"<Error><Code>AccessDenied</Code></Error>", only="PUT")] * 3
        self.assertRaises(NotAllowed, self.store.put, "large", Bytes(LARGE), LISTS_HEADERS)
        self.assertEqual([asked[:7] for asked in self.proxy.asked if asked.startswith("DELETE")], ["DELETE "])
        self.assertIsNone(self.store.head("large"))

    def test_left_alone(self) -> None:
        """A store that asks to be left alone for some time is left alone for that time."""
        self.proxy.faults[:] = [Fault(429, {"Retry-After": "7"})] * 2
        self.store.put("k", Bytes(b"1"), LISTS_HEADERS)
        (waited,) = self.waits
        self.assertGreaterEqual(waited, 7)

    def test_fails_for_good(self) -> None:
        """What fails again and again is told, in one line, after a number of times."""
        body = b"<Error><Code>InternalError</Code><Message>We\n broke.</Message></Error>"
        self.proxy.faults[:] = [Fault(500, body=body)] * 100
        error = self.assertRaises(NotReachable, self.store.put, "k", Bytes(b"1"), LISTS_HEADERS)
        location = self.store.location
        self.assertEqual(str(error), f"{location}: k: the store is not well: 500: InternalError: We broke")
        self.assertLess(len(self.proxy.asked), 10)

    def test_is_full(self) -> None:
        """A store that is full is not tried again."""
        self.proxy.faults[:] = [Fault(507)] * 2
        error = self.assertRaises(StoreError, self.store.put, "k", Bytes(b"1"), LISTS_HEADERS)
        self.assertIn("no room left", str(error))
        self.assertEqual((len(self.proxy.asked), self.waits), (1, []))

    def test_is_tried_again_for_conditional_writes(self) -> None:
        """A failure while conditional writes are tried is not taken for a lack of them."""
        self.proxy.faults[:] = [Fault(503), Fault(429)]
        self.assertTrue(self.store.conditional_writes)

    def test_is_gone(self) -> None:
        """A server that is gone is told with its address, in bounded time."""
        url = f"http://127.0.0.1:{free_port()}"
        patience = Patience(sleep=self.waits.append)
        store = parts_store({**moto_environment(), "AWS_ENDPOINT_URL": url}, patience=patience)
        for call in (lambda: store.head("k"), lambda: store.conditional_writes, lambda: list(store.list(""))):
            error = self.assertRaises(NotReachable, call)
            self.assertIn(f"cannot reach {url}: connection refused", str(error))
            self.assertNotIn("\n", str(error))
