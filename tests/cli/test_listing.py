"""Tests of ``sdr ls``."""

import json

from sdr.stores.directory import DirectoryStore
from tests.cli.commands import CommandTestCase
from tests.publish.v1_trees import publish_v1

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


class LsTests(CommandTestCase):
    """sdr ls."""

    def test_repositories(self) -> None:
        """The names stand alone, sorted, one a line."""
        for name in ("zeta", "acme/app", "acme"):
            self.publish("-q", self.source, name)
        self.assertEqual(self.on_store("ls"), ("acme\nacme/app\nzeta\n", ""))
        self.assertEqual(json.loads(self.on_store("ls", "--json")[0]), {"repositories": ["acme", "acme/app", "zeta"]})

    def test_tags(self) -> None:
        """Of a repository, each tag stands with digest, platforms, size and time, in columns."""
        self.publish("-q", "--also-tag=a-longer-tag", self.source, "acme/app:1.0")
        heading, *rows = self.on_store("ls", "acme/app")[0].splitlines()
        self.assertRegex(heading, r"\ATAG +DIGEST +PLATFORMS +SIZE +MODIFIED\Z")
        for row, tag in zip(rows, ("1.0", "a-longer-tag"), strict=True):
            self.assertRegex(row, rf"\A{tag} +{self.digest} +linux/amd64 +[0-9]+ B +{TIME}\Z")
        for column in ("DIGEST", "PLATFORMS", "SIZE", "MODIFIED"):
            self.assertEqual({row[heading.index(column) - 1] for row in rows}, {" "})

    def test_json(self) -> None:
        """--json has the same for scripts, the size in bytes."""
        self.publish("-q", self.source, "acme/app:1.0")
        result = json.loads(self.on_store("ls", "--json", "acme/app")[0])
        (tag,) = result["tags"]
        self.assertRegex(tag.pop("modified"), rf"\A{TIME}\Z")
        self.assertIsInstance(tag.pop("size"), int)
        self.assertEqual(result["name"], "acme/app")
        self.assertEqual(
            tag,
            {
                "tag": "1.0",
                "digest": self.digest,
                "media_type": "application/vnd.oci.image.manifest.v1+json",
                "platforms": ["linux/amd64"],
                "v1": None,
            },
        )

    def test_no_such_repository(self) -> None:
        """A repository that is not there is an error."""
        self.publish("-q", self.source, "acme/app")
        self.assertIn("acme/gone", self.failed(1, "ls", f"--store={self.root}", "acme/gone"))

    def test_no_such_store(self) -> None:
        """So is a directory that is not there: it is no empty store."""
        self.assertIn(str(self.root), self.failed(1, "ls", f"--store={self.root}"))

    def test_protocol_v1(self) -> None:
        """Where tags are there for protocol v1, too, a column has the beginnings of their images' ids."""
        self.publish("-q", self.source, "acme/app:1.0")
        published = publish_v1(DirectoryStore(self.root), self.source, "acme/app", "old")
        heading, *rows = self.on_store("ls", "acme/app")[0].splitlines()
        self.assertRegex(heading, r"\ATAG +DIGEST +PLATFORMS +SIZE +MODIFIED +V1\Z")
        self.assertEqual([row.split()[-1] for row in rows], ["-", published.id[:12]])
        tags = json.loads(self.on_store("ls", "--json", "acme/app")[0])["tags"]
        self.assertEqual([tag["v1"] for tag in tags], [None, published.id])
