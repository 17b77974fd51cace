"""The nginx lines that the documents show do what the documents say."""

import json
import re
import textwrap

from twisted.trial.unittest import SynchronousTestCase

from tests.real import pulling
from tests.real.programs import ROOT, fetch
from tests.real.servers import directory_nginx


class DirectoryTests(SynchronousTestCase):
    """nginx over the directory that ``sdr publish`` wrote, with ``docs/nginx/directory.conf``."""

    def setUp(self) -> None:
        """Start nginx."""
        self.nginx = directory_nginx(pulling.published()).start()
        self.addCleanup(self.nginx.stop)
        self.layer = json.loads(pulling.samples().single.manifest)["layers"][0]
        self.blob = f"{self.nginx.url}/blobs/{self.layer['digest'].replace(':', '/')}"

    def test_readme_shows_these_lines(self) -> None:
        """What the README has of this file stands in it so, line by line."""
        (shown,) = re.findall(r"(?ms)^ *```nginx\n(.*?)^ *```$", (ROOT / "README.md").read_text())
        tested = iter((ROOT / "docs" / "nginx" / "directory.conf").read_text().splitlines())
        for line in textwrap.dedent(shown).splitlines():
            self.assertIn(line, tested, "not in docs/nginx/directory.conf, or not in this order")

    def test_blob_has_the_headers_of_the_tree(self) -> None:
        """A blob has its size, its type and a long life, and is not encoded for a client that would take it so."""
        got = fetch(self.blob, Accept_Encoding="gzip")
        self.assertEqual((got.status, len(got.body)), (200, self.layer["size"]))
        self.assertEqual(got.headers["Content-Type"], "application/octet-stream")
        self.assertEqual(got.headers["Cache-Control"], "public, max-age=31536000, immutable")
        self.assertIsNone(got.headers["Content-Encoding"])

    def test_blob_is_resumed(self) -> None:
        """A client that lost its connection gets the rest."""
        got = fetch(self.blob, Range="bytes=5-")
        self.assertEqual((got.status, got.body), (206, fetch(self.blob).body[5:]))

    def test_missing_blob_is_not_kept(self) -> None:
        """What is not there yet does not get the long life of what is."""
        got = fetch(f"{self.nginx.url}/blobs/sha256/{'0' * 64}")
        self.assertEqual((got.status, got.headers["Cache-Control"]), (404, None))

    def test_catalog_is_revalidated(self) -> None:
        """An endpoint elsewhere can poll the catalog, and pays for it only when it has changed."""
        url = f"{self.nginx.url}/v2/_repositories.json"
        got = fetch(url)
        self.assertEqual((got.status, got.headers["Cache-Control"]), (200, "no-cache"))
        self.assertEqual(fetch(url, If_None_Match=str(got.headers["ETag"])).status, 304)

    def test_nothing_else_is_served(self) -> None:
        """What the publisher keeps beside the tree is not for others."""
        (pulling.published() / "other").write_text("")
        self.assertEqual(fetch(f"{self.nginx.url}/other").status, 404)
