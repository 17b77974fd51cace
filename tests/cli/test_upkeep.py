"""Tests of ``sdr index`` and ``sdr gc``."""

import json

from tests.cli.commands import CommandTestCase
from tests.publish.trees import snapshot, stale_documents


class IndexTests(CommandTestCase):
    """sdr index."""

    def test_nothing_to_do(self) -> None:
        """What is level is left alone, and that is said."""
        self.publish("-q", self.source, "acme/app:1.0")
        before = snapshot(self.root)
        out, err = self.on_store("index")
        self.assertEqual((out, err.splitlines()[-1]), ("", "all is as it should be, nothing written"))
        self.assertEqual(snapshot(self.root), before)

    def test_repairs(self) -> None:
        """What is missing is written again, and its keys are the result."""
        self.publish("-q", self.source, "acme/app:1.0")
        before, key = snapshot(self.root), "v2/acme/app/tags/list"
        (self.root / key).unlink()
        self.assertEqual(self.on_store("index", "-q"), (f"{key}\n", ""))
        self.assertEqual(snapshot(self.root), before)
        (self.root / key).unlink()
        result = json.loads(self.on_store("index", "--json")[0])
        self.assertEqual((result["keys"], result["written"]["objects"]), ([key], 1))
        self.assertEqual(stale_documents(snapshot(self.root)), [])


class GcTests(CommandTestCase):
    """sdr gc."""

    def setUp(self) -> None:
        """Publish an image, and remove its manifest, so that only blobs are left of it."""
        super().setUp()
        self.publish("-q", self.source, "acme/app:1.0")
        self.blobs = [key for key in snapshot(self.root) if key.startswith("blobs/")]
        self.on_store("rm", "-q", "acme/app")

    def there(self) -> list[str]:
        """Return the blobs that are there."""
        return [key for key in snapshot(self.root) if key.startswith("blobs/")]

    def test_two_runs(self) -> None:
        """The first marks, and says when a second one would delete; that one deletes."""
        out, _ = self.on_store("gc")
        self.assertRegex(out, rf"\Amarked: {len(self.blobs)}, [^\n]*; run sdr gc again at [-0-9T:]+Z [^\n]*\n\Z")
        self.assertEqual(self.there(), self.blobs)
        out, _ = self.on_store("gc", "--older-than=0s")
        self.assertRegex(out, rf"deleted: {len(self.blobs)}\b")
        self.assertEqual(self.there(), [])

    def test_dry_run(self) -> None:
        """--dry-run names what would be done, and does nothing of it."""
        before = snapshot(self.root)
        *lines, last = self.on_store("gc", "--dry-run")[0].splitlines()
        self.assertEqual(sorted(lines), [f"mark    {key}" for key in self.blobs])
        self.assertIn(f"to mark: {len(self.blobs)}", last)
        self.assertEqual(snapshot(self.root), before)

    def test_json(self) -> None:
        """--json has the keys."""
        result = json.loads(self.on_store("gc", "--json", "--untagged")[0])
        self.assertEqual((sorted(result["marked"]), result["deleted"], result["freed"]), (self.blobs, [], 0))
        self.assertRegex(result["until"], r"\A\d{4}-.*Z\Z")
