"""Tests of collecting garbage, and of publishers and removals that go on beside it, at every step of either."""

import contextlib
import json
from collections.abc import Callable, Iterator
from functools import partial

from sdr.publish.collection import Collected, Collection
from sdr.publish.jobs import Jobs
from sdr.publish.marks import DEAD, Marks
from sdr.publish.progress import Silent
from sdr.publish.refused import Refused
from sdr.publish.tagging import Tagging
from sdr.registry.grammar import Digest
from sdr.stores.interface import Bytes, Stat, Store, StoreError
from sdr.tree.headers import GC_HEADERS
from sdr.tree.marks import Mark, State
from tests.publish.interleaving import Interleaving
from tests.publish.publishing import NAME, MemoryTestCase
from tests.publish.trees import broken_references, snapshot_of, stale_documents, tagged_only
from tests.stores.memory import MemoryStore


def collect(store: Store, older_than: float = 0, *, untagged: bool = False, dry_run: bool = False) -> Collected:
    """Collect as the command does."""
    return Collection(store, Jobs(1), Silent()).collect(older_than, untagged=untagged, dry_run=dry_run)


class Lagging(MemoryStore):
    """A store whose listing stands still, once there is one."""

    listed: list[Stat] | None = None

    def list(self, prefix: str, *, delimiter: str = "") -> Iterator[Stat | str]:
        """List, perhaps what was."""
        if self.listed is None or prefix.startswith("_gc/"):
            return super().list(prefix, delimiter=delimiter)
        return iter([stat for stat in self.listed if stat.key.startswith(prefix)])


class CollectTests(MemoryTestCase):
    """One collection at a time."""

    def test_nothing_to_do(self) -> None:
        """Where all is in use nothing is marked, and nothing written."""
        self.publish("index", "1")
        before = self.store.snapshot()
        self.assertEqual(collect(self.store), Collected())
        self.assertEqual(self.store.snapshot(), before)

    def test_two_passes(self) -> None:
        """What nothing refers to is marked first, and deleted by a second call when its time has come."""
        now = [1000.0]
        self.publish("image", "1")
        self.publish("other", "2")
        self.removal().remove(NAME, self.digests["other"], force=True)
        collection = Collection(self.store, Jobs(1), Silent(), now=lambda: now[0])
        before = self.blobs()
        marked = collection.collect(3600)
        self.assertEqual((len(marked.marked), marked.deleted, marked.until), (2, (), 4600))
        now[0] += 3599
        self.assertEqual(collection.collect(3600), Collected(until=4600))
        self.assertEqual(self.blobs(), before)
        now[0] += 1
        swept = collection.collect(3600)
        self.assertEqual((sorted(swept.deleted), swept.marked), (sorted(marked.marked), ()))
        self.assertGreater(swept.freed, 0)
        self.assertEqual(self.blobs(), before - set(marked.marked))
        self.tree()
        # The mark is forgotten in the end.
        now[0] += 3600
        collection.collect(3600)
        self.assertEqual([key for key in self.store.objects if key.startswith("_gc/") and "rm-" not in key], [])

    def test_dry_run(self) -> None:
        """A dry run tells what would be marked, and what deleted, and changes nothing."""
        self.publish("image", "1")
        self.removal().remove(NAME, None)
        for _ in range(2):
            before = self.store.snapshot()
            told = collect(self.store, dry_run=True)
            self.assertEqual(self.store.snapshot(), before)
            done = collect(self.store)
            self.assertEqual((told.marked, told.deleted, told.freed), (done.marked, done.deleted, done.freed))
        self.assertEqual(self.blobs(), set())

    def test_manifests_by_digest_are_roots(self) -> None:
        """What no tag names stays, with all it needs, because people deploy by digest; unless --untagged is said."""
        self.publish("index", "1")
        self.publish("signature", "1.sig")
        self.removal().untag(NAME, "1.sig")
        before = self.store.snapshot()
        collect(self.store)
        self.assertEqual(self.store.snapshot(), before)
        # Attached to what is tagged, so it is in use.
        collect(self.store, untagged=True)
        self.assertEqual(self.store.snapshot(), before)
        self.removal().untag(NAME, "1")
        self.assertEqual(collect(self.store).marked, ())
        self.assertEqual(len(collect(self.store, untagged=True).marked), 4 + len(self.blobs()))
        self.assertEqual(len(self.tree()), len(before) - 2 + 1)
        collect(self.store, untagged=True)
        self.assertEqual([key for key in self.store.objects if "blobs/" in key or "/manifests/sha" in key], [])
        self.tree()

    def test_untagged_marks_are_not_swept_by_a_plain_call(self) -> None:
        """A plain call after one with --untagged leaves manifests alone."""
        self.publish("image", "1")
        self.removal().untag(NAME, "1")
        collect(self.store, untagged=True)
        before = self.blobs()
        self.assertEqual(collect(self.store).deleted, ())
        self.assertEqual(self.blobs(), before)
        self.tree()

    def test_what_is_only_under_a_tag(self) -> None:
        """What a tag names is in use, even where its manifest by digest has got lost."""
        self.publish("image", "1")
        self.store.delete(f"v2/{NAME}/manifests/{self.digests['image']}")
        self.assertEqual(collect(self.store, untagged=True).marked, ())

    def test_a_manifest_that_cannot_be_read(self) -> None:
        """With a manifest that is not what it should be nothing is deleted: what it needs is not known."""
        self.publish("image", "1")
        self.publish("other", "2")
        self.removal().remove(NAME, self.digests["other"], force=True)
        key = f"v2/{NAME}/manifests/{self.digests['image']}"
        for data in (b"{}", b"not JSON"):
            self.store.put(key, Bytes(data), GC_HEADERS)
            before = snapshot_of(self.store)
            error = self.assertRaises(StoreError, collect, self.store)
            self.assertEqual((error.key, snapshot_of(self.store)), (key, before))

    def test_written_again(self) -> None:
        """A candidate that was written again since it was marked stays until it is marked anew."""
        self.publish("image", "1")
        self.removal().remove(NAME, None)
        blob = min(collect(self.store).marked)
        data, headers, _ = self.store.objects[blob]
        self.store.put(blob, Bytes(data), headers)
        swept = collect(self.store)
        self.assertNotIn(blob, swept.deleted)
        self.assertEqual(swept.marked, (blob,))

    def test_listing_that_lags(self) -> None:
        """What was written again stays also where the listing has not noticed."""
        self.publish("image", "1")
        self.removal().remove(NAME, None)
        lagging = Lagging()
        lagging.objects = self.store.objects
        blob = min(collect(lagging).marked)
        lagging.listed = [each for each in self.store.list("") if isinstance(each, Stat)]
        data, headers, _ = self.store.objects[blob]
        self.store.put(blob, Bytes(data), headers)
        self.assertNotIn(blob, collect(lagging).deleted)
        self.assertIn(blob, self.store.objects)

    def test_killed_in_the_middle(self) -> None:
        """A sweep that was killed is ended by the next call, and publishers wait for that."""
        self.publish("image", "1")
        self.removal().remove(NAME, None)
        collect(self.store)
        mark = next(key for key in self.store.objects if key.startswith("_gc/1"))
        document = json.loads(self.store.get(mark)[0])
        self.store.put(mark, Bytes(json.dumps({**document, "state": "sweeping"}).encode()), GC_HEADERS)
        self.store.delete(min(document["candidates"]))
        waits: list[float] = []

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 5:
                looks: list[float] = []
                Collection(self.store, Jobs(1), Silent(), sleep=looks.append).collect(3600)
                self.assertEqual(sum(looks), DEAD)

        self.publish("image", "1", sleep=sleep)
        self.assertEqual(len(waits), 5)
        self.tree()

    def test_two_collections(self) -> None:
        """Beside a sweep that shows signs of life there is no other."""
        self.publish("image", "1")
        mark = Mark(State.SWEEPING, 1.0, False, {})
        Marks(self.store).write("_gc/x.json", mark)

        def sleep(seconds: float) -> None:
            Marks(self.store).beat("_gc/x.json", "1")

        error = self.assertRaises(Refused, Collection(self.store, Jobs(1), Silent(), sleep=sleep).collect, 0)
        self.assertIn("somebody else is deleting", str(error))

    def test_a_sweep_that_never_ends(self) -> None:
        """A publisher that waits in vain says for what, and how to end it; the tag has not moved."""
        self.publish("image", "1")
        self.removal().remove(NAME, None)
        candidates = {blob: ["v", 1] for blob in self.blobs()}
        mark = {"schema": 1, "state": "sweeping", "since": 1, "untagged": False, "candidates": candidates}
        self.store.put("_gc/x.json", Bytes(json.dumps(mark).encode()), GC_HEADERS)
        error = self.assertRaises(StoreError, self.publish, "image", "1")
        self.assertIn("_gc/x.json", str(error))
        self.assertIn("sdr gc", str(error))
        self.assertNotIn(f"v2/{NAME}/manifests/1", self.store.objects)

    def test_a_mark_that_cannot_be_read(self) -> None:
        """A mark that nobody understands stops publishers: what it protects is not known."""
        self.store.put("_gc/x.json", Bytes(b"?"), GC_HEADERS)
        error = self.assertRaises(StoreError, self.publish, "image", "1")
        self.assertEqual(error.key, "_gc/x.json")


class InterleavingTests(MemoryTestCase):
    """A publisher, and somebody who removes, at every step of each."""

    def every_step(
        self,
        prepare: Callable[[], None],
        first: Callable[[Store, Callable[[float], None]], object],
        second: Callable[[Store], object],
        wanted: set[str],
        *,
        only_tagged: bool = False,
    ) -> None:
        """Start the second at each step of the first and hold it at each of its own; whatever is tagged is whole."""
        starts_at, tried = 1, 0
        while True:
            held_at = 1
            while True:
                self.store = MemoryStore()
                prepare()
                both = Interleaving(self.store, starts_at, held_at)
                both.run(partial(first, both.first, both.let_go), partial(second, both.second))
                where = f"started at {starts_at}, held at {held_at}"
                tree = snapshot_of(self.store)
                self.assertEqual(broken_references(tagged_only(tree)), [], where)
                tags = json.loads(tree.get(f"v2/{NAME}/tags/list", b'{"tags": []}'))["tags"]
                self.assertLessEqual(wanted, set(tags), where)
                # What a publisher was busy with is collected without harm later, too.
                for _ in range(2):
                    collect(self.store)
                after = tagged_only(snapshot_of(self.store)) if only_tagged else snapshot_of(self.store)
                self.assertEqual(broken_references(after) + stale_documents(after), [], where)
                tried += 1
                if both.second.steps < held_at:
                    break
                held_at += 1
            if both.first.steps < starts_at:
                break
            starts_at += 1
        self.assertGreater(tried, 100)

    def orphan(self, *, keep_manifests: bool = False) -> None:
        """Leave what nothing refers to: an image that was published once."""
        self.publish("index", "old")
        if keep_manifests:
            self.removal().untag(NAME, "old")
        else:
            self.removal().remove(NAME, None)
            for key in [key for key in self.store.objects if key.startswith("_gc/")]:
                self.store.delete(key)

    def publishes(self, store: Store, sleep: Callable[[float], None]) -> None:
        """Publish what the orphans belong to."""
        self.publish("index", "new", store, sleep)

    def test_marking(self) -> None:
        """A publisher beside a first pass."""
        self.every_step(self.orphan, self.publishes, collect, {"new"})

    def test_sweeping(self) -> None:
        """A publisher beside a second pass, over what it needs."""

        def prepare() -> None:
            self.orphan()
            collect(self.store)

        self.every_step(prepare, self.publishes, collect, {"new"})

    def test_sweeping_untagged(self) -> None:
        """A publisher beside a second pass over untagged manifests that it is about to tag."""

        def prepare() -> None:
            self.orphan(keep_manifests=True)
            collect(self.store, untagged=True)

        self.every_step(prepare, self.publishes, lambda store: collect(store, untagged=True), {"new"})

    def removing(self, digest: Digest | None, *, force: bool = False) -> Callable[[Store], None]:
        """Return what removes a manifest, or the repository, unless that is refused."""

        def remove(store: Store) -> None:
            with contextlib.suppress(Refused):
                self.removal(store).remove(NAME, digest, force=force)

        return remove

    def test_removing(self) -> None:
        """A publisher beside somebody who removes what it is about to tag."""
        remove = self.removing(self.digests["index"])
        self.every_step(partial(self.orphan, keep_manifests=True), self.publishes, remove, {"new"})

    def test_removing_a_child(self) -> None:
        """A publisher of an index beside somebody who removes what it lists."""
        remove = self.removing(self.digests["image"])
        self.every_step(lambda: self.publish("image", "old"), self.publishes, remove, {"new"})

    def test_removing_the_repository(self) -> None:
        """A publisher of another image beside somebody who removes the repository: one of the two comes first."""
        self.every_step(lambda: self.publish("image", "old"), self.publishes, self.removing(None), set())

    def test_removing_with_force(self) -> None:
        """A publisher who moves a tag beside somebody who removes what it named, and the tag with it."""

        def move(store: Store, sleep: Callable[[float], None]) -> None:
            self.publish("index", "old", store, sleep)

        remove = self.removing(self.digests["other"], force=True)
        self.every_step(lambda: self.publish("other", "old"), move, remove, {"old"})

    def test_two_sweeps(self) -> None:
        """A publisher beside a sweep, while another sweep of the same is over."""

        def prepare() -> None:
            self.orphan()
            collect(self.store)

        def sweep(store: Store) -> None:
            # The other does all its work in between.
            collection = Collection(store, Jobs(1), Silent(), sleep=lambda _: None)
            with contextlib.suppress(Refused):
                collection.collect(0)

        self.every_step(prepare, self.publishes, sweep, {"new"})

    def test_tagging(self) -> None:
        """Somebody who tags what a second pass is about to take gets it whole, or is told that it is gone."""

        def prepare() -> None:
            self.orphan(keep_manifests=True)
            collect(self.store, untagged=True)

        def tag(store: Store, sleep: Callable[[float], None]) -> None:
            # It may come too late.
            with contextlib.suppress(Refused, StoreError):
                Tagging(store, Jobs(1), Silent(), sleep=sleep).tag(NAME, self.digests["index"], "new")

        self.every_step(prepare, tag, lambda store: collect(store, untagged=True), set(), only_tagged=True)
