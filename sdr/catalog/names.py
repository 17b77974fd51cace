"""The names of the repositories, sorted, for those who browse; pure.

There may be a million, and they come from thousands of lists. They are kept as text in blocks, and sorted piece by
piece.
"""

from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import accumulate, chain
from operator import eq
from typing import NamedTuple, TypeVar, overload

T = TypeVar("T")

#: Names in a block when it is made, and the most that it grows to.
BLOCK, BLOCK_LIMIT = 500, 1000

#: Work in small pieces: it pauses at each, and returns its result.
Pieces = Generator[None, None, T]


class Block(NamedTuple):
    """A few names, sorted.

    :param text: of all of them, joined by line ends.
    """

    first: bytes
    length: int
    text: bytes


class Names(Sequence[str]):
    """Names, sorted: an immutable sequence.

    :param blocks: in order; none is empty.
    """

    __slots__ = ("_blocks", "_ends", "_firsts")

    def __init__(self, blocks: Sequence[Block] = ()) -> None:
        self._blocks = blocks
        self._firsts = [block.first for block in blocks]
        self._ends = list(accumulate(block.length for block in blocks))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...

    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        if isinstance(place, slice):
            start, stop, step = place.indices(len(self))
            return tuple(self._between(start, stop)) if step == 1 else tuple(self)[place]
        start = place + len(self) if place < 0 else place
        if not 0 <= start < len(self):
            raise IndexError(place)
        return next(self._between(start, start + 1))

    def __iter__(self) -> Iterator[str]:
        return self._between(0, len(self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    def __repr__(self) -> str:
        return f"Names of {len(self)} repositories"

    def containing(self, term: str, most: int) -> tuple[int, tuple[str, ...]]:
        """Return how many names contain a term, and the first ``most`` of them."""
        wanted = term.encode()
        count = 0
        found: list[bytes] = []
        for block in self._blocks:
            if wanted in block.text:
                here = [name for name in block.text.split(b"\n") if wanted in name]
                count += len(here)
                found += here[: most - len(found)]
        return count, tuple(name.decode() for name in found)

    def changed(self, removed: Iterable[bytes], added: Iterable[bytes]) -> Pieces["Names"]:
        """Return the names without some and with others."""
        by_block: dict[int, tuple[set[bytes], set[bytes]]] = {}
        for kind, names in enumerate((removed, added)):
            for name in names:
                place = max(0, bisect_right(self._firsts, name) - 1)
                by_block.setdefault(place, (set(), set()))[kind].add(name)
        blocks: list[Block] = []
        end = 0
        for place, (gone, new) in sorted(by_block.items()):
            blocks += self._blocks[end:place]
            end = place + 1
            old = self._blocks[place].text.split(b"\n") if place < len(self._blocks) else []
            blocks += _blocks(sorted({*old} - gone | new))
            yield
        return Names([*blocks, *self._blocks[end:]])

    def _between(self, start: int, stop: int) -> Iterator[str]:
        place = bisect_right(self._ends, start)
        while start < stop:
            skipped = self._ends[place - 1] if place else 0
            names = self._blocks[place].text.decode().split("\n")[start - skipped : stop - skipped]
            yield from names
            start += len(names)
            place += 1


def sort_names(lists: Iterable[Sequence[bytes]], count: int) -> Pieces[Names]:
    """Return the names in many lists, none of them twice.

    :param lists: of names, in no order that would tell anything of the names in them; gone through once.
    :param count: of all names.
    """
    # A few lists tell where the blocks are to be divided.
    left = iter(lists)
    few: list[Sequence[bytes]] = []
    for names in left:
        few.append(names)
        if sum(map(len, few)) >= count // BLOCK:
            break
    divisions = sorted(name for names in few for name in names)[1:] if count > BLOCK else []
    collected = [bytearray() for _ in range(len(divisions) + 1)]
    for names in chain(few, left):
        for name in names:
            collected[bisect_right(divisions, name)] += b"\n" + name
        yield
    blocks: list[Block] = []
    for place, text in enumerate(collected):
        if text:
            blocks += _blocks(sorted(bytes(text[1:]).split(b"\n")))
        collected[place] = bytearray()
        yield
    return Names(blocks)


def finished(pieces: Pieces[T]) -> T:
    """Do a piece of work to its end, and return its result."""
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            result: T = end.value
            return result


def _blocks(names: Sequence[bytes]) -> list[Block]:
    """Divide sorted names into blocks."""
    size = BLOCK if len(names) > BLOCK_LIMIT else BLOCK_LIMIT
    parts = [names[start : start + size] for start in range(0, len(names), size)]
    return [Block(part[0], len(part), b"\n".join(part)) for part in parts]
