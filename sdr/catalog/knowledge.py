"""All that the endpoint knows, and looks up: which part of it knows what."""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred, succeed

from sdr.catalog.catalog import Catalog
from sdr.catalog.lookups import UNKNOWN, Lookup, Missing, ObjectLookup
from sdr.catalog.searches import Searches
from sdr.catalog.v1_catalog import V1Catalog
from sdr.catalog.v1_lookups import SearchLookup, V1Lookup

T = TypeVar("T")


class Knowledge:
    """What answers may go by; see :class:`sdr.catalog.lookups.Known`.

    :param catalog: of the tree.
    :param v1: of protocol v1; without it nothing of that can be seen.
    :param searches: among the catalog's names; likewise.
    """

    def __init__(self, catalog: Catalog, v1: V1Catalog | None = None, searches: Searches | None = None) -> None:
        self._catalog = catalog
        self._v1 = v1
        self._searches = searches

    def recall(self, lookup: Lookup[T]) -> T | Missing | None:
        """Return what is known without a look; ``None`` if a look is due."""
        part = self._part(lookup)
        return UNKNOWN if part is None else cast("T | Missing | None", part.recall(lookup))  # type: ignore[arg-type]

    def look(self, lookup: Lookup[T]) -> Deferred[T | Missing]:
        """Look; it never fails."""
        part = self._part(lookup)
        if part is None:
            return succeed(UNKNOWN)
        return cast("Deferred[T | Missing]", part.look(lookup))  # type: ignore[arg-type]

    def is_absent(self, name: str) -> bool:
        """Tell whether a repository is known to be absent."""
        return self._catalog.is_absent(name)

    def names(self) -> Sequence[str]:
        """Return the names of the listed repositories, sorted."""
        return self._catalog.names()

    def recalled_until(self, lookup: ObjectLookup[Any]) -> float:
        """Return when :meth:`recall` will say something else of the tree, if nothing changes before."""
        return self._catalog.recalled_until(lookup)

    def absent_until(self, name: str) -> float:
        """Return the same for :meth:`is_absent`."""
        return self._catalog.absent_until(name)

    def _part(self, lookup: Lookup[T]) -> Catalog | V1Catalog | Searches | None:
        """Return the part that knows lookups of this kind."""
        if isinstance(lookup, ObjectLookup):
            return self._catalog
        if isinstance(lookup, V1Lookup):
            return self._v1
        return self._searches if isinstance(lookup, SearchLookup) else None
