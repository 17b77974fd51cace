"""Tests of ``sdr check``."""

import json

from tests.cli.commands import CommandTestCase
from tests.publish.trees import snapshot


class CheckTests(CommandTestCase):
    """sdr check."""

    def setUp(self) -> None:
        """Publish an image."""
        super().setUp()
        self.publish("-q", self.source, "acme/app:1.0")
        self.blob = next(key for key in snapshot(self.root) if key.startswith("blobs/"))

    def test_nothing_wrong(self) -> None:
        """Nothing is on standard output, a summary on standard error, and the exit code is 0."""
        out, err = self.on_store("check")
        self.assertEqual(out, "")
        self.assertIn("0 faults", err.splitlines()[-1])
        self.assertEqual(self.on_store("check", "-q", "--deep", "acme/app"), ("", ""))

    def test_something_wrong(self) -> None:
        """Each finding is one line that begins with its key, and the exit code is 1."""
        (self.root / self.blob).unlink()
        out, err = self.on_store("check", "-q", code=1)
        self.assertRegex(out, rf"\A{self.blob}: missing: [^\n]+\n\Z")
        self.assertEqual(err, "")
        result = json.loads(self.on_store("check", "--json", code=1)[0])
        (finding,) = result["findings"]
        self.assertEqual((finding["key"], finding["fault"]), (self.blob, "missing"))
        self.assertIn("docker", finding["clients"])
