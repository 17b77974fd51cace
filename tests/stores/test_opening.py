"""Tests of what a user writes after --store."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sdr.stores.directory import DirectoryStore
from sdr.stores.interface import StoreError
from sdr.stores.opening import UnknownStore, open_store
from tests.directories import new_directory

#: Writes half of a body in a process of its own, says so, and waits.


class OpeningTests(SynchronousTestCase):
    """From text to store."""

    def test_unusable_names(self) -> None:
        """What the system will not look at is told by the store, with its name."""
        text = "x" * 300
        error = self.assertRaises(StoreError, open_store(text).head, "a")
        self.assertEqual(str(error), f"{text}: a: file name too long")

    def test_directories(self) -> None:
        """A path and a file URL name a directory, which need not be there; messages call it what the user did."""
        for text, path in (
            ("store", "store"),
            ("/a/b c", "/a/b c"),
            ("file:///a/b%20c", "/a/b c"),
            ("FILE://localhost/a", "/a"),
            ("file:/a", "/a"),
            ("/a:b/c:/d", "/a:b/c:/d"),
        ):
            store = open_store(text)
            assert isinstance(store, DirectoryStore)
            self.assertEqual((store.location, store.root), (text, Path(path)))

    def test_refused(self) -> None:
        """What this version cannot write to is refused with one line that says what it can."""
        file = new_directory(self).parent / "file"
        file.touch()
        dangling = file.with_name("dangling")
        dangling.symlink_to("gone")
        for text in (
            "s3://bucket",
            "s3:/bucket",
            "swift://container/prefix",
            "https://example.com",
            "file://host/a",
            "",
            str(file),
            str(dangling),
        ):
            error = self.assertRaises(UnknownStore, open_store, text)
            self.assertIn(text, str(error))
            self.assertNotIn("\n", str(error))
