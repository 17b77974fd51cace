"""Tests of the sorted names of very many repositories."""

from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.names import BLOCK_LIMIT, Names, finished, sort_names
from tests.texts import NAMES


def names_of(names: list[str], lists: int = 1) -> Names:
    """Return names that came in so many lists."""
    parts = [[name.encode() for name in names[number::lists]] for number in range(lists)]
    return finished(sort_names(parts, len(names)))


def many(count: int, text: str = "app") -> list[str]:
    """Return so many names, in no order."""
    return [f"{text}{number * 7919 % count:06}" for number in range(count)]


class NamesTests(SynchronousTestCase):
    """A sequence like any other."""

    def assert_same(self, names: Names, expected: list[str]) -> None:
        """Compare with a plain sequence, in all that is asked of it."""
        plain = tuple(sorted(expected))
        self.assertEqual(tuple(names), plain)
        self.assertEqual(names, plain)
        self.assertEqual(len(names), len(plain))
        ends = {0, 1, 2, len(plain) // 2, len(plain) - 1, len(plain), len(plain) + 5, -1}
        for start in ends:
            for stop in ends:
                self.assertEqual(names[start:stop], plain[start:stop])
        for place in {0, len(plain) // 3, len(plain) - 1, -1} if plain else ():
            self.assertEqual(names[place], plain[place])
        self.assertRaises(IndexError, lambda: names[len(plain)])
        self.assertRaises(IndexError, lambda: names[-len(plain) - 1])
        for last in ("", "a", "app000500", "zzz", *plain[:1], *plain[-1:]):
            self.assertEqual(bisect_right(names, last), bisect_right(plain, last))
        self.assertEqual(names[::-1], plain[::-1])

    @given(st.lists(NAMES, unique=True))
    def test_few(self, names: list[str]) -> None:
        """A few names are those, sorted."""
        self.assert_same(names_of(names, 3), names)

    def test_many(self) -> None:
        """So are many, in however many lists they came."""
        for count, lists in [(1000, 1), (1001, 7), (20_000, 50), (5000, 5000)]:
            self.assert_same(names_of(many(count), lists), many(count))

    def test_small_pieces(self) -> None:
        """However many there are, they are sorted in pieces of a list or a block each."""
        names = [name.encode() for name in many(50_000)]
        pieces = sort_names([names[number::200] for number in range(200)], len(names))
        self.assertGreater(sum(1 for _ in pieces), 250)

    @given(st.lists(NAMES, unique=True), st.lists(NAMES, unique=True), st.data())
    def test_changed(self, before: list[str], added: list[str], data: st.DataObject) -> None:
        """Names that are removed are gone, and those that are added there."""
        removed = data.draw(st.lists(st.sampled_from(before or ["a"]), unique=True))
        changed = names_of(before).changed(_encoded(removed), _encoded(added))
        self.assert_same(finished(changed), sorted({*before} - {*removed} | {*added}))

    def test_changed_much(self) -> None:
        """Blocks that grow are divided, and those that empty vanish; the names before are as they were."""
        before = names_of(many(5000), 10)
        grown = finished(before.changed([], _encoded(many(5000, "apq"))))
        self.assert_same(grown, [*many(5000), *many(5000, "apq")])
        self.assertLessEqual(max(block.length for block in grown._blocks), BLOCK_LIMIT)
        emptied = finished(grown.changed(_encoded(many(5000)), []))
        self.assert_same(emptied, many(5000, "apq"))
        self.assert_same(before, many(5000))
        self.assert_same(finished(emptied.changed(_encoded(many(5000, "apq")), [])), [])

    @given(st.lists(NAMES, unique=True), st.sampled_from(["a", "a/", "", "\n", "b/a"]), st.integers(0, 3))
    def test_containing(self, names: list[str], term: str, most: int) -> None:
        """All names that contain a term are counted, and the first are told."""
        found = sorted(name for name in names if term in name)
        self.assertEqual(names_of(names).containing(term, most), (len(found), tuple(found[:most])))

    def test_containing_in_blocks(self) -> None:
        """The first are told whichever blocks they are in."""
        names = names_of(many(3000), 3)
        self.assertEqual(names.containing("9", 100)[1], tuple(sorted(n for n in many(3000) if "9" in n))[:100])


def _encoded(names: list[str]) -> list[bytes]:
    return [name.encode() for name in names]
