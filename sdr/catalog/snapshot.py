"""The lists of repositories, as one immutable value that is replaced whole; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sdr.tree.keys import list_of

#: Below this many repositories a catalog that empties is believed at once.
_FEW = 4


@dataclass(frozen=True, slots=True)
class Listing:
    """One list of repositories.

    :param revision: of the list's own bytes.
    :param repositories: name and the revision of the repository's document.
    """

    revision: str
    repositories: Mapping[str, str]


@dataclass(frozen=True)
class Snapshot:
    """What the lists said at the last poll.

    :param wanted: each list's three hex digits and the revision that ``_repositories.json`` gives it.
    :param lists: each list as it was read; it may lag behind the wanted revision.
    """

    wanted: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, Listing] = field(default_factory=dict)

    def revision_of(self, name: str) -> str | None:
        """Return the revision of a repository's document, or ``None`` for a repository that is not listed."""
        listing = self.lists.get(list_of(name))
        return None if listing is None else listing.repositories.get(name)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all repositories, sorted."""
        return tuple(sorted(name for listing in self.lists.values() for name in listing.repositories))

    @cached_property
    def count(self) -> int:
        """The number of repositories."""
        return sum(len(listing.repositories) for listing in self.lists.values())

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


def is_implausible(old: int, new: int) -> bool:
    """Tell whether a catalog of ``old`` repositories that now has ``new`` is more likely a mishap than the truth."""
    return old >= _FEW and new * 10 <= old
