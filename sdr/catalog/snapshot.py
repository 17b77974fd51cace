"""The lists of repositories, as one immutable value that is replaced whole; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sdr.catalog.names import Names, Pieces, finished, sort_names
from sdr.tree.documents import revision
from sdr.tree.keys import list_of
from sdr.tree.lists import check_list, count_in, names_in, revision_in

#: Repositories whose revision is at hand: those that are asked for are asked for again and again.
_ASKED = 10_000
#: Below this many repositories a catalog that empties is believed at once.
_FEW = 4


@dataclass(frozen=True, slots=True)
class Listing:
    """One list of repositories: with a million of them, there is no room for more than its bytes.

    :param revision: of the list as the store has it.
    :param data: in canonical form.
    """

    revision: str
    data: bytes
    count: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", count_in(self.data))

    @classmethod
    def read(cls, data: bytes, prefix: str) -> "Listing":
        """Read a list.

        :param prefix: the three hex digits that name it.
        :raise BadDocument: if it is malformed.
        """
        return cls(revision(data), check_list(data, prefix))


@dataclass(frozen=True)
class Snapshot:
    """What the lists said at the last poll.

    :param wanted: each list's three hex digits and the revision that ``_repositories.json`` gives it.
    :param lists: each list as it was read; it may lag behind the wanted revision.
    """

    wanted: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, Listing] = field(default_factory=dict)
    _asked: dict[str, str] = field(default_factory=dict, init=False, compare=False, repr=False)

    def revision_of(self, name: str) -> str | None:
        """Return the revision of a repository's document, or ``None`` for a repository that is not listed."""
        found = self._asked.get(name)
        if found is None:
            listing = self.lists.get(list_of(name))
            found = None if listing is None else revision_in(listing.data, name)
            # Names that somebody has invented are not kept.
            if found is not None:
                if len(self._asked) >= _ASKED:
                    self._asked.clear()
                self._asked[name] = found
        return found

    @cached_property
    def names(self) -> Names:
        """The names of all repositories, sorted; at once where :meth:`sort_names` has come to its end."""
        return finished(self._sorted())

    @property
    def is_sorted(self) -> bool:
        """Whether the names have been sorted."""
        return "names" in self.__dict__

    @cached_property
    def count(self) -> int:
        """The number of repositories."""
        return sum(listing.count for listing in self.lists.values())

    def sort_names(self, before: "Snapshot") -> Pieces[None]:
        """Sort the names in small pieces of work.

        :param before: a snapshot whose names may be sorted; those of most lists are the same.
        """
        if not self.is_sorted:
            names = yield from self._changed(before) if before.is_sorted and before.count else self._sorted()
            self.__dict__["names"] = names

    def lagging(self, wanted: Mapping[str, str]) -> tuple[str, ...]:
        """Return the lists that must be read to come to the wanted revisions."""
        return tuple(
            prefix
            for prefix, revision in wanted.items()
            if prefix not in self.lists or self.lists[prefix].revision != revision
        )

    def replaced(self, wanted: Mapping[str, str], read: Mapping[str, Listing]) -> "Snapshot":
        """Return the snapshot with these lists in place of the old ones, and those no longer wanted left out.

        Where nothing is new that is the snapshot itself, with the names that it has sorted and counted.
        """
        if not read and wanted == self.wanted:
            return self
        kept = {prefix: listing for prefix, listing in self.lists.items() if prefix in wanted}
        return Snapshot(wanted, {**kept, **read})

    def _sorted(self) -> Pieces[Names]:
        return sort_names((names_in(listing.data) for listing in self.lists.values()), self.count)

    def _changed(self, before: "Snapshot") -> Pieces[Names]:
        removed: set[bytes] = set()
        added: set[bytes] = set()
        for prefix in {**before.lists, **self.lists}:
            old, new = before.lists.get(prefix), self.lists.get(prefix)
            if old is not new:
                was = set() if old is None else set(names_in(old.data))
                now = set() if new is None else set(names_in(new.data))
                removed |= was - now
                added |= now - was
                yield
        if not removed and not added:
            return before.names
        return (yield from before.names.changed(removed, added))


def is_implausible(old: int, new: int) -> bool:
    """Tell whether a catalog of ``old`` repositories that now has ``new`` is more likely a mishap than the truth."""
    return old >= _FEW and new * 10 <= old
