"""Tests of stores whose listings come in pages of which none is full: nothing is taken for gone, or for unused."""

from sdr.publish.collection import Collection
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Silent
from sdr.publish.rebuilding import Rebuilding
from sdr.tree.keys import LISTS_KEY, LISTS_PREFIX
from tests.publish.publishing import NAME, MemoryTestCase, publish
from tests.publish.trees import broken_references, stale_documents
from tests.stores.short_swift import ShortSwift

#: More than fit into a page, twice.
TAGS = {"a": "image", "b": "other", "c": "index", "d": "image", "e": "signature"}


class ShortPagesTests(MemoryTestCase):
    """A Swift, of whose listings a page has two entries."""

    def setUp(self) -> None:
        """Publish into it."""
        super().setUp()
        self.swift = ShortSwift(2)
        self.swift_store = self.swift.store()
        for tag, ref in TAGS.items():
            self.publish(ref, tag, self.swift_store)

    def whole(self) -> dict[str, bytes]:
        """Return what is there, once it is found whole and level."""
        tree = {name: data for name, (data, _) in self.swift.objects.items()}
        self.assertEqual(broken_references(tree) + stale_documents(tree), [])
        return tree

    def rebuild(self) -> None:
        """Make the documents anew."""
        Rebuilding(self.swift_store, Jobs(1), Silent(), sleep=lambda _: None).rebuild()

    def test_collecting(self) -> None:
        """A garbage collection deletes nothing that is in use, where a page has all blobs and not all tags."""
        for name in ("aaa/a", "aaa/b", "aaa/c", "aaa/d"):
            publish(self.swift_store, f"oci:{self.path}:image", name, sleep=lambda _: None)
        before = self.whole()
        self.swift.page = sum(key.startswith("blobs/") for key in before)
        for _ in range(2):
            collected = Collection(self.swift_store, Jobs(1), Silent(), sleep=lambda _: None).collect(0)
            self.assertEqual((collected.marked, collected.deleted, self.whole()), ((), (), before))

    def test_rebuilding(self) -> None:
        """From the manifests alone all documents are made again, with every tag."""
        before = self.whole()
        for key in [key for key in before if key.startswith("v2/") and "/manifests/" not in key]:
            del self.swift.objects[key]
        self.rebuild()
        self.assertEqual(self.whole(), before)

    def test_publishing_without_documents(self) -> None:
        """A publish that finds no document finds the tags all the same, and the lists where theirs is gone."""
        before = self.whole()
        for name in ("e", "f", "g", "h", "i", "j"):
            publish(self.swift_store, f"oci:{self.path}:image", name, sleep=lambda _: None)
        lists = [key for key in self.swift.objects if key.startswith(LISTS_PREFIX)]
        self.assertGreater(len(lists), 3)
        del self.swift.objects[f"v2/{NAME}/_repository.json"]
        del self.swift.objects[LISTS_KEY]
        self.publish("other", "a", self.swift_store)
        tree = self.whole()
        self.assertEqual({key for key in before if key not in tree}, set())

    def test_removing(self) -> None:
        """A repository is removed with all that is its own."""
        self.removal(self.swift_store).remove(NAME, None)
        self.assertEqual([key for key in self.whole() if key.startswith(f"v2/{NAME}/")], [])
