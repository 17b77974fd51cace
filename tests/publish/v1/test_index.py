"""Tests of what is derived from the tags of protocol v1, beside publishers that are at work, die, or are others."""

import contextlib
import json
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.jobs import Jobs
from sdr.publish.progress import Silent
from sdr.publish.rebuilding import Rebuilding
from sdr.publish.v1.index import V1Index
from sdr.publish.writing import Account, Writing
from sdr.stores.directory import DirectoryStore
from sdr.stores.interface import Bytes, Changed, NotReachable, Store, StoreError
from sdr.tree.headers import V1_REPOSITORY_HEADERS, V1_TAG_HEADERS
from tests.directories import new_directory
from tests.images import Layout
from tests.publish.interleaving import Interleaving, SteppedStore
from tests.publish.publishing import NAME
from tests.publish.test_interruptions import FailingStore
from tests.publish.trees import broken_references, snapshot_of, stale_documents
from tests.publish.v1_trees import Said, broken_v1, publish_v1, stale_v1, v1_of
from tests.stores.memory import MemoryStore

FOLDER = f"repositories/{NAME}"

#: A store that docker-registry 0.9.1 wrote.
OLD_STORE = Path(__file__).parents[2] / "data" / "v1-store-2014.tar.gz"


def at_once(seconds: float) -> None:
    """Sleep not at all."""


def wrong_with(store: Store) -> list[str]:
    """Return all that a reader could miss, and all that is not level."""
    tree = snapshot_of(store)
    return broken_references(tree) + stale_documents(tree) + broken_v1(tree) + stale_v1(tree)


def copy_of(store: MemoryStore, *, conditional_writes: bool = True) -> MemoryStore:
    """Return another store with the same objects."""
    copy = MemoryStore(conditional_writes=conditional_writes)
    copy.objects = dict(store.objects)
    return copy


class V1TestCase(SynchronousTestCase):
    """Has a source of two images that share their base."""

    def setUp(self) -> None:
        """Make it, and a store."""
        self.folder = new_directory(self, make=True)
        layout = Layout()
        base = layout.layer({"a": b"base"})
        layout.tag(layout.image(layers=[base]), "one")
        layout.tag(layout.image(layers=[base, layout.layer({"b": b"b"})]), "two")
        self.path = layout.write(self.folder / "layout")
        self.store = MemoryStore()

    def source(self, ref: str) -> str:
        """Return a SOURCE."""
        return f"oci:{self.path}:{ref}"

    def publish(self, ref: str, tag: str, store: Store | None = None, name: str = NAME) -> str:
        """Publish for both protocols, and return the id."""
        return publish_v1(store or self.store, self.source(ref), name, tag, sleep=at_once).id

    def index(self, store: Store | None = None, report: Silent | None = None, *, mends: bool = False) -> V1Index:
        """Return the documents of a store."""
        store, report = store or self.store, report or Silent()
        return V1Index(store, Jobs(1), report, Writing(store, Jobs(1), report), mends=mends, sleep=at_once)

    def tags(self) -> dict[str, str]:
        """Return what the document says."""
        found: dict[str, str] = json.loads(self.store.get(f"{FOLDER}/tags")[0])
        return found


class SideBySideTests(V1TestCase):
    """Two publishers, the second begun and held at every step of the first."""

    def every_step(
        self,
        before: MemoryStore,
        conditional: bool,
        first: Callable[..., object],
        second: Callable[..., object],
        *,
        waits: bool,
    ) -> int:
        """Require that nothing is lost or broken, and return how many steps the first took.

        :param waits: whether the second goes on while the first sleeps, or only once that is done.
        """
        starts_at = 1
        while True:
            held_at = 1
            while True:
                store = copy_of(before, conditional_writes=conditional)
                both = Interleaving(store, starts_at, held_at)
                both.run(
                    partial(first, both.first, sleep=both.let_go if waits else at_once),
                    partial(second, both.second, sleep=at_once),
                )
                self.assertEqual(wrong_with(store), [], f"started at {starts_at}, held at {held_at}")
                if both.second.steps < held_at:
                    break
                held_at += 1
            if both.first.steps < starts_at:
                return starts_at
            starts_at += 1

    def published(self) -> MemoryStore:
        """Return a store that has both images for protocol v2, and another tag for v1."""
        self.publish("one", "before")
        for tag in ("a", "b"):
            publish_v1(self.store, self.source("one" if tag == "a" else "two"), "other/name", tag, sleep=at_once)
        for tag, ref in (("a", "one"), ("b", "two")):
            self.publish(ref, tag)
        for key in [key for key in self.store.objects if key in (f"{FOLDER}/tag_a", f"{FOLDER}/tag_b")]:
            self.store.delete(key)
        self.index().level(NAME, {"a", "b"})
        self.assertEqual(list(self.tags()), ["before"])
        return self.store

    def test_two_tags(self) -> None:
        """Neither tag is lost, with conditional writes or without."""
        before = self.published()
        for conditional in (True, False):
            steps = self.every_step(
                before, conditional, partial(v1_of, tag="a"), partial(v1_of, tag="b"), waits=not conditional
            )
            self.assertGreater(steps, 15)

    def test_late_overwriting(self) -> None:
        """Without conditional writes, whoever overwrites the work of one who is done mends that."""
        self.every_step(self.published(), False, partial(v1_of, tag="a"), partial(v1_of, tag="b"), waits=False)

    def test_same_image(self) -> None:
        """Two publishers of one new image each leave it whole, at every step."""
        images = self.published()
        for key in [key for key in images.objects if key.startswith(("images/", "repositories/"))]:
            images.delete(key)
        self.every_step(images, True, partial(v1_of, tag="b"), partial(v1_of, tag="b"), waits=False)

    def test_one_tag(self) -> None:
        """Of a tag that two move, the documents say what it is in the end."""

        def move(store: Store, sleep: Callable[[float], None], ref: str) -> None:
            publish_v1(store, self.source(ref), NAME, "before", sleep=sleep)

        before = self.published()
        for conditional in (True, False):
            self.every_step(
                before, conditional, partial(move, ref="two"), partial(move, ref="one"), waits=not conditional
            )

    def test_lists_that_lag(self) -> None:
        """A tag that a listing does not show yet is not taken for gone."""
        self.publish("one", "1")
        stepped = SteppedStore(self.store, lambda number: None)
        stepped.conditional_writes = False
        stepped.list = lambda prefix, *, delimiter="": iter(())  # type: ignore[method-assign]
        self.publish("two", "2", stepped)
        self.assertEqual(list(self.tags()), ["1", "2"])


class DyingTests(V1TestCase):
    """A publisher that dies at any of its writes."""

    def test_every_write_in_turn(self) -> None:
        """Before and after each write all that can be found is whole; a second run, or index, completes it."""
        self.publish("one", "1")
        before = copy_of(self.store)
        writes = len(publish_v1(self.store, self.source("two"), NAME, "1", sleep=at_once).account.written) + 8
        wanted = snapshot_of(self.store)
        for conditional in (True, False):
            for fails_at in range(1, writes + 1):
                for written in (False, True):
                    store = copy_of(before, conditional_writes=conditional)
                    failing = FailingStore(store, fails_at, written=written)
                    failing.conditional_writes = conditional
                    try:
                        self.publish("two", "1", failing)
                    except NotReachable:
                        tree = snapshot_of(store)
                        self.assertEqual(broken_references(tree) + broken_v1(tree), [], f"{fails_at}")
                    another = copy_of(store, conditional_writes=conditional)
                    self.publish("two", "1", store)
                    self.assertEqual(snapshot_of(store), wanted, f"{fails_at}")
                    rebuild(another)
                    self.assertEqual(wrong_with(another), [], f"{fails_at}")

    def test_the_next_publisher(self) -> None:
        """What one left half done is made level by the next that publishes there."""
        self.publish("one", "1")
        before = copy_of(self.store)
        for fails_at in range(1, 24):
            store = copy_of(before)
            with contextlib.suppress(NotReachable):
                self.publish("two", "2", FailingStore(store, fails_at, written=True))
            self.publish("one", "3", store)
            self.assertEqual(wrong_with(store), [], f"{fails_at}")


def rebuild(store: Store) -> Account:
    """Rebuild as ``sdr index`` does."""
    return Rebuilding(store, Jobs(1), Silent(), sleep=at_once).rebuild()


class DocumentTests(V1TestCase):
    """The documents, one at a time."""

    def test_what_is_level_costs_no_writes(self) -> None:
        """Looking at what is level writes nothing, and reads no tag that has not changed."""
        self.publish("one", "1")
        self.store.now = lambda: 2e9
        for key in (f"{FOLDER}/tags", f"{FOLDER}/images"):
            self.store.put(key, Bytes(self.store.get(key)[0]), V1_REPOSITORY_HEADERS)
        read: list[str] = []
        stepped = SteppedStore(self.store, lambda number: None)
        stepped.get = lambda key: read.append(key) or self.store.get(key)  # type: ignore[method-assign, func-returns-value]
        before = self.store.snapshot()
        self.index(stepped).level(NAME)
        self.assertEqual(self.store.snapshot(), before)
        self.assertEqual([key for key in read if "/tag_" in key], [])

    def test_removing(self) -> None:
        """A tag that is hidden or gone is in no document; with the last one they stay, and are empty."""
        first, second = self.publish("one", "1"), self.publish("two", "2")
        self.index().level(NAME, {"2"}, {"2"})
        self.assertEqual(self.tags(), {"1": first})
        self.assertEqual(json.loads(self.store.get(f"{FOLDER}/images")[0]), [{"id": first, "Tag": "1"}])
        self.index().level(NAME)
        self.assertEqual(self.tags(), {"1": first, "2": second})
        for tag in ("1", "2"):
            self.store.delete(f"{FOLDER}/tag_{tag}")
        self.index().level(NAME, {"1", "2"})
        self.assertEqual((self.tags(), self.store.get(f"{FOLDER}/images")[0]), ({}, b"[]"))

    def test_nothing(self) -> None:
        """A repository that protocol v1 does not have gets no documents."""
        self.index().level(NAME, {"1"})
        self.assertEqual(self.store.objects, {})

    def test_what_is_not_whole(self) -> None:
        """A tag is in no document while its image is not there, is being uploaded, or is no id."""
        first = self.publish("one", "1")
        unknown = "f" * 64
        for tag, text in (("gone", unknown), ("bad", "nothing"), ("loading", unknown[1:] + "0")):
            self.store.put(f"{FOLDER}/tag_{tag}", Bytes(text.encode()), V1_TAG_HEADERS)
        for part in ("json", "_inprogress"):
            self.store.put(f"images/{unknown[1:]}0/{part}", Bytes(b"{}"), V1_REPOSITORY_HEADERS)
        self.index().level(NAME)
        self.assertEqual(self.tags(), {"1": first})

    def test_malformed(self) -> None:
        """A document that is none is named with the command that makes it anew, and that does."""
        self.publish("one", "1")
        wanted = self.store.snapshot()
        for last in ("tags", "images"):
            key = f"{FOLDER}/{last}"
            self.store.put(key, Bytes(b'{"1": 1}'), V1_REPOSITORY_HEADERS)
            for use in (self.index().check, self.index().level):
                error = self.assertRaises(StoreError, use, NAME)
                self.assertEqual((error.key, "sdr index" in str(error)), (key, True))
            self.assertEqual(rebuild(self.store).written, (key,))
            self.assertEqual(self.store.snapshot(), wanted)

    def test_gives_up(self) -> None:
        """A document that others change without end is given up with a line that says so."""

        class Contested(MemoryStore):
            def put(self, *arguments: object, **options: object) -> str:
                raise Changed(self.location, str(arguments[0]), "something else is there by now")

        self.publish("one", "1")
        store = Contested()
        store.objects = {key: found for key, found in self.store.objects.items() if key != f"{FOLDER}/tags"}
        error = self.assertRaises(StoreError, self.index(store).level, NAME, {"1"})
        self.assertIn("run the command again", str(error))

    @settings(max_examples=25)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["app", "library/app", "a/b"]),
                st.sampled_from(["1", "2"]),
                st.sampled_from(["one", "two", "", "index"]),
            ),
            max_size=7,
        ),
        st.booleans(),
    )
    def test_any_history(self, history: list[tuple[str, str, str]], conditional: bool) -> None:
        """Whatever is published, removed and rebuilt in whatever order, all is whole and level."""
        store = MemoryStore(conditional_writes=conditional)
        expected: dict[tuple[str, str], str] = {}
        for name, tag, ref in history:
            whole = name if "/" in name else f"library/{name}"
            if ref == "index":
                rebuild(store)
            elif ref:
                expected[whole, tag] = self.publish(ref, tag, store, name)
            else:
                self.index(store).level(name, {tag}, {tag})
                store.delete(f"repositories/{whole}/tag_{tag}")
                self.index(store).level(name, {tag})
                expected.pop((whole, tag), None)
            tree = snapshot_of(store)
            self.assertEqual(broken_v1(tree) + stale_v1(tree), [])
        for (name, tag), image_id in expected.items():
            self.assertEqual(json.loads(store.get(f"repositories/{name}/tags")[0])[tag], image_id)


class OtherRegistryTests(V1TestCase):
    """Repositories that another registry has written."""

    def without_objects(self, *tags: str) -> None:
        """Leave what ActiveState's registry has in a tree that was copied for a CDN: lists, and no objects."""
        for tag in tags:
            self.store.delete(f"{FOLDER}/tag_{tag}")

    def test_only_listed(self) -> None:
        """Tags that only ``tags`` names are not lost when another is published: they get objects, and that is said."""
        first, second = self.publish("one", "1"), self.publish("two", "2")
        wanted = self.store.snapshot()
        self.without_objects("1", "2")
        report = Said()
        third = self.publish("one", "3")
        self.assertEqual(self.tags(), {"1": first, "2": second, "3": third})
        self.assertEqual(wrong_with(self.store), [])
        for key in (f"{FOLDER}/tag_1", f"{FOLDER}/tag_2"):
            self.assertEqual(self.store.get(key)[0], wanted[key])
        self.without_objects("1", "2")
        self.index(report=report).level(NAME)
        self.assertEqual([f"{FOLDER}/tags" in each for each in report.lines], [True, True])

    def test_killed_at_every_write(self) -> None:
        """They are not lost either when the first publisher there dies at any of its writes."""
        for tag in "123":
            self.publish("one", tag)
        self.without_objects("1", "2", "3")
        before = copy_of(self.store)
        for fails_at in range(1, 30):
            store = copy_of(before)
            with contextlib.suppress(NotReachable):
                self.publish("two", "4", FailingStore(store, fails_at, written=bool(fails_at % 2)))
            self.publish("two", "5", store)
            tree = snapshot_of(store)
            self.assertEqual(broken_v1(tree) + stale_v1(tree), [])
            self.assertLessEqual({"1", "2", "3", "5"}, {*json.loads(tree[f"{FOLDER}/tags"])})

    def test_index(self) -> None:
        """``sdr index`` gives them objects, too, and drops what names no image, saying so."""
        first = self.publish("one", "1")
        self.without_objects("1")
        tags = {"1": first, "gone": "f" * 64}
        self.store.put(f"{FOLDER}/tags", Bytes(json.dumps(tags).encode()), V1_REPOSITORY_HEADERS)
        rebuild(self.store)
        self.assertEqual(self.tags(), {"1": first})
        self.assertEqual(wrong_with(self.store), [])

    def test_being_removed(self) -> None:
        """A tag that somebody is removing is looked at again before it counts as another registry's."""
        first = self.publish("one", "1")
        self.without_objects("1")

        def removed(seconds: float) -> None:
            self.store.put(f"{FOLDER}/tags", Bytes(b"{}"), V1_REPOSITORY_HEADERS)

        index = V1Index(self.store, Jobs(1), Silent(), Writing(self.store, Jobs(1), Silent()), sleep=removed)
        index.level(NAME)
        self.assertEqual((self.tags(), first in str(self.store.snapshot().keys())), ({}, True))
        self.assertNotIn(f"{FOLDER}/tag_1", self.store.objects)

    def test_store_of_2014(self) -> None:
        """One can publish into a store of docker-registry 0.9.1; its whole image stays, the half one is not listed."""
        with tarfile.open(OLD_STORE) as archive:
            archive.extractall(self.folder, filter="data")
        store = DirectoryStore(self.folder / "registry")
        old = store.get("repositories/demo/hello/tag_latest")[0].decode()
        new = self.publish("one", "new", store, "demo/hello")
        tree = snapshot_of(store)
        self.assertEqual(json.loads(tree["repositories/demo/hello/tags"]), {"latest": old, "new": new})
        images = json.loads(tree["repositories/demo/hello/images"])
        known = json.loads(tree["repositories/demo/hello/_index_images"])
        self.assertLessEqual({each["id"] for each in known}, {each["id"] for each in images})
        self.assertEqual([key for key in rebuild(store).written if "conv" in key], [])
        self.assertNotIn("repositories/demo/conv/tags", snapshot_of(store))
