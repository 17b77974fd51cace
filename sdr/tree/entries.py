"""What the tags of a repository stand for, held as plain tuples.

An endpoint knows thousands of repositories, and one may have ten thousand tags. Python's garbage collector goes through
every object that could refer to others, and everything waits for it; of tuples and dictionaries that hold nothing but
text and numbers it knows that they cannot.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sdr.registry.grammar import Digest


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """What HEAD of a manifest needs.

    :param size: of the manifest itself, in bytes.
    """

    digest: Digest
    media_type: str
    size: int


#: Entries that are at hand, of each repository: most clients ask for the same few.
_AT_HAND = 64

#: Algorithm and hash of the digest, type, and size.
Row = tuple[str, str, str, int]


class Entries(Mapping[str, ManifestEntry]):
    """Entries by tag.

    :param rows: by tag; they are not to be changed any more.
    """

    __slots__ = ("_made", "rows")

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self.rows = rows
        self._made: dict[str, ManifestEntry] = {}

    @classmethod
    def of(cls, entries: Mapping[str, ManifestEntry]) -> "Entries":
        """Return these entries."""
        if isinstance(entries, Entries):
            return entries
        return cls({tag: _row(entry) for tag, entry in entries.items()})

    def __getitem__(self, tag: str) -> ManifestEntry:
        made = self._made.get(tag)
        return _made(self._made, tag, self.rows[tag]) if made is None else made

    def __contains__(self, tag: object) -> bool:
        return tag in self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Entries({self.rows!r})"


class EntriesByDigest(Mapping[Digest, ManifestEntry]):
    """Entries by what they stand for."""

    __slots__ = ("_made", "_rows")

    def __init__(self, rows: Iterable[Row]) -> None:
        self._made: dict[str, ManifestEntry] = {}
        # Hashes of two algorithms have two lengths.
        self._rows = {row[1]: row for row in rows}

    def __getitem__(self, digest: Digest) -> ManifestEntry:
        made = self._made.get(digest.hex) or _made(self._made, digest.hex, self._rows[digest.hex])
        if made.digest != digest:
            raise KeyError(digest)
        return made

    def __iter__(self) -> Iterator[Digest]:
        return (Digest(row[0], row[1]) for row in self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)


def _row(entry: ManifestEntry) -> Row:
    return (entry.digest.algorithm, entry.digest.hex, entry.media_type, entry.size)


def _made(at_hand: dict[str, ManifestEntry], key: str, row: Row) -> ManifestEntry:
    if len(at_hand) >= _AT_HAND:
        at_hand.clear()
    made = at_hand[key] = ManifestEntry(Digest(row[0], row[1]), row[2], row[3])
    return made
