"""Tests of the last good catalog on disk."""

from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.lookups import DOCUMENT_LIMIT
from sdr.catalog.saved import SavedCatalog
from sdr.catalog.snapshot import Listing, Snapshot
from sdr.tree.documents import Repository, encode_list, encode_repository, revision
from sdr.tree.keys import LISTS_KEY, list_key, list_of, repository_key
from tests.directories import new_directory
from tests.texts import ENTRIES, NAMES, TAGS

REPOSITORIES = [Repository(f"acme/app{number}", {}) for number in range(3)]


def snapshot_of(repositories: Sequence[Repository]) -> Snapshot:
    """Return the lists of these repositories."""
    names: dict[str, dict[str, str]] = {}
    for repository in repositories:
        listing = names.setdefault(list_of(repository.name), {})
        listing[repository.name] = revision(encode_repository(repository))
    lists = {prefix: Listing(revision(encode_list(listing)), encode_list(listing)) for prefix, listing in names.items()}
    return Snapshot({prefix: listing.revision for prefix, listing in lists.items()}, lists)


class SavedCatalogTests(SynchronousTestCase):
    """A directory that holds a copy."""

    def setUp(self) -> None:
        """Make a directory with a copy of three repositories."""
        self.root = new_directory(self, make=True)
        self.saved = SavedCatalog(str(self.root))
        self.snapshot = snapshot_of(REPOSITORIES)
        for repository in REPOSITORIES:
            self.saved.note(repository)
        self.write(self.snapshot)

    def write(self, snapshot: Snapshot) -> None:
        """Write what has changed."""
        write = self.saved.changes(snapshot)
        assert write is not None
        write()

    def load(self) -> tuple[Snapshot, dict[str, str]]:
        """Return what a new start finds: the lists, and the documents by name."""
        snapshot, repositories = SavedCatalog(str(self.root)).load()
        return snapshot, {repository.name: found for repository, found in repositories}

    def file(self, key: str) -> Path:
        """Return a file of the copy."""
        return self.root / key

    def test_loaded(self) -> None:
        """What was written is found by the next start, each document with its revision."""
        revisions = {repository.name: revision(encode_repository(repository)) for repository in REPOSITORIES}
        self.assertEqual(self.load(), (self.snapshot, revisions))

    @given(st.dictionaries(NAMES, st.dictionaries(TAGS, ENTRIES, max_size=2), max_size=4))
    def test_any_catalog(self, contents: dict[str, dict[str, object]]) -> None:
        """Any catalog is found as it was written."""
        repositories = [Repository(name, tags) for name, tags in contents.items()]  # type: ignore[arg-type]
        root = new_directory(self, make=True)
        saved = SavedCatalog(str(root))
        for repository in repositories:
            saved.note(repository)
        snapshot = snapshot_of(repositories)
        write = saved.changes(snapshot)
        assert write is not None
        write()
        loaded, found = SavedCatalog(str(root)).load()
        self.assertEqual(loaded, snapshot)
        self.assertEqual({repository.name: dict(repository.tags) for repository, _ in found}, contents)

    def test_nothing_saved(self) -> None:
        """An empty directory is an empty catalog."""
        snapshot, repositories = SavedCatalog(str(new_directory(self, make=True))).load()
        self.assertEqual((snapshot, list(repositories)), (Snapshot(), []))

    def test_no_directory(self) -> None:
        """A directory that is gone is an empty catalog, and is made when there is something to write."""
        root = new_directory(self)
        saved = SavedCatalog(str(root))
        self.assertEqual(saved.load()[0], Snapshot())
        write = saved.changes(self.snapshot)
        assert write is not None
        write()
        self.assertEqual(SavedCatalog(str(root)).load()[0], self.snapshot)

    def test_malformed_lists(self) -> None:
        """Where the first of the lists is malformed or cut short, nothing is taken from the copy."""
        whole = self.file(LISTS_KEY).read_bytes()
        for data in (b"", b"<html>", whole[:-3], b"\xff", b"[]"):
            self.file(LISTS_KEY).write_bytes(data)
            self.assertEqual(self.load(), (Snapshot(), {}))

    def test_unreadable_lists(self) -> None:
        """Where the first of the lists cannot be read at all, that is an error to be told."""
        self.file(LISTS_KEY).unlink()
        self.file(LISTS_KEY).mkdir()
        with self.assertRaises(OSError):
            self.load()

    def make_a_directory(self, path: Path) -> None:
        """Put a directory in a file's place."""
        path.unlink()
        path.mkdir()

    def test_partial(self) -> None:
        """A list that is missing, malformed or unreadable is left out; all documents are there, and stay."""
        lost, others = REPOSITORIES[0].name, {repository.name for repository in REPOSITORIES[1:]}
        spoils: list[Callable[[Path], object]] = [
            lambda path: path.write_bytes(b"<html>"),
            lambda path: path.write_bytes(path.read_bytes()[:-1]),
            lambda path: path.unlink(),
            self.make_a_directory,
        ]
        for spoil in spoils:
            self.setUp()
            spoil(self.file(list_key(list_of(lost))))
            snapshot, repositories = self.load()
            self.assertEqual((set(snapshot.names), set(repositories)), (others, {*others, lost}))
            self.assertTrue(self.file(repository_key(lost)).exists())
            # What is missing lags, so that the first poll reads it.
            self.assertEqual(snapshot.lagging(snapshot.wanted), (list_of(lost),))

    def test_malformed_document(self) -> None:
        """A document that is malformed, or another repository's, is left out and removed."""
        path = self.file(repository_key(REPOSITORIES[0].name))
        for data in (b"", b"<html>", encode_repository(REPOSITORIES[1])):
            path.write_bytes(data)
            snapshot, repositories = self.load()
            self.assertEqual(snapshot, self.snapshot)
            self.assertEqual(set(repositories), {repository.name for repository in REPOSITORIES[1:]})
            self.assertFalse(path.exists())

    def test_large_document(self) -> None:
        """A document that is larger than any that is read from a store is left out."""
        with self.file(repository_key(REPOSITORIES[0].name)).open("ab") as file:
            file.truncate(DOCUMENT_LIMIT + 1)
        self.assertEqual(set(self.load()[1]), {repository.name for repository in REPOSITORIES[1:]})

    def test_unlisted_document(self) -> None:
        """The document of a repository that is no longer listed is left out and removed."""
        self.write(snapshot_of(REPOSITORIES[1:]))
        _, repositories = self.load()
        self.assertEqual(set(repositories), {repository.name for repository in REPOSITORIES[1:]})
        self.assertFalse(self.file(repository_key(REPOSITORIES[0].name)).exists())

    def test_what_cannot_be_removed(self) -> None:
        """What can neither be read nor removed keeps nothing else from being used."""
        self.file(repository_key("acme/unlisted")).mkdir(parents=True)
        self.file(repository_key(REPOSITORIES[0].name)).unlink()
        self.file(repository_key(REPOSITORIES[0].name)).mkdir()
        (self.root / "v2" / "\udcff").mkdir()
        (self.root / "v2" / "\udcff" / "_repository.json").write_bytes(b"{}")
        snapshot, repositories = self.load()
        self.assertEqual(snapshot, self.snapshot)
        self.assertEqual(set(repositories), {repository.name for repository in REPOSITORIES[1:]})

    def test_nothing_to_write(self) -> None:
        """The same snapshot, and no new document, is nothing to write; after a start too."""
        self.assertIsNone(self.saved.changes(self.snapshot))
        again = SavedCatalog(str(self.root))
        snapshot, _ = again.load()
        self.assertIsNone(again.changes(snapshot))

    def test_only_what_changed(self) -> None:
        """Only the lists that have changed are written."""
        files = [path for path in self.root.rglob("*") if path.is_file()]
        before = {path: path.stat().st_ino for path in files}
        changed = Repository(REPOSITORIES[0].name, {})
        listing = Listing("f" * 16, encode_list({changed.name: "0" * 16}))
        prefix = list_of(changed.name)
        self.write(self.snapshot.replaced({**self.snapshot.wanted, prefix: "f" * 16}, {prefix: listing}))
        written = {path for path in files if path.stat().st_ino != before[path]}
        self.assertEqual(written, {self.file(list_key(prefix)), self.file(LISTS_KEY)})

    def test_whole_or_not(self) -> None:
        """A copy that cannot be written is as it was, and what was to be written is written when it can be."""
        new = Repository("acme/new", {})
        blocked = self.root / "v2" / "acme" / "new"
        blocked.write_bytes(b"in the way")
        self.saved.note(new)
        snapshot = snapshot_of([*REPOSITORIES, new])
        write = self.saved.changes(snapshot)
        assert write is not None
        with self.assertRaises(OSError):
            write()
        self.assertEqual(self.load()[0], self.snapshot)
        blocked.unlink()
        self.write(snapshot)
        loaded, repositories = self.load()
        self.assertEqual(loaded, snapshot)
        self.assertIn(new.name, repositories)

    def test_told_while_writing(self) -> None:
        """What is told while a write is under way, or fails, is written by the next."""
        first, second = Repository("acme/first", {}), Repository("acme/second", {})
        snapshot = snapshot_of([first, second])
        for fails in (True, False):
            self.saved.note(first)
            write = self.saved.changes(snapshot)
            assert write is not None
            self.saved.note(second)
            blocked = self.root / "v2" / "acme" / "first"
            if fails:
                blocked.write_bytes(b"in the way")
                with self.assertRaises(OSError):
                    write()
                blocked.unlink()
            else:
                write()
            self.write(snapshot)
            self.assertEqual(set(self.load()[1]), {first.name, second.name})

    def test_newer_document(self) -> None:
        """Of a document that could not be written and is told again, the newer is written."""
        name = "acme/new"
        older, newer = Repository(name, {}), REPOSITORIES[0]
        newer = Repository(name, newer.tags)
        snapshot = snapshot_of([newer])
        self.saved.note(older)
        self.saved.changes(snapshot)
        self.saved.note(newer)
        self.write(snapshot)
        self.assertEqual(self.load()[1], {name: revision(encode_repository(newer))})

    def test_no_debris(self) -> None:
        """Nothing that was written aside stays behind."""
        self.assertEqual([path for path in self.root.rglob("*") if path.name.endswith(".new")], [])
