"""How long an answer stands: until something new is learnt of its repository, or what it rests on is too old."""

from collections.abc import Sequence
from math import inf
from typing import Protocol, TypeVar
from weakref import WeakValueDictionary

from sdr.catalog.lookups import Lookup, Missing, ObjectLookup

T = TypeVar("T")


class Knowing(Protocol):
    """What answers go by, and for how long: :class:`sdr.catalog.knowledge.Knowledge`."""

    def recall(self, lookup: Lookup[T]) -> T | Missing | None:
        """Return what is known without a look; ``None`` if a look is due."""
        ...

    def is_absent(self, name: str) -> bool:
        """Tell whether a repository is known to be absent."""
        ...

    def names(self) -> Sequence[str]:
        """Return the names of the listed repositories, sorted."""
        ...

    def recalled_until(self, lookup: ObjectLookup[T]) -> float:
        """Return when ``recall`` will say something else, if nothing is learnt before; seconds of the clock."""
        ...

    def absent_until(self, name: str) -> float:
        """Return when ``is_absent`` will say something else, if nothing is learnt before."""
        ...


class Standing:
    """Whether what is known of a repository is still the same."""

    __slots__ = ("__weakref__", "holds")

    def __init__(self) -> None:
        self.holds = True


class Standings:
    """The standings of the repositories that answers are kept of."""

    def __init__(self) -> None:
        self._of: WeakValueDictionary[str, Standing] = WeakValueDictionary()

    def of(self, name: str) -> Standing:
        """Return a repository's standing: the same one until something new is learnt."""
        standing = self._of.get(name)
        if standing is None:
            standing = self._of[name] = Standing()
        return standing

    def learnt(self, name: str) -> None:
        """Note that something new is known of a repository."""
        standing = self._of.pop(name, None)
        if standing is not None:
            standing.holds = False


class Witness:
    """Passes on what is known, and notes which repository that is about and how long it holds.

    :ivar until: when it is too old, in seconds of the clock; long ago if that cannot be told.
    """

    def __init__(self, knowledge: Knowing) -> None:
        self._knowledge = knowledge
        self._name: str | None = None
        self.until = inf

    @property
    def name(self) -> str:
        """The repository, or empty."""
        return self._name or ""

    def recall(self, lookup: Lookup[T]) -> T | Missing | None:
        """Return what is known without a look."""
        name = getattr(lookup, "name", None)
        if isinstance(lookup, ObjectLookup) and isinstance(name, str):
            # First when, then what: what ends between the two has ended for both.
            self._note(name, self._knowledge.recalled_until(lookup))
        else:
            self.until = -inf  # protocol v1 tells nobody what it learns
        return self._knowledge.recall(lookup)

    def is_absent(self, name: str) -> bool:
        """Tell whether a repository is known to be absent."""
        self._note(name, self._knowledge.absent_until(name))
        return self._knowledge.is_absent(name)

    def names(self) -> Sequence[str]:
        """Return the names of the listed repositories; nobody tells when they have been sorted."""
        self.until = -inf
        return self._knowledge.names()

    def _note(self, name: str, until: float) -> None:
        if self._name not in (None, name):
            until = -inf
        self._name = name
        self.until = min(self.until, until)
