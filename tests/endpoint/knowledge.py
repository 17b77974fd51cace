"""What is known, as a table: the counterpart of a catalog for tests of pure answers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sdr.catalog.lookups import Lookup, Missing

T = TypeVar("T")


class Table:
    """Findings by lookup; what is not in the table is due a look."""

    def __init__(
        self,
        findings: Mapping[Lookup[Any], Any] | None = None,
        *,
        absent: Iterable[str] = (),
        names: Sequence[str] = (),
    ) -> None:
        self._findings = dict(findings or {})
        self._absent = frozenset(absent)
        self._names = names

    def recall(self, lookup: Lookup[T]) -> T | Missing | None:
        """Return what the table says."""
        found: T | Missing | None = self._findings.get(lookup)
        return found

    def is_absent(self, name: str) -> bool:
        """Tell whether the table has the name as absent."""
        return name in self._absent

    def names(self) -> Sequence[str]:
        """Return the table's names."""
        return self._names
