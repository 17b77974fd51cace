"""Tests of collecting and removing what protocol v1 has, alone and at every step of a publisher's."""

import contextlib
import json
import tarfile
from collections.abc import Callable
from functools import partial
from io import StringIO
from pathlib import Path

from sdr.publish.collection import Collected, Collection
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Lines, Silent
from sdr.publish.refused import Refused
from sdr.publish.removal import Removal
from sdr.stores.directory import DirectoryStore
from sdr.stores.interface import Bytes, NotReachable, Store, StoreError
from sdr.tree.headers import V1_IMAGE_HEADERS, V1_REPOSITORY_HEADERS, Headers
from sdr.tree.v1 import decode_tags
from tests.images import Layout
from tests.publish.checked import layered
from tests.publish.interleaving import Interleaving, SteppedStore
from tests.publish.publishing import NAME, MemoryTestCase, publish
from tests.publish.trees import broken_references, snapshot_of, stale_documents
from tests.publish.v1_trees import broken_v1, publish_v1, stale_v1, v1_of
from tests.stores.memory import MemoryStore

FOLDER = f"repositories/{NAME}"
OLD_STORE = Path(__file__).parents[2] / "data" / "v1-store-2014.tar.gz"


def no_time(seconds: float) -> None:
    """Sleep not at all."""


def collect(store: Store, older_than: float = 0, *, dry_run: bool = False) -> Collected:
    """Collect as the command does."""
    return Collection(store, Jobs(1), Silent(), sleep=no_time).collect(older_than, dry_run=dry_run)


class V1TestCase(MemoryTestCase):
    """Has a store with images for both protocols."""

    def setUp(self) -> None:
        """Add images of several layers, that share one."""
        super().setUp()
        layout, shared = Layout(), ({"a": b"shared"}, "gzip")
        layered(layout, "one", shared, ({"c": b"own"}, "gzip"))
        layered(layout, "two", shared, ({"b": b"own"}, "gzip"))
        self.layers = layout.write(self.folder / "layers")

    def publish_v1(self, ref: str, tag: str, name: str = NAME) -> str:
        """Publish one of the images for both protocols, and return its id."""
        path = self.layers if ref in ("one", "two") else self.path
        return publish_v1(self.store, f"oci:{path}:{ref}", name, tag, sleep=no_time).id

    def images(self) -> set[str]:
        """Return the ids of the images that are there, whatever is there of them."""
        return {key.split("/")[1] for key in self.store.objects if key.startswith("images/")}

    def tags(self, name: str = NAME) -> dict[str, str]:
        """Return what the document of a repository says."""
        return decode_tags(self.store.objects[f"repositories/{name}/tags"][0])

    def tree(self) -> dict[str, bytes]:
        """Return what is there once it is found whole and level."""
        tree = super().tree()
        self.assertEqual(broken_v1(tree) + stale_v1(tree), [])
        return tree

    def old(self, image: str, *parts: str) -> None:
        """Put files of an old registry beside those of an image."""
        for part in parts:
            data = json.dumps([image]).encode() if part == "ancestry" else b"[]"
            self.store.put(f"images/{image}/{part}", Bytes(data), V1_IMAGE_HEADERS)


class CollectTests(V1TestCase):
    """One collection at a time."""

    def test_nothing_to_do(self) -> None:
        """What a tag leads to stays, down to the base; the blobs need not be there for it."""
        self.publish_v1("two", "1")
        before = self.store.snapshot()
        self.assertEqual(collect(self.store), Collected())
        self.assertEqual(self.store.snapshot(), before)
        for key in [key for key in before if key.startswith("v2/")]:
            self.store.delete(key)
        for _ in range(2):
            collect(self.store)
        self.assertEqual(self.blobs(), set())
        self.assertEqual(broken_v1(snapshot_of(self.store)), [])
        self.assertEqual(
            {key for key in self.store.objects if "_gc/" not in key}, {key for key in before if key[0] in "ir"}
        )

    def test_two_passes(self) -> None:
        """An image that no tag leads to is marked, then deleted with all that is its own; what it shares stays."""
        one, two = self.publish_v1("one", "1"), self.publish_v1("two", "2")
        self.old(two, "_checksum", "_files")
        shared = self.images() - {one, two}
        self.assertEqual(len(shared), 1)
        self.removal().untag(NAME, "2")
        marked = collect(self.store, 0)
        self.assertEqual(
            sorted(marked.marked), sorted(key for key in self.store.objects if two in key and "images/" in key)
        )
        told, done = collect(self.store, 0, dry_run=True), collect(self.store, 0)
        self.assertEqual(sorted(told.deleted), sorted(done.deleted))
        self.assertEqual(
            [key.rpartition("/")[2] for key in done.deleted], ["json", "ancestry", "_checksum", "_files", "layer"]
        )
        self.assertEqual(self.images(), {one} | shared)
        self.tree()

    def test_order(self) -> None:
        """Whenever a sweep is interrupted, an image that has a json is whole."""
        self.publish_v1("two", "1")
        self.removal().untag(NAME, "1")
        collect(self.store)
        marked, steps = dict(self.store.objects), 1
        while True:
            self.store.objects = dict(marked)

            def fails(number: int, at: int = steps) -> None:
                if number == at:
                    raise NotReachable("memory", "", "the connection was lost")

            with contextlib.suppress(NotReachable):
                if collect(SteppedStore(self.store, fails)).deleted:
                    break
            self.assertEqual(broken_v1(snapshot_of(self.store)), [], f"step {steps}")
            for _ in range(3):
                Collection(self.store, Jobs(1), Silent(), sleep=no_time).collect(0)
            self.assertEqual(self.images(), set(), f"step {steps}")
            steps += 1
        self.assertGreater(steps, 15)

    def test_old_registries(self) -> None:
        """What is being uploaded to an old registry stays, with what it needs; so do tags that only a list names."""
        base, top, listed, gone = ("0123"[number] * 64 for number in range(4))
        self.old(base, "ancestry", "json")
        self.old(top, "layer", "_inprogress")
        self.store.put(f"images/{top}/ancestry", Bytes(json.dumps([top, base]).encode()), V1_IMAGE_HEADERS)
        self.old(listed, "ancestry", "json", "layer")
        self.old(gone, "json", "_diff")
        document = json.dumps({"1": listed}).encode()
        self.store.put("repositories/old/app/tags", Bytes(document), V1_REPOSITORY_HEADERS)
        for _ in range(2):
            collect(self.store)
        self.assertEqual(self.images(), {base, top, listed})

    def test_what_cannot_be_read(self) -> None:
        """With a tag or an ancestry that cannot be read nothing is deleted, and one line names it."""
        top = self.publish_v1("other", "1")
        self.publish_v1("index", "2")
        self.removal().untag(NAME, "2")
        collect(self.store)
        whole = dict(self.store.objects)
        for key, data in {
            f"images/{top}/ancestry": b"?",
            f"images/{top}/ancestry ": None,
            f"images/{top}/ancestry  ": json.dumps(["0" * 64]).encode(),
            f"{FOLDER}/tag_1": b"?",
            f"{FOLDER}/tags": b"?",
        }.items():
            self.store.objects = dict(whole)
            if data is None:
                self.store.delete(key.strip())
            else:
                self.store.put(key.strip(), Bytes(data), Headers("", ""))
            before = snapshot_of(self.store)
            error = self.assertRaises(StoreError, collect, self.store)
            self.assertEqual((error.key, snapshot_of(self.store)), (key.strip(), before))

    def test_written_again(self) -> None:
        """An image of which anything was written again since it was marked stays whole until it is marked anew."""
        top = self.publish_v1("image", "1")
        for part, is_late in (("json", False), ("layer", False), ("ancestry", True), ("json", True)):
            self.removal().untag(NAME, "1")
            collect(self.store)
            key = f"images/{top}/{part}"
            data, headers, _ = self.store.objects[key]
            write = partial(self.store.put, key, Bytes(data), headers)
            # Late is after all was listed, before the first is deleted.
            store: Store = _Late(self.store, write) if is_late else self.store
            if not is_late:
                write()
            if not is_late:
                told = collect(self.store, dry_run=True).deleted
                self.assertEqual([each for each in told if top in each], [])
            swept = collect(store)
            self.assertEqual([each for each in swept.deleted if top in each], [])
            self.publish_v1("image", "1")
            self.tree()


class _Late(SteppedStore):
    """Does something right before the first look at a part of an image."""

    def __init__(self, store: Store, act: Callable[[], object]) -> None:
        super().__init__(store, lambda number: None)
        self._act, self._is_done = act, False

    def head(self, key: str):  # type: ignore[no-untyped-def]
        """Look."""
        if key.startswith("images/") and not self._is_done:
            self._is_done = True
            self._act()
        return super().head(key)


class RemovalTests(V1TestCase):
    """sdr untag and sdr rm."""

    def test_untag(self) -> None:
        """A tag goes from both protocols, and the keys that went are told."""
        self.publish_v1("image", "1")
        self.publish_v1("image", "2")
        changes = self.removal().untag(NAME, "1")
        self.assertEqual(changes.removed, (f"{FOLDER}/tag_1", f"v2/{NAME}/manifests/1"))
        self.assertLessEqual({f"{FOLDER}/{last}" for last in ("tag_1", "tags", "images")}, set(changes.cached))
        self.tree()
        self.assertEqual(set(self.tags()), {"2"})

    def test_only_there_for_v1(self) -> None:
        """A tag that only protocol v1 has goes, too, with what an old registry says of it; and so does a repository."""
        self.publish_v1("image", "1")
        for key in [key for key in self.store.objects if key.startswith("v2/")]:
            self.store.delete(key)
        self.store.put(f"{FOLDER}/tag1_json", Bytes(b"{}"), V1_REPOSITORY_HEADERS)
        kept = dict(self.store.objects)
        self.assertEqual(self.removal().untag(NAME, "1").removed, (f"{FOLDER}/tag_1", f"{FOLDER}/tag1_json"))
        self.assertEqual(self.tags(), {})
        self.assertRaises(Refused, self.removal().untag, NAME, "1")
        self.store.objects = kept
        removed = self.removal().remove(NAME, None).removed
        self.assertEqual(set(removed), {f"{FOLDER}/{last}" for last in ("tag_1", "tags", "images", "tag1_json")})
        self.assertEqual([key for key in self.store.objects if key.startswith("repositories/")], [])

    def test_by_digest(self) -> None:
        """With an image the tags that name it go from both protocols, and no others."""
        self.publish_v1("image", "1")
        self.publish_v1("other", "2")
        self.assertRaises(Refused, self.removal().remove, NAME, self.digests["image"])
        self.assertEqual(set(self.tags()), {"1", "2"})
        self.removal().remove(NAME, self.digests["image"], force=True)
        self.assertEqual(set(self.tags()), {"2"})
        self.tree()

    def test_repository(self) -> None:
        """A repository goes from both protocols, and none whose name begins with its name."""
        self.publish_v1("image", "1")
        self.publish_v1("image", "1", f"{NAME}/more")
        self.removal().remove(NAME, None)
        left = [key for key in self.store.objects if key.startswith("repositories/")]
        self.assertEqual({key.rpartition("/")[0] for key in left}, {f"{FOLDER}/more"})
        self.tree()

    def test_two_names(self) -> None:
        """Of app and library/app, one for protocol v1, what the other has there, too, stays; and that is said."""
        for name, ref, tag in (("app", "image", "1"), ("library/app", "other", "1"), ("app", "image", "2")):
            self.publish_v1(ref, tag, name)
        said = StringIO()
        Removal(self.store, Jobs(1), Lines(said), sleep=no_time).untag("app", "1")
        self.assertIn("repositories/library/app/tag_1 stays: library/app:1", said.getvalue())
        self.assertEqual(set(self.tags("library/app")), {"1", "2"})
        self.removal().remove("app", None)
        self.assertEqual(set(self.tags("library/app")), {"1"})
        self.assertRaises(Refused, self.removal().remove, "app", None)
        self.tree()
        self.removal().remove("library/app", None)
        self.assertEqual([key for key in self.store.objects if key.startswith("repositories/")], [])

    def test_interrupted(self) -> None:
        """Whenever it is interrupted nothing is broken, and the same command ends it."""
        for end in (lambda removal: removal.untag(NAME, "1"), lambda removal: removal.remove(NAME, None)):
            steps = 1
            while True:
                self.store = MemoryStore()
                self.publish_v1("image", "1")

                def fails(number: int, at: int = steps) -> None:
                    if number == at:
                        raise NotReachable("memory", "", "the connection was lost")

                try:
                    end(self.removal(SteppedStore(self.store, fails)))
                except NotReachable:
                    tree = snapshot_of(self.store)
                    self.assertEqual(broken_references(tree) + broken_v1(tree), [], f"step {steps}")
                    listed = json.loads(tree.get(f"{FOLDER}/tags", b"{}"))
                    self.assertEqual([tag for tag in listed if f"{FOLDER}/tag_{tag}" not in tree], [], f"step {steps}")
                else:
                    break
                with contextlib.suppress(Refused):
                    end(self.removal())
                self.assertNotIn(f"{FOLDER}/tag_1", self.tree(), f"step {steps}")
                steps += 1
            self.assertGreater(steps, 10)


class _Linked(MemoryStore):
    """A store in which a copy is another name of the same file: written again, it is as it was."""

    def copy(self, source: str, key: str, headers: Headers) -> str | None:
        """Copy an object, or leave it as it is."""
        there = self.objects.get(key)
        if there is not None and there[0] == self.objects[source][0]:
            return there[2].version
        return super().copy(source, key, headers)


class InterleavingTests(V1TestCase):
    """A publisher for protocol v1, and somebody who removes, at every step of each."""

    def every_step(
        self,
        prepare: Callable[[], object],
        second: Callable[[Store], object],
        wanted: set[str],
        tag: str = "new",
        stride: int = 1,
        publisher: Callable[[Store, Callable[[float], None]], object] | None = None,
    ) -> None:
        """Start the second at each step of the publisher and hold it at its own; whatever is tagged is whole.

        :param stride: how many of its own steps from one at which it is held to the next.
        :param publisher: does something else than publish for protocol v1 what a tag names.
        """
        starts_at, tried = 1, 0
        while True:
            held_at = 1
            while True:
                self.store = _Linked()
                prepare()
                both = Interleaving(self.store, starts_at, held_at)

                def first(store: Store = both.first, sleep: Callable[[float], None] = both.let_go) -> None:
                    # What it is to publish may be gone already.
                    with contextlib.suppress(Refused, StoreError):
                        publisher(store, sleep) if publisher else v1_of(store, NAME, tag, sleep=sleep)

                both.run(first, partial(second, both.second))
                where = f"started at {starts_at}, held at {held_at}"
                tree = snapshot_of(self.store)
                self.assertEqual(broken_v1(tree) + stale_v1(tree), [], where)
                self.assertLessEqual(wanted, set(json.loads(tree.get(f"{FOLDER}/tags", b"{}"))), where)
                for _ in range(2):
                    collect(self.store)
                tree = snapshot_of(self.store)
                self.assertEqual(broken_v1(tree) + stale_v1(tree) + stale_documents(tree), [], where)
                tried += 1
                if both.second.steps < held_at:
                    break
                held_at += stride
            if both.first.steps < starts_at:
                break
            starts_at += 1 if publisher is None else stride
        self.assertGreater(tried, 100)

    def orphan(self) -> None:
        """Leave images that nothing refers to, of what a tag of protocol v2 names."""
        self.publish_v1("image", "old")
        self.removal().untag(NAME, "old")
        publish(self.store, f"oci:{self.path}:image", NAME, "new", sleep=no_time)

    def test_marking(self) -> None:
        """A publisher beside a first pass."""
        self.every_step(self.orphan, collect, {"new"})

    def test_sweeping(self) -> None:
        """A publisher beside a second pass, over what it needs."""

        def prepare() -> None:
            self.orphan()
            collect(self.store)

        self.every_step(prepare, collect, {"new"})

    def test_sweeping_parts(self) -> None:
        """The same over what a publisher has left that was killed before it wrote the json."""

        def prepare() -> None:
            self.orphan()
            for key in [key for key in self.store.objects if key.startswith("images/") and key.endswith("/json")]:
                self.store.delete(key)
            collect(self.store)

        self.every_step(prepare, collect, {"new"}, stride=2)

    def test_untagging(self) -> None:
        """A publisher beside somebody who removes another tag: neither undoes the other's work."""

        def prepare() -> None:
            self.publish_v1("image", "old")
            publish(self.store, f"oci:{self.path}:image", NAME, "new", sleep=no_time)

        self.every_step(prepare, lambda store: self.removal(store).untag(NAME, "old"), {"new"}, stride=3)

    def test_removing_with_force(self) -> None:
        """A publisher who moves a tag beside somebody who removes what it named, and the tag with it."""

        def move(store: Store, sleep: Callable[[float], None]) -> None:
            publish_v1(store, f"oci:{self.path}:other", NAME, "old", sleep=sleep)

        def remove(store: Store) -> None:
            with contextlib.suppress(Refused):
                self.removal(store).remove(NAME, self.digests["image"], force=True)

        self.every_step(lambda: self.publish_v1("image", "old"), remove, {"old"}, stride=4, publisher=move)

    def test_removing_the_repository(self) -> None:
        """A publisher beside somebody who removes what he publishes: one of the two comes first."""

        def remove(store: Store) -> None:
            with contextlib.suppress(Refused):
                self.removal(store).remove(NAME, None)

        def prepare() -> None:
            self.publish_v1("image", "old")

        self.every_step(prepare, remove, set(), tag="old", stride=2)


class OldStoreTests(MemoryTestCase):
    """A store that docker-registry 0.9.1 wrote."""

    def test_collected(self) -> None:
        """All of what it has stays, the half pushed image too; without its tag an image goes."""
        with tarfile.open(OLD_STORE) as archive:
            archive.extractall(self.folder, filter="data")
        store = DirectoryStore(self.folder / "registry")
        before = snapshot_of(store)
        self.assertEqual(collect(store), Collected())
        Removal(store, Jobs(1), Silent(), sleep=no_time).untag("demo/hello", "latest")
        for _ in range(2):
            collect(store)
        left = {key for key in snapshot_of(store) if key.startswith("images/")}
        uploading = next(key.split("/")[1] for key in before if key.endswith("_inprogress"))
        self.assertEqual(left, {key for key in before if key.startswith(f"images/{uploading}/")})
