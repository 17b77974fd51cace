"""Tests of the Swift store with a real Swift."""

import hashlib
import itertools
import os
import sys
import threading
from typing import BinaryIO

from twisted.trial.unittest import SynchronousTestCase

from sdr.registry.grammar import Digest
from sdr.stores.interface import Bytes, Changed, NotAllowed, NotReachable, NotThere, Served, Stat, StoreError
from sdr.stores.retrying import Patience
from sdr.stores.swift import SwiftStore
from sdr.stores.swift_credentials import login
from sdr.tree.headers import IMMUTABLE, LISTS_HEADERS, blob_headers
from tests.real.cutting import Cutting
from tests.real.programs import environment, fetch, folder, free_port, run
from tests.real.swift import PUBLIC, Swift, swift
from tests.stores import contract

CONTAINER = "images"

#: Tries once more, at once.
IMPATIENT = Patience(attempts=2, first=0.0, longest=0.0)

_NUMBERS = itertools.count()


def new_store(
    *,
    container: str = CONTAINER,
    credentials: dict[str, str] | None = None,
    segment_size: int = 1024**3,
    page: int | None = None,
    prefix: str | None = None,
) -> SwiftStore:
    """Return an empty store in a container that anybody may read."""
    running = swift()
    running.make_container(CONTAINER)
    return SwiftStore(
        f"swift://{container}",
        container,
        f"tests/{next(_NUMBERS)}" if prefix is None else prefix,
        login(credentials or running.environment),
        segment_size=segment_size,
        page=page,
        patience=IMPATIENT,
    )


class SwiftContractTests(contract.StoreContract):
    """What every store promises."""

    keeps_headers = True
    examples = 10

    def new_store(self) -> SwiftStore:
        """Return an empty store, which lists in small pages and cuts what is somewhat large."""
        return new_store(page=3, segment_size=600_000)

    def test_no_conditional_writes(self) -> None:
        """It says that it has no conditional writes, as Swift ignores If-Match."""
        self.assertFalse(self.new_store().conditional_writes)

    def test_conditions_at_best(self) -> None:
        """Conditions are looked at nevertheless, though not atomically."""
        store = self.new_store()
        first = store.put("a", Bytes(b"1"), LISTS_HEADERS, replaces=None)
        self.assertRaises(Changed, store.put, "a", Bytes(b"2"), LISTS_HEADERS, replaces=None)
        second = store.put("a", Bytes(b"3"), LISTS_HEADERS, replaces=first)
        error = self.assertRaises(Changed, store.put, "a", Bytes(b"4"), LISTS_HEADERS, replaces=first)
        self.assertEqual((error.store, error.key), (store.location, "a"))
        found = store.head("a")
        assert found is not None
        self.assertEqual((store.get("a")[0], found.version), (b"3", second))

    def test_from_many_threads(self) -> None:
        """One store serves many threads."""
        store = self.new_store()
        failures = []

        def work(number: int) -> None:
            try:
                for step in range(10):
                    key, data = f"v2/{number}/{step}", os.urandom(1000)
                    store.put(key, Bytes(data), LISTS_HEADERS)
                    if store.get(key)[0] != data:
                        failures.append(key)
            except Exception as error:
                failures.append(repr(error))

        threads = [threading.Thread(target=work, args=[number]) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((failures, len(self.keys(store))), ([], 120))


class Killed(Exception):
    """Stands for what ends an upload."""


class Dying:
    """A body of which only a part can be read."""

    def __init__(self, data: bytes, until: int) -> None:
        self._data, self._until = data, until
        self.size = len(data)

    def die(self) -> None:
        """End the upload."""
        raise Killed

    def open(self) -> BinaryIO:
        """Start reading."""
        stream = Bytes(self._data).open()
        read = stream.read

        def read_on(size: int | None = -1) -> bytes:
            if stream.tell() >= self._until:
                self.die()
            return read(-1 if size is None else size)

        stream.read = read_on  # type: ignore[method-assign]
        return stream


#: Uploads a body, and is killed after two segments of it.
_KILLED = """
import os, sys
from pathlib import Path
from sdr.stores.swift import SwiftStore
from sdr.stores.swift_credentials import login
from sdr.tree.headers import LISTS_HEADERS
from tests.real.test_swift_store import CONTAINER, Dying
prefix, file, key = sys.argv[1:]
body = Dying(Path(file).read_bytes(), 2000)
body.die = lambda: os.kill(os.getpid(), 9)
store = SwiftStore("", CONTAINER, prefix, login(os.environ), segment_size=1000)
store.put(key, body, LISTS_HEADERS)
"""


class LargeObjectTests(SynchronousTestCase):
    """Objects above the size that one upload may have."""

    size = 1000

    def setUp(self) -> None:
        """Take an empty store, and an object of four and a half segments."""
        self.store = new_store(segment_size=self.size)
        self.prefix = self.store._prefix
        self.data = os.urandom(4 * self.size + 500)
        self.digest = Digest.of(self.data)
        self.key = f"blobs/sha256/{self.digest.hex}"
        self.url = f"{swift().storage_url}/{CONTAINER}/{self.prefix}{self.key}"

    def put(self, data: bytes) -> str:
        """Upload it."""
        return self.store.put(self.key, Bytes(data), blob_headers(self.digest))

    def segments(self) -> list[str]:
        """Return the segments that Swift has."""
        return swift().objects(CONTAINER, f"{self.prefix}_segments/")

    def test_for_a_stranger(self) -> None:
        """Where anybody may read the container, anybody gets all of it, and a range of it, with its headers."""
        self.put(self.data)
        head, whole, part = fetch(self.url, method="HEAD"), fetch(self.url), fetch(self.url, Range="bytes=990-1009")
        self.assertEqual([head.status, whole.status, part.status], [200, 200, 206])
        self.assertEqual([whole.body, part.body], [self.data, self.data[990:1010]])
        for answer in (head, whole):
            names = ("Content-Length", "Content-Type", "Cache-Control", "X-Object-Meta-Docker-Content-Digest")
            wanted = ["4500", "application/octet-stream", IMMUTABLE, str(self.digest)]
            self.assertEqual([answer.headers[name] for name in names], wanted)

    def test_in_the_store(self) -> None:
        """Looking, listing and reading tell of the whole; its segments are not told."""
        version = self.put(self.data)
        found = self.store.head(self.key)
        assert found is not None
        self.assertEqual((found.size, found.version, found.content), (4500, version, ""))
        self.assertEqual(list(self.store.list("")), [found])
        self.assertEqual(list(self.store.list("", delimiter="/")), ["blobs/"])
        self.assertEqual(list(self.store.list("_")), [])
        self.assertEqual(self.store.get(self.key), (self.data, found))
        with self.store.open(self.key, start=1990, size=2000) as stream:
            self.assertEqual(stream.read(), self.data[1990:3990])
        served = Served("application/octet-stream", IMMUTABLE, None, str(self.digest))
        self.assertEqual(self.store.served(self.key), served)
        self.assertEqual(list(self.store.abandoned()), [])

    def test_copy(self) -> None:
        """A large object is not copied: nothing is written, over nothing and over something."""
        self.put(self.data)
        self.store.put("b", Bytes(b"before"), LISTS_HEADERS)
        for key in ("a", "b"):
            self.assertIsNone(self.store.copy(self.key, key, blob_headers(self.digest)))
        self.assertEqual((self.store.head("a"), self.store.get("b")[0]), (None, b"before"))

    def test_copy_over(self) -> None:
        """A copy over a large object replaces all of it."""
        self.put(self.data)
        self.store.put("a", Bytes(b"small"), LISTS_HEADERS)
        version = self.store.copy("a", self.key, blob_headers(self.digest))
        found = self.store.head(self.key)
        assert found is not None
        self.assertEqual((self.store.get(self.key)[0], found.version), (b"small", version))
        self.store.delete(self.key)
        self.assertEqual(self.segments(), [])

    def test_interrupted(self) -> None:
        """Killed in the middle, there is no object, and the next upload sends the missing segments only."""
        file = folder() / "body"
        file.write_bytes(self.data)
        program = [sys.executable, "-c", _KILLED, self.prefix.rstrip("/"), str(file), self.key]
        killed = run(program, env=environment(**swift().environment), ok=False)
        self.assertEqual(killed.returncode, -9, killed.stderr)
        self.assertIsNone(self.store.head(self.key))
        self.assertEqual(fetch(self.url).status, 404)
        left = self.segments()
        self.assertEqual([name.rpartition("/")[2] for name in left], ["00000000", "00000001"])
        self.assertEqual(list(self.store.abandoned()), [self.key])
        before = self.times(left)
        self.put(self.data)
        self.assertEqual((self.times(left), len(self.segments())), (before, 5))
        self.assertEqual(self.store.get(self.key)[0], self.data)
        self.assertEqual(list(self.store.abandoned()), [])

    def test_a_segment_of_something_else(self) -> None:
        """A segment that is there with other bytes is sent again."""
        self.put(self.data)
        before = self.times(self.segments())
        other = self.data[:1500] + b"?" + self.data[1501:]
        self.put(other)
        after = self.times(self.segments())
        self.assertEqual([one == another for one, another in zip(before, after, strict=True)], [1, 0, 1, 1, 1])
        self.assertEqual(self.store.get(self.key)[0], other)

    def times(self, names: list[str]) -> list[str]:
        """Return when each of these was written."""
        return [fetch(f"{swift().storage_url}/{CONTAINER}/{name}").headers["X-Timestamp"] for name in names]

    def test_create_only(self) -> None:
        """A large object that is expected not to be there is refused where it is, at best."""
        self.store.put(self.key, Bytes(self.data), blob_headers(self.digest), replaces=None)
        again = (self.key, Bytes(self.data), blob_headers(self.digest))
        self.assertRaises(Changed, lambda: self.store.put(*again, replaces=None))

    def test_delete(self) -> None:
        """Its segments go with it, and with what is left of one that was never finished."""
        self.put(self.data)
        self.store.delete(self.key)
        self.assertEqual((self.segments(), self.store.head(self.key)), ([], None))
        body = Dying(self.data, 2 * self.size)
        self.assertRaises(Killed, self.store.put, self.key, body, blob_headers(self.digest))
        self.store.delete(self.key)
        self.assertEqual(self.segments(), [])
        self.assertEqual(list(self.store.abandoned()), [])

    def test_delete_what_others_uploaded(self) -> None:
        """Segments that another program has put elsewhere go with their object too."""
        swift().make_container("others", public=False)
        elsewhere = new_store(container="others", prefix="")
        elsewhere.put("x/1", Bytes(b"12"), LISTS_HEADERS)
        manifest = b'[{"path": "/others/x/1", "etag": "%s"}]' % hashlib.md5(b"12").hexdigest().encode()
        self.store._container.ask(
            "PUT", self.prefix + "a", query={"multipart-manifest": "put"}, data=manifest, read=lambda _: None
        )
        self.assertEqual(self.store.get("a")[0], b"12")
        self.store.delete("a")
        self.assertEqual((self.store.head("a"), list(elsewhere.list(""))), (None, []))


class FailureTests(SynchronousTestCase):
    """What goes wrong, in the words of a store."""

    def refuse(self, store: SwiftStore, kind: type[StoreError], line: str, *, read: str = "") -> None:
        """Require that writing (and reading, if it is another line) fails with just this line."""
        large = Bytes(b"x" * 3_000_000)
        for body in (Bytes(b"x"), large):
            error = self.assertRaises(StoreError, store.put, "a", body, LISTS_HEADERS)
            self.assertEqual((type(error), str(error)), (kind, line))
        for ask in (
            lambda: store.head("a"),
            lambda: store.get("a"),
            lambda: store.delete("a"),
            lambda: store.open("a"),
        ):
            if read:
                error = self.assertRaises(StoreError, ask)
                self.assertEqual((type(error), str(error)), (kind, read))

    def test_wrong_key(self) -> None:
        """Credentials that are refused when authenticating."""
        running = swift()
        line = f"swift://images: the credentials are refused by {running.url.removeprefix('http://')}"
        store = new_store(credentials={**running.environment, "ST_KEY": "wrong"})
        self.refuse(store, NotAllowed, line, read=line)
        self.assertRaises(NotAllowed, list, store.list(""))

    def test_wrong_token(self) -> None:
        """A token that is refused, and no way to get another."""
        store = new_store(credentials={"OS_STORAGE_URL": swift().storage_url, "OS_AUTH_TOKEN": "AUTH_tkwrong"})
        line = "swift://images: a: the credentials are refused (401)"
        self.assertEqual(str(self.assertRaises(NotAllowed, store.put, "a", Bytes(b"x"), LISTS_HEADERS)), line)

    def test_given_token(self) -> None:
        """A token that somebody else has got is enough."""
        store = new_store(credentials={"OS_STORAGE_URL": swift().storage_url, "OS_AUTH_TOKEN": swift().token()})
        store.put("a", Bytes(b"x"), LISTS_HEADERS)
        self.assertEqual(store.get("a")[0], b"x")

    def test_may_only_read(self) -> None:
        """A user who may read may not write."""
        new_store(prefix="readable").put("a", Bytes(b"1"), LISTS_HEADERS)
        store = new_store(credentials=swift().reader_environment, prefix="readable")
        self.assertEqual(store.get("a")[0], b"1")
        self.assertEqual([found.key for found in store.list("") if isinstance(found, Stat)], ["a"])
        line = "swift://images: a: these credentials have no permission for it (403)"
        self.refuse(store, NotAllowed, line)
        self.assertEqual(str(self.assertRaises(NotAllowed, store.delete, "a")), line)

    def test_may_do_nothing(self) -> None:
        """A container that is somebody else's."""
        swift().make_container("private", public=False)
        store = new_store(container="private", credentials=swift().reader_environment)
        line = "swift://private: a: these credentials have no permission for it (403)"
        self.refuse(store, NotAllowed, line, read=line)

    def test_no_container(self) -> None:
        """A container that is not there: nothing is in it, and what needs it says how to make it."""
        line = "swift://none: there is no such container; make it with: swift post none"
        for size in (1024**3, 1000):
            store = new_store(container="none", segment_size=size)
            self.refuse(store, NotThere, line)
            self.assertIsNone(store.head("a"))
            store.delete("a")
            self.assertEqual(str(self.assertRaises(NotThere, list, store.list(""))), line)
            self.assertRaises(NotThere, list, store.abandoned())

    def test_over_the_quota(self) -> None:
        """A container that may hold no more."""
        swift().make_container("full", X_Container_Meta_Quota_Bytes="0")
        line = "swift://full: a: too large, or over a quota (413 Request Entity Too Large: Upload exceeds quota.)"
        self.refuse(new_store(container="full"), StoreError, line)

    def test_nobody_there(self) -> None:
        """A server that is not there."""
        place = f"127.0.0.1:{free_port()}"
        store = new_store(credentials={**swift().environment, "ST_AUTH": f"http://{place}/auth/v1.0"})
        line = f"swift://images: {place} cannot be reached: connection refused"
        self.refuse(store, NotReachable, line, read=line)

    def test_unknown_host(self) -> None:
        """A server whose name is not known."""
        store = new_store(credentials={**swift().environment, "ST_AUTH": "http://swift.invalid/auth/v1.0"})
        line = "swift://images: swift.invalid cannot be reached: its name is not known"
        self.refuse(store, NotReachable, line, read=line)

    def test_not_an_auth_url(self) -> None:
        """A server that does not authenticate anybody there."""
        store = new_store(credentials={**swift().environment, "ST_AUTH": f"{swift().url}/nothing"})
        error = self.assertRaises(StoreError, store.head, "a")
        self.assertNotIn("\n", str(error))
        self.assertIn(swift().url.removeprefix("http://"), str(error))


class OutageTests(SynchronousTestCase):
    """A Swift that goes away and comes back."""

    def test_gone_and_back(self) -> None:
        """While it is gone it is not reachable; back again, with no token of before valid, all is as it was."""
        with Swift() as running:
            running.make_container(CONTAINER)
            credentials = login(running.environment)
            store = SwiftStore("swift://images", CONTAINER, "", credentials, patience=IMPATIENT)
            store.put("a", Bytes(b"1"), LISTS_HEADERS)
            running.kill()
            error = self.assertRaises(NotReachable, store.get, "a")
            place = running.url.removeprefix("http://")
            self.assertEqual(str(error), f"swift://images: a: {place} cannot be reached: connection refused")
            running.start()
            self.assertEqual(store.get("a")[0], b"1")
            large = os.urandom(3_000_000)
            store.put("b", Bytes(large), LISTS_HEADERS)
            self.assertEqual(store.get("b")[0], large)

    def test_connection_cut(self) -> None:
        """A connection that is cut in the middle of an upload or a download is made again; the object is whole."""
        large = os.urandom(3_000_000)
        with Cutting(swift().url) as cutting:
            through = {**swift().environment, "ST_AUTH": f"{cutting.url}/auth/v1.0"}
            store = new_store(credentials=through)
            cutting.cut(sent=1_000_000)
            store.put("a", Bytes(large), LISTS_HEADERS)
            self.assertEqual(cutting.cuts, 1)
            cutting.cut(received=1_000_000)
            self.assertEqual(store.get("a")[0], large)
            cutting.cut(received=1_000_000)
            with store.open("a", start=10) as stream:
                self.assertEqual(stream.read(), large[10:])
            self.assertEqual(cutting.cuts, 3)

    def test_connection_cut_again_and_again(self) -> None:
        """Where it never holds, what was there stays, and the failure is one line."""
        with Cutting(swift().url) as cutting:
            store = new_store(credentials={**swift().environment, "ST_AUTH": f"{cutting.url}/auth/v1.0"})
            store.put("a", Bytes(b"before"), LISTS_HEADERS)
            cutting.cut(sent=1_000_000, times=10)
            error = self.assertRaises(NotReachable, store.put, "a", Bytes(b"x" * 3_000_000), LISTS_HEADERS)
            place = cutting.url.removeprefix("http://")
            self.assertIn(f"swift://images: a: {place} cannot be reached: ", str(error))
            self.assertNotIn("\n", str(error))
            cutting.cut(times=0)
            self.assertEqual(store.get("a")[0], b"before")

    def test_token_expires_in_an_upload(self) -> None:
        """A token that is no longer valid is replaced by another in the middle of whatever is done."""
        store = new_store()
        store.put("a", Bytes(b"1"), LISTS_HEADERS)
        auth = store._container._login.session.auth
        assert auth is not None
        for key, body in (("b", Bytes(b"2")), ("c", Bytes(b"x" * 3_000_000))):
            auth.auth_ref.auth_token = "AUTH_tkexpired"  # type: ignore[attr-defined]
            store.put(key, body, LISTS_HEADERS)
            self.assertEqual(store.get(key)[0], body.data)

    def test_public(self) -> None:
        """The container of these tests is one that anybody may list, as the endpoint's store is."""
        new_store().put("a", Bytes(b"1"), LISTS_HEADERS)
        self.assertEqual(fetch(f"{swift().storage_url}/{CONTAINER}?limit=1").status, 200)
        self.assertIn(".r:*", PUBLIC)
