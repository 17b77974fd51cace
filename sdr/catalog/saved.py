"""The last good catalog on disk: the tree's own documents under their own keys, so the same codec reads them."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

from sdr.catalog.lookups import DOCUMENT_LIMIT, FoundManifest, ManifestLookup
from sdr.catalog.saved_manifests import SavedManifests, write_whole
from sdr.catalog.snapshot import Listing, Snapshot
from sdr.registry.grammar import is_name
from sdr.tree.documents import (
    BadDocument,
    Repository,
    decode_lists,
    decode_repository,
    encode_lists,
    encode_repository,
    revision,
)
from sdr.tree.keys import LISTS_KEY, list_key, repository_key


class SavedCatalog:
    """A directory that holds a copy of the lists and of the documents of repositories in use.

    :param directory: an absolute path; it must exist.
    """

    def __init__(self, directory: str) -> None:
        self._root = Path(directory)
        #: The manifests that were fetched, where they are kept.
        self.manifests = SavedManifests(self._root)
        self._written = Snapshot()
        self._one_at_a_time = Lock()
        self._unwritten: dict[str, Repository] = {}
        #: What the last call was to write, until it has.
        self._writing: dict[str, Repository] = {}

    def note(self, repository: Repository) -> None:
        """Remember to write a repository's document."""
        self._unwritten[repository.name] = repository

    def changes(self, snapshot: Snapshot) -> Callable[[], None] | None:
        """Return a blocking call that brings the copy level, or nothing if it is.

        The call may be made in a thread. It raises :class:`OSError` if the copy cannot be written; what it was to write
        is not lost then.
        """
        repositories = self._writing = {**self._writing, **self._unwritten}
        self._unwritten = {}
        manifests = self.manifests.take()
        if snapshot is self._written and not repositories and not manifests:
            return None

        def write() -> None:
            with self._one_at_a_time:
                self._save(snapshot, repositories.values())
                self.manifests.write(manifests)
            self._writing = {}

        return write

    def load_all(
        self,
    ) -> tuple[Snapshot, Sequence[tuple[Repository, str]], Sequence[tuple[ManifestLookup, FoundManifest]]]:
        """Read the copy, as :meth:`load` does, and the manifests beside it; blocking."""
        return (*self.load(), tuple(self.manifests.load()))

    def load(self) -> tuple[Snapshot, Sequence[tuple[Repository, str]]]:
        """Read the copy: the lists, and each repository with the revision of its document; blocking.

        What is missing, unreadable or malformed is left out; documents of repositories that are no longer listed are
        removed.

        :raise OSError: if the first of the lists cannot be read.
        """
        try:
            wanted = decode_lists((self._root / LISTS_KEY).read_bytes())
        except (FileNotFoundError, BadDocument):
            return Snapshot(), ()
        lists = {}
        for prefix, revision_wanted in wanted.items():
            try:
                data = (self._root / list_key(prefix)).read_bytes()
                lists[prefix] = _listing(data, prefix, revision_wanted)
            except (OSError, BadDocument):
                continue
        snapshot = self._written = Snapshot(wanted, lists)
        return snapshot, tuple(self._repositories(snapshot))

    def _save(self, snapshot: Snapshot, repositories: Iterable[Repository]) -> None:
        """Write what has changed; each file whole or not at all, the lists before what names them."""
        before = self._written
        for repository in repositories:
            write_whole(self._root / repository_key(repository.name), encode_repository(repository))
        for prefix, listing in snapshot.lists.items():
            if before.lists.get(prefix) is not listing:
                write_whole(self._root / list_key(prefix), listing.data)
        if snapshot.wanted != before.wanted:
            write_whole(self._root / LISTS_KEY, encode_lists(snapshot.wanted))
        self._written = snapshot

    def _repositories(self, snapshot: Snapshot) -> Iterable[tuple[Repository, str]]:
        root = self._root / "v2"
        # A list that was damaged is no evidence that its repositories are gone.
        is_whole = not snapshot.lagging(snapshot.wanted)
        for path in root.glob("**/_repository.json"):
            name = path.parent.relative_to(root).as_posix()
            with suppress(OSError):
                if not is_name(name) or (snapshot.revision_of(name) is None and is_whole):
                    path.unlink()
                elif path.stat().st_size <= DOCUMENT_LIMIT:
                    data = path.read_bytes()
                    try:
                        yield decode_repository(data, name), revision(data)
                    except BadDocument:
                        path.unlink()


def _listing(data: bytes, prefix: str, wanted: str) -> Listing:
    """Read a list; one that is the very list that is wanted was checked when it was written, and there may be 4096."""
    found = revision(data)
    return Listing(found, data) if found == wanted else Listing.read(data, prefix)
