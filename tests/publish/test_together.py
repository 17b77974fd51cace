"""Tests of images that are published together."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from sdr.publish.expecting import Expected
from sdr.publish.image import BadSource
from sdr.publish.jobs import Jobs
from sdr.publish.marks import Marks
from sdr.publish.progress import Silent
from sdr.publish.publisher import Publication
from sdr.publish.rebuilding import Rebuilding
from sdr.publish.refused import Refused
from sdr.registry.grammar import Digest
from sdr.stores.interface import ANY_VERSION, AnyVersion, Body, Bytes, NotReachable, Stat, Store
from sdr.tree.headers import TAGS_HEADERS, Headers
from sdr.tree.keys import referrers_key
from sdr.tree.marks import Mark, State, candidate, mark_key
from tests.publish.interleaving import Interleaving
from tests.publish.publishing import NAME, MemoryTestCase
from tests.publish.test_collection import collect
from tests.publish.test_interruptions import FailingStore
from tests.publish.together import no_time, publish_all
from tests.publish.trees import broken_references, snapshot_of, stale_documents, tagged_only
from tests.stores.memory import MemoryStore

T = TypeVar("T")

#: What is published together: a repository, a tag and the image that it is to name.
GROUP = [(NAME, "1", "image"), ("acme/other", "1", "other"), (NAME, "2", "index"), ("acme/other", "sig", "signature")]

#: Stores with and without conditional writes, and with what Swift has of them.
KINDS: Sequence[Callable[[], MemoryStore]] = (
    MemoryStore,
    partial(MemoryStore, conditional_writes=False),
    partial(MemoryStore, conditional_writes=False, creates_once=True),
)


def tags_in(store: Store) -> set[tuple[str, str]]:
    """Return the tags whose objects are there, with their repositories."""
    found = (stat.key.removeprefix("v2/").split("/manifests/") for stat in store.list("v2/") if isinstance(stat, Stat))
    return {(key[0], key[1]) for key in found if len(key) == 2 and ":" not in key[1]}


class Broken(MemoryStore):
    """A store that cannot write some keys."""

    def __init__(self, *bad: str) -> None:
        super().__init__()
        self._bad = bad

    def put(self, key: str, body: Body, headers: Headers, *, replaces: str | AnyVersion | None = ANY_VERSION) -> str:
        """Write, or fail."""
        if key in self._bad:
            raise NotReachable(self.location, key, "the connection was lost")
        return super().put(key, body, headers, replaces=replaces)


class Slow(MemoryStore):
    """A store that takes a while for one key, and cannot write it in the end if it is bad."""

    def __init__(self, key: str, *, bad: bool) -> None:
        super().__init__()
        self._key, self._bad = key, bad
        self.puts: list[str] = []

    def put(self, key: str, body: Body, headers: Headers, *, replaces: str | AnyVersion | None = ANY_VERSION) -> str:
        """Write, or fail."""
        if key == self._key:
            time.sleep(0.2)
            if self._bad:
                raise NotReachable(self.location, key, "the connection was lost")
        self.puts.append(key)
        return super().put(key, body, headers, replaces=replaces)


class GoneStore(FailingStore):
    """Another store, which cannot be written to any more from the N-th write on."""

    def _write(self, key: str, write: Callable[[], T]) -> T:
        with self._lock:
            self._left -= 1
        if self._left <= 0:
            raise NotReachable(self.location, key, "the connection was lost")
        return write()


class TogetherCase(MemoryTestCase):
    """Has a group of images."""

    def together(
        self, group: Sequence[tuple[str, str, str]] = GROUP, if_tag: Expected | None = None, jobs: int = 1
    ) -> tuple[list[Publication], Exception | None]:
        """Publish into the store."""
        return publish_all(self.store, self.path, group, if_tag=if_tag, jobs=jobs)

    @contextmanager
    def spoiled(self, ref: str) -> Iterator[str]:
        """Do so as long as this lasts."""
        before = {file: file.read_bytes() for file in (self.path / "blobs" / "sha256").iterdir()}
        try:
            yield self.spoil(ref)
        finally:
            for file, data in before.items():
                file.write_bytes(data)

    def spoil(self, ref: str) -> str:
        """Let the last layer of an image be other bytes of the same length; return its key in a store."""
        blobs = self.path / "blobs" / "sha256"
        manifest = json.loads((blobs / self.digests[ref].hex).read_bytes())
        layer = Digest.parse(manifest["layers"][-1]["digest"])
        file = blobs / layer.hex
        file.write_bytes(file.read_bytes()[:-1] + b"?")
        return f"blobs/sha256/{layer.hex}"


class TogetherTests(TogetherCase):
    """What comes of a group."""

    def test_as_one_after_the_other(self) -> None:
        """The tree is the one that publishing them one after the other makes, on every kind of store."""
        alone = MemoryStore()
        for each in GROUP:
            publish_all(alone, self.path, [each])
        for kind in KINDS:
            for jobs in (1, 8):
                self.store = kind()
                published, failure = self.together(jobs=jobs)
                self.assertIsNone(failure)
                self.assertEqual([(each.name, each.tag) for each in published], [each[:2] for each in GROUP])
                self.assertEqual([each.digest for each in published], [self.digests[ref] for _, _, ref in GROUP])
                self.assertEqual(self.tree(), snapshot_of(alone))

    def test_accounts(self) -> None:
        """Each object is on the account of one image, and once; the second time nothing is written."""
        for kind in KINDS:
            self.store = kind()
            published, _ = self.together(jobs=4)
            written = [key for each in published for key in each.account.written]
            self.assertEqual(sorted(written), sorted(self.store.objects))
            size = sum(each.account.written_bytes for each in published)
            self.assertEqual(size, sum(len(data) for data in self.store.snapshot().values()))
            again, _ = self.together(jobs=4)
            self.assertEqual([each.account.written for each in again], [()] * len(GROUP))

    def test_shared_documents_are_written_once(self) -> None:
        """However many images a group has, each derived document is written once."""
        puts: list[str] = []

        class Counting(MemoryStore):
            def put(self, key: str, *arguments: object, **options: object) -> str:
                puts.append(key)
                return super().put(key, *arguments, **options)  # type: ignore[arg-type]

        self.store = Counting()
        self.together([(f"acme/n{number}", "1", "image") for number in range(20)], jobs=8)
        self.assertEqual(len(puts), len(set(puts)))
        self.assertEqual(puts[-1], "v2/_repositories.json")
        self.tree()

    def test_order(self) -> None:
        """No tag is written before all that any of them needs, no document before the tags, which keep their order."""
        puts: list[str] = []
        lock = threading.Lock()

        class Noting(MemoryStore):
            def put(self, key: str, *arguments: object, **options: object) -> str:
                with lock:
                    puts.append(key)
                return super().put(key, *arguments, **options)  # type: ignore[arg-type]

        self.store = Noting()
        self.together(jobs=8)
        stages = [
            "blobs/",
            "sha256:",
            "/manifests/",
            "tags/list",
            "_repository.json",
            "_repositories/",
            "_repositories",
        ]
        tags = [key for key in puts if "/manifests/" in key and ":" not in key]
        self.assertEqual(tags, [f"v2/{name}/manifests/{tag}" for name, tag, _ in GROUP])

        def stage(key: str) -> int:
            found = next(number for number, part in enumerate(stages) if part in key)
            # A repository's documents come before the lists; those of several are written side by side.
            is_referrers = "/referrers/" in key
            return 3 if is_referrers or found == 4 else found

        self.assertEqual([stage(key) for key in puts], sorted(stage(key) for key in puts))

    def test_a_child_of_another(self) -> None:
        """An index comes after its children, also those that an image before it brings along, and however slowly."""
        child, index = (f"v2/{NAME}/manifests/{self.digests[ref]}" for ref in ("image", "index"))
        for bad in (False, True):
            self.store = store = Slow(child, bad=bad)
            published, _ = self.together([(NAME, "1", "image"), (NAME, "2", "index"), (NAME, "3", "other")], jobs=8)
            self.assertEqual(len(published), 0 if bad else 3)
            self.assertEqual(broken_references(snapshot_of(store)), [])
            self.assertEqual([key for key in store.puts if key in (child, index)], [] if bad else [child, index])

    def test_what_has_another_size_is_mended(self) -> None:
        """A blob or a manifest that something else has cut is written again, also where the repository is new."""
        for kind in KINDS:
            self.store = kind()
            self.together()
            whole = self.tree()
            for key in [key for key in whole if key.startswith("blobs/") or "sha256:" in key.split("/manifests/")[-1]]:
                if "/referrers/" not in key:
                    self.store.put(key, Bytes(whole[key][:-1]), TAGS_HEADERS)
            for key in [key for key in whole if key.endswith("_repository.json")]:
                self.store.delete(key)
            self.together()
            self.assertEqual(self.tree(), whole)


class FirstFailureTests(TogetherCase):
    """The first that fails: those before it are published, of it and those after it no tag is moved."""

    def assert_published(
        self, outcome: tuple[list[Publication], Exception | None], count: int, kind: type[Exception]
    ) -> Exception:
        """Require that so many were published, and no other."""
        published, failure = outcome
        assert isinstance(failure, kind), failure
        expected = [(name, tag) for name, tag, _ in GROUP[:count]]
        self.assertEqual([(each.name, each.tag) for each in published], expected)
        self.assertEqual(tags_in(self.store), {*expected})
        tree = snapshot_of(self.store)
        self.assertEqual(broken_references(tree) + stale_documents(tree), [])
        return failure

    def test_a_bad_layer(self) -> None:
        """A layer that turns out wrong while it is written, of whichever image and whoever writes it first."""
        key = self.spoil("other")
        for kind in KINDS:
            for jobs in (1, 8):
                self.store = kind()
                error = self.assert_published(self.together(jobs=jobs), 1, BadSource)
                self.assertIn("its digest is", str(error))
                self.assertNotIn(key, self.store.objects)

    def test_the_first_of_all(self) -> None:
        """When the very first fails nothing is published, and no document is written."""
        self.store = Broken(f"v2/{NAME}/manifests/{self.digests['image']}")
        self.assert_published(self.together(), 0, NotReachable)
        self.assertEqual([key for key in self.store.objects if key.endswith(("json", "list"))], [])

    def test_a_manifest(self) -> None:
        """A manifest that cannot be written."""
        for jobs in (1, 8):
            self.store = Broken(f"v2/acme/other/manifests/{self.digests['other']}")
            self.assert_published(self.together(jobs=jobs), 1, NotReachable)

    def test_a_tag(self) -> None:
        """A tag that cannot be written: the tags after it are not tried."""
        for jobs in (1, 8):
            self.store = Broken(f"v2/{NAME}/manifests/2")
            self.assert_published(self.together(jobs=jobs), 2, NotReachable)

    def test_the_earlier_of_two(self) -> None:
        """Of two that fail it is the earlier one that counts, whichever is found first."""
        self.spoil("other")
        for jobs in (1, 8):
            self.store = Broken(f"v2/{NAME}/manifests/{self.digests['index']}")
            self.assert_published(self.together(jobs=jobs), 1, BadSource)

    def test_refused(self) -> None:
        """A tag that is not as expected is refused before anything of its image is written."""
        for kind in KINDS:
            self.store = kind()
            publish_all(self.store, self.path, [("acme/other", "1", "image")])
            published, failure = self.together(if_tag=Expected(None))
            self.assertEqual([each.tag for each in published], ["1"])
            self.assertIsInstance(failure, Refused)
            self.assertEqual(tags_in(self.store), {(NAME, "1"), ("acme/other", "1")})
            self.assertNotIn(f"v2/acme/other/manifests/{self.digests['other']}", self.store.objects)
            self.tree()

    def test_refused_in_between(self) -> None:
        """A tag that is refused is never told of, not even for a moment; nor are those that would have followed."""
        told: list[bytes] = []

        class Listening(MemoryStore):
            def put(self, key: str, body: Body, *arguments: object, **options: object) -> str:
                if key.endswith("_repository.json"):
                    with body.open() as source:
                        told.append(source.read())
                return super().put(key, body, *arguments, **options)  # type: ignore[arg-type]

        for conditional in (True, False):
            self.store = Listening(conditional_writes=conditional)
            publish_all(self.store, self.path, [("acme/other", "1", "image")])
            told.clear()
            _, failure = self.together(if_tag=Expected(None))
            self.assertIsInstance(failure, Refused)
            self.assertTrue(told)
            for ref in ("other", "index", "signature"):
                self.assertEqual([data for data in told if self.digests[ref].hex.encode() in data], [])

    def test_a_malformed_document(self) -> None:
        """A derived document that is not sdr's is told before a tag of its repository moves."""
        self.store.put("v2/acme/other/tags/list", Bytes(b"?"), TAGS_HEADERS)
        published, failure = self.together()
        self.assertEqual([each.tag for each in published], ["1"])
        self.assertIn("acme/other/tags/list", str(failure))
        self.assertEqual(tags_in(self.store), {(NAME, "1")})

    def test_a_malformed_document_of_a_later_one(self) -> None:
        """What only a later image of the same repository needs is no reason to refuse an earlier one."""
        for jobs in (1, 8):
            self.store = MemoryStore()
            key = referrers_key(NAME, self.digests["index"])
            self.store.put(key, Bytes(b"?"), TAGS_HEADERS)
            published, failure = self.together([(NAME, "1", "image"), (NAME, "sig", "signature")], jobs=jobs)
            self.assertEqual([each.tag for each in published], ["1"])
            self.assertIn(key, str(failure))
            self.assertEqual(tags_in(self.store), {(NAME, "1")})
            self.store.delete(key)
            self.tree()

    def mark(self, key: str) -> None:
        """Mark what is there for deletion."""
        stat = self.store.head(key)
        assert stat is not None
        Marks(self.store).write(mark_key("x"), Mark(State.MARKED, 0.0, False, {key: candidate(stat)}))

    def test_a_marked_layer(self) -> None:
        """A layer that is there, is to be collected, and cannot be written anew as its source has it."""
        for jobs in (1, 8):
            self.store = MemoryStore()
            publish_all(self.store, self.path, [("acme/other", "0", "other")])
            with self.spoiled("other") as key:
                self.mark(key)
                published, failure = self.together(jobs=jobs)
            self.assertIsInstance(failure, BadSource)
            self.assertEqual([each.tag for each in published], ["1"])
            self.assertEqual(tags_in(self.store), {("acme/other", "0"), (NAME, "1")})
            self.tree()

    def test_a_layer_marked_late(self) -> None:
        """The same when the tags have moved: those before it are told of, and in the lists; the others are not."""
        puts = MemoryStore.put

        def put(store: MemoryStore, key: str, *arguments: Any, **options: Any) -> str:
            version = puts(store, key, *arguments, **options)
            if key == f"v2/{NAME}/manifests/2":
                self.mark(layer)
            return version

        for jobs in (1, 8):
            self.store = MemoryStore()
            publish_all(self.store, self.path, [("acme/other", "0", "other")])
            with self.spoiled("other") as layer:
                self.patch(MemoryStore, "put", put)
                published, failure = self.together(jobs=jobs)
                self.patch(MemoryStore, "put", puts)
            self.assertIsInstance(failure, BadSource)
            self.assertEqual([each.tag for each in published], ["1"])
            tree = snapshot_of(self.store)
            self.assertEqual(broken_references(tree), [])
            self.assertEqual(json.loads(tree[f"v2/{NAME}/tags/list"])["tags"], ["1", "2"])
            self.assertEqual(json.loads(tree["v2/acme/other/tags/list"])["tags"], ["0"])
            self.together()
            self.tree()

    def test_a_swept_layer_of_a_later_one(self) -> None:
        """What was swept when the tags had moved is written again also for those after one that fails then."""
        puts = MemoryStore.put

        def put(store: MemoryStore, key: str, *arguments: Any, **options: Any) -> str:
            version = puts(store, key, *arguments, **options)
            if key == f"v2/{NAME}/manifests/2":
                blobs = [each for each in store.objects if each.startswith("blobs/")]
                found = {each: candidate(stat) for each in blobs if (stat := store.head(each))}
                Marks(store).write(mark_key("x"), Mark(State.SWEPT, 0.0, False, found))
                for each in blobs:
                    store.delete(each)
            return version

        group = [(NAME, "1", "image"), ("acme/other", "1", "other"), (NAME, "2", "index")]
        for jobs in (1, 8):
            self.store = MemoryStore()
            publish_all(self.store, self.path, [("acme/other", "0", "other")])
            with self.spoiled("other"):
                self.patch(MemoryStore, "put", put)
                published, failure = self.together(group, jobs=jobs)
                self.patch(MemoryStore, "put", puts)
            self.assertIsInstance(failure, BadSource)
            self.assertEqual([each.tag for each in published], ["1"])
            broken = broken_references(snapshot_of(self.store))
            self.assertEqual([each for each in broken if not each.startswith("v2/acme/other/")], [])


class DyingTests(TogetherCase):
    """A publisher of a group that dies at any of its writes."""

    def wanted(self, kind: Callable[[], MemoryStore]) -> dict[str, bytes]:
        """Return the tree that the group makes."""
        self.store = self.before(kind)
        self.together()
        return self.tree()

    def before(self, kind: Callable[[], MemoryStore]) -> MemoryStore:
        """Return a store in which one of the repositories has something."""
        store = kind()
        publish_all(store, self.path, [(NAME, "0", "image"), (NAME, "2", "other")])
        return store

    def test_every_write_in_turn(self) -> None:
        """Before and after each write what is there is whole; the same again completes it, one by one too, or index."""
        for kind in KINDS:
            wanted, fails_at = self.wanted(kind), 1
            while self.die(kind, fails_at, False, wanted) and self.die(kind, fails_at, True, wanted):
                fails_at += 1
            self.assertGreater(fails_at, 15)

    def die(self, kind: Callable[[], MemoryStore], fails_at: int, written: bool, wanted: dict[str, bytes]) -> bool:
        """Have a publisher die, and mend what it has left, in each way; tell whether it came to that write."""
        for mend in ("together", "alone", "index"):
            store = self.before(kind)
            before = snapshot_of(store)
            failing = FailingStore(store, fails_at, written=written)
            failing.conditional_writes = store.conditional_writes
            try:
                _, failure = publish_all(failing, self.path, GROUP)
            except NotReachable as error:
                failure = error
            after = snapshot_of(store)
            self.assertEqual(broken_references(after), [])
            self.assertEqual([key for key in before if key not in after], [])
            where = f"{mend} after {fails_at}, written: {written}"
            # A write that is refused on its condition does not fail.
            if failure is None:
                self.assertEqual(after, wanted, where)
            if mend == "index":
                Rebuilding(store, Jobs(1), Silent(), sleep=no_time).rebuild()
                tree = snapshot_of(store)
                self.assertEqual(broken_references(tree) + stale_documents(tree), [], where)
                continue
            for part in [GROUP] if mend == "together" else [[each] for each in GROUP]:
                publish_all(store, self.path, part)
            self.assertEqual(snapshot_of(store), wanted, where)
        return failing.came_to_it

    def test_nothing_more_after_death(self) -> None:
        """A store that is gone for good from any write on leaves what the same command completes."""
        for kind in KINDS:
            wanted, dies_at, dies = self.wanted(kind), 0, True
            while dies:
                dies_at += 1
                store = self.before(kind)
                gone = GoneStore(store, dies_at, written=False)
                gone.conditional_writes = store.conditional_writes
                try:
                    _, failure = publish_all(gone, self.path, GROUP)
                except NotReachable as error:
                    failure = error
                dies = gone.came_to_it
                self.assertEqual(failure is not None, dies)
                self.assertEqual(broken_references(snapshot_of(store)), [])
                publish_all(store, self.path, GROUP)
                self.assertEqual(snapshot_of(store), wanted, f"dead from {dies_at} on")
            self.assertGreater(dies_at, 15)


class SideBySideTests(TogetherCase):
    """A publisher of a group beside somebody else, at every step of each."""

    def every_step(
        self,
        kind: Callable[[], MemoryStore],
        second: Callable[[Store], object],
        *,
        prepare: Callable[[], object] = lambda: None,
        untagged: bool = False,
    ) -> None:
        """Require that all tags of the group are there in the end, whole and level."""
        starts_at, tried = 1, 0
        while True:
            held_at = 1
            while True:
                self.store = kind()
                prepare()
                both = Interleaving(self.store, starts_at, held_at)
                both.run(
                    lambda both=both: publish_all(both.first, self.path, GROUP[:2], sleep=both.let_go),  # type: ignore[misc]
                    partial(second, both.second),
                )
                where = f"started at {starts_at}, held at {held_at}"
                tree = snapshot_of(self.store)
                if untagged:
                    tree = tagged_only(tree)
                self.assertEqual(broken_references(tree) + stale_documents(tree), [], where)
                self.assertLessEqual({(name, tag) for name, tag, _ in GROUP[:2]}, tags_in(self.store), where)
                tried += 1
                if both.second.steps < held_at:
                    break
                held_at += 1
            if both.first.steps < starts_at:
                break
            starts_at += 1
        self.assertGreater(tried, 100)

    def test_another_publisher(self) -> None:
        """Nothing of either is lost when another publishes into the same repositories."""
        for kind in (KINDS[0], KINDS[2]):
            self.every_step(kind, lambda store: publish_all(store, self.path, [(NAME, "x", "other")]))

    def test_another_group(self) -> None:
        """Nor when the other publishes several together too."""
        other = [("acme/other", "x", "signature"), (NAME, "y", "other")]
        self.every_step(KINDS[1], lambda store: publish_all(store, self.path, other))

    def test_sweeping(self) -> None:
        """What a collection is about to take is written again."""

        def prepare() -> None:
            publish_all(self.store, self.path, [(NAME, "old", "image"), ("acme/other", "old", "other")])
            for name in (NAME, "acme/other"):
                self.removal().remove(name, None)
            for key in [key for key in self.store.objects if key.startswith("_gc/")]:
                self.store.delete(key)
            collect(self.store)

        self.every_step(KINDS[2], collect, prepare=prepare, untagged=True)
