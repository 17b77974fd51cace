"""Tests of what a user writes after --store."""

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sdr.stores.directory import DirectoryStore
from sdr.stores.interface import StoreError
from sdr.stores.object_options import opened
from sdr.stores.objects import ObjectStore
from sdr.stores.opening import UnknownStore, open_store
from tests.directories import new_directory

#: The project's folder; trial changes the current one.
ROOT = Path(__file__).parents[2]


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
        """What names no store is refused with one line that says what it is."""
        file = new_directory(self).parent / "file"
        file.touch()
        dangling = file.with_name("dangling")
        dangling.symlink_to("gone")
        for text in (
            "s3:/bucket",
            "s3://",
            "s3://user@bucket",
            "s3://bucket:9",
            "s3://bucket/a//b",
            "s3://bucket/../b",
            "s3://bucket?region=x",
            "s3://bucket/a?b",
            "gs:///a",
            "az://a b",
            "https://example.com",
            "ftp://example.com",
            "file://host/a",
            "",
            str(file),
            str(dangling),
        ):
            error = self.assertRaises(UnknownStore, open_store, text, {})
            self.assertIn(text, str(error))
            self.assertNotIn("\n", str(error))

    def test_buckets(self) -> None:
        """A bucket is opened without asking it anything; messages call it what the user did."""
        for text, environment in (
            ("s3://bucket", {}),
            ("S3://bucket/a/b/", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_REGION": "nowhere-1"}),
            ("s3://my.bucket", {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_CA_BUNDLE": ""}),
        ):
            store = open_store(text, {"HOME": "/nonexistent", **environment})
            assert isinstance(store, ObjectStore)
            self.assertEqual(store.location, text)

    def test_prefixes(self) -> None:
        """What follows the bucket is the beginning of all keys."""
        for text, prefix in (("s3://b", ""), ("s3://b/", ""), ("s3://b/a", "a"), ("s3://b/a/b c/", "a/b c")):
            self.assertEqual(opened(text, {"HOME": "/nonexistent"}).prefix, prefix)

    def test_bad_environment(self) -> None:
        """A variable that cannot be used is named, on one line."""
        folder = new_directory(self)
        folder.mkdir()
        (folder / "credentials").write_text("[mine]\naws_access_key_id = a\naws_secret_access_key = b\n")
        files = {"AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"), "AWS_CONFIG_FILE": str(folder / "config")}
        for environment, name in (
            ({"AWS_ENDPOINT_URL": "localhost:9000"}, "AWS_ENDPOINT_URL"),
            ({"AWS_CA_BUNDLE": str(folder / "none")}, "AWS_CA_BUNDLE"),
            ({"AWS_PROFILE": "yours", **files}, "AWS_PROFILE"),
        ):
            error = self.assertRaises(UnknownStore, open_store, "s3://bucket", {"HOME": str(folder), **environment})
            self.assertIn(name, str(error))
            self.assertNotIn("\n", str(error))
        open_store("s3://bucket", {"AWS_PROFILE": "mine", **files})

    def test_azure_without_an_account(self) -> None:
        """What a service cannot do without is told in one line."""
        error = self.assertRaises(UnknownStore, open_store, "az://container", {})
        self.assertIn("Account must be specified", str(error))
        self.assertNotIn("\n", str(error))

    def test_without_the_library(self) -> None:
        """Without its library, a store says which extra has it."""
        program = (
            "import sys; sys.modules['obstore'] = None; sys.modules['swiftclient'] = None\n"
            "from sdr.stores.opening import UnknownStore, open_store\n"
            "open_store('directory')\n"
            "for text in 's3://bucket', 'swift://container':\n"
            "    try:\n"
            "        open_store(text, {'ST_AUTH': 'http://127.0.0.1:1', 'ST_USER': 'a', 'ST_KEY': 'b'})\n"
            "    except UnknownStore as error:\n"
            "        print(error)\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
        first, second = done.stdout.splitlines()
        self.assertEqual(first, "s3://bucket: obstore is not installed here: pip install 'sdr[publish]'")
        self.assertEqual(second, "swift://container: swiftclient is not installed here: pip install 'sdr[swift]'")
