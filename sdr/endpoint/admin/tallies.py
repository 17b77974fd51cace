"""Counting, cheap enough for every request: plain data, which several processes could add up."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Key = tuple[str, ...]


class Tally:
    """Counts by a key of a few words. What is new once there are too many is counted as ``other``.

    :param known: counted from zero, so that the first one of these is seen as an increase.
    :param most: different keys.
    """

    __slots__ = ("_counts", "_most")

    def __init__(self, known: Iterable[Key] = (), most: int = 1000) -> None:
        self._counts: dict[Key, int] = dict.fromkeys(known, 0)
        self._most = most

    def add(self, key: Key) -> None:
        """Count one."""
        counts = self._counts
        if key in counts:
            counts[key] += 1
        elif len(counts) < self._most:
            counts[key] = 1
        else:
            other = ("other",) * len(key)
            counts[other] = counts.get(other, 0) + 1

    def state(self) -> list[list[str | int]]:
        """Return the counts as JSON can hold them."""
        return [[*key, count] for key, count in self._counts.items()]

    def plus(self, state: Iterable[Sequence[str | int]]) -> None:
        """Add what another one has counted."""
        for *key, count in state:
            words = tuple(map(str, key))
            self._counts[words] = self._counts.get(words, 0) + int(count)

    def items(self) -> Iterator[tuple[Key, int]]:
        """Return the counts by their keys."""
        return iter(list(self._counts.items()))


class Durations:
    """How many took how long, by one word.

    :param bounds: the upper bounds of the buckets in seconds, ascending; one without end comes after them.
    """

    __slots__ = ("_bounds", "_counts", "_sums")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def add(self, word: str, seconds: float) -> None:
        """Count one that took so long; a clock that was set back counts as no time."""
        if seconds < 0.0:
            seconds = 0.0
        try:
            self._counts[word][bisect_left(self._bounds, seconds)] += 1
            self._sums[word] += seconds
        except KeyError:
            self._counts[word] = [0] * (len(self._bounds) + 1)
            self._sums[word] = 0.0
            self.add(word, seconds)

    def state(self) -> dict[str, tuple[list[int], float]]:
        """Return the counts as JSON can hold them."""
        return {word: (counts, self._sums[word]) for word, counts in self._counts.items()}

    def plus(self, state: Mapping[str, Sequence[Any]]) -> None:
        """Add what another one, with the same bounds, has counted."""
        for word, (counts, total) in state.items():
            before = self._counts.get(word, [0] * len(counts))
            self._counts[word] = [some + more for some, more in zip(before, counts, strict=True)]
            self._sums[word] = self._sums.get(word, 0.0) + total

    def items(self) -> Iterator[tuple[str, list[tuple[str, float]], float]]:
        """Return for each word how many took at most as long as each bound, the bound as text, and the sum of all."""
        bounds = [*map(str, self._bounds), "+Inf"]
        for word, counts in list(self._counts.items()):
            total = 0
            buckets: list[tuple[str, float]] = []
            for bound, count in zip(bounds, counts, strict=True):
                total += count
                buckets.append((bound, float(total)))
            yield word, buckets, self._sums[word]
