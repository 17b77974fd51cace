"""Tests of ``sdr tag``, ``sdr untag`` and ``sdr rm``."""

import json

from sdr.stores.directory import DirectoryStore
from tests.cli.commands import CommandTestCase
from tests.images import Layout
from tests.publish.trees import broken_references, snapshot, stale_documents
from tests.publish.v1_trees import broken_v1, publish_v1, stale_v1

CDN = "https://cdn.example.com"


class TagsTestCase(CommandTestCase):
    """Has one published image."""

    def setUp(self) -> None:
        """Publish it."""
        super().setUp()
        self.publish("-q", self.source, "acme/app:1.0")
        self.by_digest = f"/v2/acme/app/manifests/{self.digest}"

    def tags(self) -> list[str]:
        """Return the tags that are listed, once the whole tree is found to be whole and level."""
        tree = snapshot(self.root)
        self.assertEqual(broken_references(tree) + stale_documents(tree), [])
        return list(json.loads(tree["v2/acme/app/tags/list"])["tags"])

    def refused(self, command: str, *arguments: str) -> str:
        """Require that a command is refused in one line and changes nothing."""
        before = snapshot(self.root)
        error = self.failed(1, command, "-q", f"--store={self.root}", *arguments)
        self.assertEqual(snapshot(self.root), before)
        return error


class TagTests(TagsTestCase):
    """sdr tag."""

    def test_from_a_tag_and_from_a_digest(self) -> None:
        """Both name what the new tag is to name; the paths are printed whose copies a CDN may keep."""
        out, err = self.on_store("tag", "acme/app:1.0", "stable")
        self.assertIn("/v2/acme/app/manifests/stable", out.splitlines())
        self.assertIn("a CDN may keep", err)
        self.on_store("tag", f"acme/app@{self.digest}", "other")
        self.assertEqual(self.tags(), ["1.0", "other", "stable"])

    def test_guarded(self) -> None:
        """--if-tag refuses to move a tag that is something else."""
        self.on_store("tag", "--if-tag=absent", "acme/app:1.0", "stable")
        layout = Layout()
        layout.tag(layout.image({"a": b"other"}))
        self.publish("-q", f"oci:{layout.write(self.folder / 'other')}", "acme/app:2.0")
        self.assertIn("acme/app:stable", self.refused("tag", "--if-tag=absent", "acme/app:2.0", "stable"))

    def test_nothing_to_tag(self) -> None:
        """A tag that is not there is named."""
        self.assertIn("acme/app:2.0", self.refused("tag", "acme/app:2.0", "stable"))


class UntagTests(TagsTestCase):
    """sdr untag."""

    def test_removes_the_tag_alone(self) -> None:
        """The image stays; with --cdn the URLs of that CDN are printed, and with --quiet nothing else."""
        self.on_store("tag", "acme/app:1.0", "stable")
        out, err = self.on_store("untag", "-q", "--cdn", f"{CDN}/", "acme/app:stable")
        self.assertIn(f"{CDN}/v2/acme/app/manifests/stable", out.splitlines())
        self.assertEqual(err, "")
        self.assertEqual(self.tags(), ["1.0"])

    def test_not_there(self) -> None:
        """A tag that is not there is named."""
        self.assertIn("acme/app:2.0", self.refused("untag", "acme/app:2.0"))


class RmTests(TagsTestCase):
    """sdr rm."""

    def test_refuses_what_is_in_use(self) -> None:
        """A tagged manifest goes with --force only, and its tag with it."""
        target = f"acme/app@{self.digest}"
        self.assertIn("--force", self.refused("rm", target))
        out, _ = self.on_store("rm", "--json", "--force", "--cdn", CDN, target)
        result = json.loads(out)
        self.assertEqual(result["name"], "acme/app")
        self.assertIn(self.by_digest[1:], result["removed"])
        self.assertIn(f"{CDN}{self.by_digest}", result["cached"])
        self.assertEqual(set(result), {"name", "written", "removed", "cached"})
        self.assertEqual(broken_references(snapshot(self.root)), [])

    def test_whole_repository(self) -> None:
        """Without a digest, all of a repository goes, and no other repository."""
        self.publish("-q", self.source, "acme/app/other")
        out, _ = self.on_store("rm", "acme/app")
        self.assertIn(self.by_digest, out.splitlines())
        self.assertEqual(self.on_store("ls")[0], "acme/app/other\n")
        tree = snapshot(self.root)
        self.assertEqual(broken_references(tree) + stale_documents(tree), [])

    def test_not_there(self) -> None:
        """A repository that is not there is named."""
        self.assertIn("acme/gone", self.refused("rm", "acme/gone"))


class V1Tests(TagsTestCase):
    """What goes for protocol v1, too."""

    def setUp(self) -> None:
        """Publish for protocol v1."""
        super().setUp()
        publish_v1(DirectoryStore(self.root), self.source, "acme/app", "1.0", "2.0")

    def test_untag_and_rm(self) -> None:
        """The URLs and keys of what protocol v1 had are told, too, and nothing is broken."""
        out, _ = self.on_store("untag", "-q", "--cdn", CDN, "acme/app:2.0")
        told = {f"{CDN}/repositories/acme/app/{last}" for last in ("tag_2.0", "tags", "images")}
        self.assertLessEqual(told, set(out.splitlines()))
        tree = snapshot(self.root)
        self.assertEqual(broken_v1(tree) + stale_v1(tree), [])
        result = json.loads(self.on_store("rm", "--json", "acme/app")[0])
        self.assertIn("repositories/acme/app/tag_1.0", result["removed"])
        self.assertEqual([key for key in snapshot(self.root) if key.startswith("repositories/")], [])
        self.assertIn("acme/app:1.0", self.failed(1, "untag", f"--store={self.root}", "acme/app:1.0"))
