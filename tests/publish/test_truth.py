"""Tests of finding out what a repository's tags are."""

from collections.abc import Iterator

from sdr.publish.truth import SLACK, tagged, tags_of
from sdr.registry.grammar import Digest
from sdr.stores.interface import Stat
from sdr.tree.documents import ManifestEntry
from tests.publish.interleaving import SteppedStore
from tests.publish.publishing import NAME, MemoryTestCase
from tests.stores.memory import MemoryStore


class TruthTests(MemoryTestCase):
    """A repository with two tags."""

    def setUp(self) -> None:
        """Publish."""
        super().setUp()
        self.publish("image", "a")
        self.publish("other", "b")
        self.known = dict(tags_of(self.store, NAME, {}, None).tags)

    def reads(self, since: float | None, known: dict[str, ManifestEntry], *, conditional: bool = True) -> list[str]:
        """Return which manifests are read, once the tags are found to be as they are."""
        store = MemoryStore(conditional_writes=conditional)
        store.objects = self.store.objects
        read: list[str] = []
        stepped = SteppedStore(store, lambda number: None)
        stepped.get = lambda key: read.append(key) or store.get(key)  # type: ignore[method-assign, func-returns-value]
        self.assertEqual(tags_of(stepped, NAME, known, since).tags, self.known)
        return [key.rpartition("/")[2] for key in read]

    def test_from_nothing(self) -> None:
        """Without a document every tag is read."""
        self.assertEqual({tag: entry.digest for tag, entry in self.known.items()}, self.wanted())
        self.assertEqual(self.reads(None, {}), ["a", "b"])

    def wanted(self) -> dict[str, Digest]:
        """Return what the tags are."""
        return {"a": self.digests["image"], "b": self.digests["other"]}

    def test_only_what_is_newer(self) -> None:
        """With conditional writes only what may have come after the document is read."""
        written = self.store.objects[f"v2/{NAME}/manifests/a"][2].modified
        self.assertEqual(self.reads(written + SLACK + 60, self.known), [])
        self.assertEqual(self.reads(written, self.known), ["a", "b"])
        self.assertEqual(self.reads(written + SLACK + 60, {"a": self.known["a"]}), ["b"])

    def test_only_what_differs(self) -> None:
        """Without, what is listed under a tag and by its digest with the same content is not read, however old."""
        self.assertEqual(self.reads(None, self.known, conditional=False), [])
        swapped = {"a": self.known["b"], "b": self.known["b"]}
        self.assertEqual(self.reads(2e9, swapped, conditional=False), ["a"])

    def test_listed_before(self) -> None:
        """What was listed by digest before is not listed again; what is not in it is read."""
        store = MemoryStore(conditional_writes=False)
        store.objects = self.store.objects
        listings: list[str] = []
        read: list[str] = []
        stepped = SteppedStore(store, lambda number: None)

        def listing(prefix: str, *, delimiter: str = "") -> Iterator[Stat | str]:
            listings.append(delimiter)
            return store.list(prefix, delimiter=delimiter)

        stepped.list = listing  # type: ignore[method-assign]
        stepped.get = lambda key: read.append(key) or store.get(key)  # type: ignore[method-assign, func-returns-value]
        seen = tags_of(stepped, NAME, self.known, None).manifests
        self.assertEqual((listings, read, len(seen)), ([""], [], 2))
        again = tags_of(stepped, NAME, self.known, None, manifests=seen)
        self.assertEqual((again.tags, listings, read), (self.known, ["", ":"], []))
        few = {self.known["a"].digest: seen[self.known["a"].digest]}
        self.assertEqual(tags_of(stepped, NAME, self.known, None, manifests=few).tags, self.known)
        self.assertEqual(read, [f"v2/{NAME}/manifests/b"])

    def test_gone(self) -> None:
        """A tag that is not listed is read before it is believed to be gone."""
        self.store.delete(f"v2/{NAME}/manifests/b")
        self.known.pop("b")
        gone = ManifestEntry(self.digests["other"], "x", 1)
        self.assertEqual(self.reads(2e9, {**self.known, "b": gone}), ["b"])

    def test_no_store(self) -> None:
        """In a store that is still to be made there are no tags."""
        self.assertEqual(tags_of(MemoryStore(), NAME, {}, None).tags, {})

    def test_of_which_digest(self) -> None:
        """A tag is what it is stored as by digest; what is not stored so, or malformed, is nothing."""
        entry = tagged(self.store, NAME, "a")
        assert entry is not None
        self.assertEqual(entry.digest, self.digests["image"])
        self.store.delete(f"v2/{NAME}/manifests/{entry.digest}")
        self.assertIsNone(tagged(self.store, NAME, "a"))
        self.assertIsNone(tagged(self.store, NAME, "none"))
