"""Tests of the lists of repositories as one value."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.names import finished
from sdr.catalog.snapshot import Listing, Snapshot, is_implausible
from sdr.tree.documents import encode_list
from sdr.tree.keys import list_of
from tests.texts import NAMES

A, B = "acme/app", "acme/other"


def snapshot_of(repositories: Mapping[str, str], lists_revision: str = "0" * 16) -> Snapshot:
    """Return a snapshot with each repository in its list."""
    lists: dict[str, dict[str, str]] = {}
    for name, revision in repositories.items():
        lists.setdefault(list_of(name), {})[name] = revision
    listings = {prefix: Listing(lists_revision, encode_list(listing)) for prefix, listing in lists.items()}
    return Snapshot(dict.fromkeys(lists, lists_revision), listings)


class SnapshotTests(SynchronousTestCase):
    """What the lists say."""

    def test_revision_of(self) -> None:
        """A listed repository has a revision; one that is not listed has none, whether its list is there or not."""
        snapshot = snapshot_of({A: "a" * 16})
        sibling = Snapshot(snapshot.wanted, {list_of(A): Listing("0" * 16, b"")})
        self.assertEqual(snapshot.revision_of(A), "a" * 16)
        self.assertIsNone(snapshot.revision_of(B))
        self.assertIsNone(sibling.revision_of(A))

    @given(st.dictionaries(NAMES, st.sampled_from(["a" * 16, "b" * 16]), max_size=8), st.lists(NAMES, max_size=3))
    def test_asked_again(self, repositories: dict[str, str], others: list[str]) -> None:
        """However often a repository is asked for, the answer is that of the lists."""
        snapshot = snapshot_of(repositories)
        for name in (*repositories, *others) * 2:
            self.assertEqual(snapshot.revision_of(name), repositories.get(name))

    def test_very_many_asked(self) -> None:
        """What is kept of those that were asked for is bounded."""
        names = [f"app{number}" for number in range(25_000)]
        snapshot = snapshot_of(dict.fromkeys(names, "a" * 16))
        for name in names:
            self.assertEqual(snapshot.revision_of(name), "a" * 16)
        self.assertLessEqual(len(snapshot._asked), 10_000)
        self.assertEqual(snapshot.revision_of(names[0]), "a" * 16)

    @given(st.dictionaries(NAMES, st.just("a" * 16), max_size=8))
    def test_names(self, repositories: dict[str, str]) -> None:
        """All names of all lists are there, sorted and counted."""
        snapshot = snapshot_of(repositories)
        self.assertEqual(tuple(snapshot.names), tuple(sorted(repositories)))
        self.assertEqual(snapshot.count, len(repositories))

    @given(
        st.dictionaries(NAMES, st.sampled_from(["a" * 16, "b" * 16]), max_size=6),
        st.dictionaries(NAMES, st.sampled_from(["a" * 16, "b" * 16]), max_size=6),
        st.booleans(),
    )
    def test_names_after_a_change(self, before: dict[str, str], after: dict[str, str], was_sorted: bool) -> None:
        """Names that were sorted bit by bit, from those before or anew, are those that are there."""
        old, new = snapshot_of(before), snapshot_of({**before, **after})
        self.assertEqual((old.is_sorted, new.is_sorted), (False, False))
        if was_sorted:
            finished(old.sort_names(Snapshot()))
        finished(new.sort_names(old))
        self.assertEqual((old.is_sorted, new.is_sorted), (was_sorted, True))
        self.assertEqual(new.names, sorted({**before, **after}))
        finished(old.sort_names(new))
        self.assertEqual(old.names, sorted(before))

    def test_same_names(self) -> None:
        """Where only revisions have changed, the sorted names are those before."""
        old, new = snapshot_of({A: "a" * 16, B: "a" * 16}), snapshot_of({A: "b" * 16, B: "a" * 16})
        finished(old.sort_names(Snapshot()))
        finished(new.sort_names(old))
        self.assertIs(new.names, old.names)

    def test_lagging(self) -> None:
        """The lists to read are those that are new and those whose revision differs; no others."""
        snapshot = Snapshot({}, {"aaa": Listing("1" * 16, b""), "bbb": Listing("2" * 16, b"")})
        wanted = {"aaa": "1" * 16, "bbb": "3" * 16, "ccc": "4" * 16}
        self.assertEqual(snapshot.lagging(wanted), ("bbb", "ccc"))

    def test_replaced(self) -> None:
        """Lists that were read take the place of the old, others stay, and those no longer wanted go."""
        old = Snapshot({}, {prefix: Listing("1" * 16, b"") for prefix in ("aaa", "bbb", "ccc")})
        read = Listing("2" * 16, b"")
        new = old.replaced({"aaa": "1" * 16, "bbb": "2" * 16}, {"bbb": read})
        self.assertEqual(dict(new.lists), {"aaa": old.lists["aaa"], "bbb": read})
        self.assertIs(new.lists["aaa"], old.lists["aaa"])
        self.assertEqual(len(old.lists), 3)

    def test_nothing_new(self) -> None:
        """Where nothing is new the snapshot stays itself: a million names are not sorted again at each poll."""
        old = snapshot_of({A: "a" * 16})
        self.assertIs(old.replaced(dict(old.wanted), {}), old)

    def test_a_list_that_could_not_be_read(self) -> None:
        """A list that is wanted and could not be read stays as it was, and goes on lagging."""
        old = Snapshot({"aaa": "1" * 16}, {"aaa": Listing("1" * 16, b"")})
        new = old.replaced({"aaa": "2" * 16}, {})
        self.assertEqual((new.lists, new.lagging(new.wanted)), (old.lists, ("aaa",)))

    @given(st.data())
    def test_converges(self, data: st.DataObject) -> None:
        """However many lists are read at each attempt, what lags shrinks by exactly those, until all is as wanted."""
        lists = st.dictionaries(st.sampled_from(["aaa", "bbb", "ccc", "ddd"]), st.sampled_from(["1", "2", "3"]))
        current = data.draw(lists)
        snapshot = Snapshot(current, {prefix: Listing(revision, b"") for prefix, revision in current.items()})
        wanted = data.draw(lists)
        while lagging := snapshot.lagging(wanted):
            read = data.draw(st.sets(st.sampled_from(lagging), min_size=1))
            snapshot = snapshot.replaced(wanted, {prefix: Listing(wanted[prefix], b"") for prefix in read})
            self.assertEqual(set(snapshot.lagging(wanted)), set(lagging) - read)
        final = snapshot.replaced(wanted, {})
        self.assertEqual({prefix: listing.revision for prefix, listing in final.lists.items()}, wanted)


class ImplausibleTests(SynchronousTestCase):
    """When a catalog that empties is doubted."""

    def test_table(self) -> None:
        """Four repositories or more that shrink to a tenth or less are doubted, and nothing else is."""
        for old, new, expected in [
            (0, 0, False),
            (1, 0, False),
            (3, 0, False),
            (4, 0, True),
            (4, 1, False),
            (10, 1, True),
            (10, 2, False),
            (1000, 100, True),
            (1000, 101, False),
            (4, 4, False),
            (4, 1000, False),
        ]:
            self.assertEqual(is_implausible(old, new), expected, (old, new))
