"""A bounded memory: what was least recently used goes first."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Values by key, whose weights together never exceed a limit.

    :param limit: the largest sum of weights; a value that alone is heavier is not kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._weight = 0
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """Return a value and count it as used."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, weight: int = 1) -> None:
        """Keep a value, and forget others to make room."""
        self.forget(key)
        if weight > self._limit:
            return
        self._values[key] = (value, weight)
        self._weight += weight
        while self._weight > self._limit:
            _, (_, oldest) = self._values.popitem(last=False)
            self._weight -= oldest

    def forget(self, key: K) -> None:
        """Drop a value, if it is there."""
        found = self._values.pop(key, None)
        if found is not None:
            self._weight -= found[1]

    def clear(self) -> None:
        """Drop everything."""
        self._values.clear()
        self._weight = 0
