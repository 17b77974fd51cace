"""Manifests kept on disk beside the last good catalog: without them, inline manifests would end with the store."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from sdr.catalog.lookups import FoundManifest, ManifestLookup
from sdr.registry.grammar import Digest, is_name
from sdr.registry.manifests import MANIFEST_LIMIT
from sdr.tree.documents import BadDocument

#: What is kept, in bytes; beyond it the oldest go.
LIMIT = 64 * 1024 * 1024


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, with the directories that it needs; blocking.

    :raise OSError: if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".new")
    aside.write_bytes(data)
    os.replace(aside, path)


class SavedManifests:
    """A directory of manifests by digest, under the keys of the tree.

    :param root: it must exist.
    :param limit: in bytes.
    """

    def __init__(self, root: Path, limit: int = LIMIT) -> None:
        self._root = root
        self._limit = limit
        self._size = 0
        self._unwritten: dict[str, bytes] = {}

    def note(self, name: str, found: FoundManifest) -> None:
        """Remember to write a manifest."""
        self._unwritten[ManifestLookup(name, found.entry.digest).key] = found.body

    def take(self) -> Mapping[str, bytes]:
        """Return what is to be written, by key; it is for :meth:`write`, in a thread."""
        taken, self._unwritten = self._unwritten, {}
        return taken

    def write(self, manifests: Mapping[str, bytes]) -> None:
        """Write manifests, each whole or not at all, and forget the oldest beyond the limit; blocking.

        :raise OSError: if one cannot be written; the rest is fetched again when it is asked for.
        """
        for key, body in manifests.items():
            write_whole(self._root / key, body)
            self._size += len(body)
        if self._size > self._limit:
            self._forget_oldest()

    def load(self) -> Iterator[tuple[ManifestLookup, FoundManifest]]:
        """Read what is kept; blocking. What is not what its digest says is removed."""
        for path, _, size in self._files():
            self._size += size
            lookup = self._lookup(path)
            with suppress(OSError):
                try:
                    if lookup is None or size > MANIFEST_LIMIT:
                        raise BadDocument("no manifest")
                    yield lookup, lookup.read(path.read_bytes())
                except BadDocument:
                    path.unlink()

    def _forget_oldest(self) -> None:
        files = sorted(self._files(), key=lambda file: file[1])
        self._size = sum(size for _, _, size in files)
        for path, _, size in files:
            # With room to spare, so that it is not done each time.
            if self._size <= self._limit * 3 // 4:
                break
            with suppress(OSError):
                path.unlink()
            self._size -= size

    def _files(self) -> Iterator[tuple[Path, float, int]]:
        for path in self._root.glob("v2/**/manifests/*"):
            with suppress(OSError):
                status = path.stat()
                yield path, status.st_mtime, status.st_size

    def _lookup(self, path: Path) -> ManifestLookup | None:
        name = path.parent.parent.relative_to(self._root / "v2").as_posix()
        try:
            return ManifestLookup(name, Digest.parse(path.name)) if is_name(name) else None
        except ValueError:
            return None
