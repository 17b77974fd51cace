"""Tests of ``sdr v1``, and of ``sdr publish --v1`` and ``--schema2``."""

import json
import subprocess
import sys

from tests.cli.commands import CommandTestCase
from tests.images import DOCKER_MANIFEST, Layout, digest_of
from tests.publish.trees import broken_references, snapshot, stale_documents
from tests.publish.v1_trees import broken_v1, stale_v1


class V1TestCase(CommandTestCase):
    """Has an image of two platforms."""

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        layout = Layout()
        images = {each: layout.image({"a": each.encode()}, platform=each) for each in ("linux/arm64", "linux/amd64")}
        self.index = layout.tag(layout.index([*images.values()]))["digest"]
        self.several = f"oci:{layout.write(self.folder / 'several')}"
        self.ids = {
            each: json.loads(layout.blobs[image["digest"]])["config"]["digest"].removeprefix("sha256:")
            for each, image in images.items()
        }

    def tree(self) -> dict[str, bytes]:
        """Return what is there, once it is found whole and level."""
        tree = snapshot(self.root)
        self.assertEqual(broken_references(tree) + stale_documents(tree) + broken_v1(tree) + stale_v1(tree), [])
        return tree

    def tags(self, tree: dict[str, bytes]) -> dict[str, str]:
        """Return what protocol v1 says of a repository."""
        found: dict[str, str] = json.loads(tree["repositories/acme/app/tags"])
        return found


class PublishTests(V1TestCase):
    """sdr publish --v1."""

    def test_output(self) -> None:
        """Standard output is as without it; all tags are there for both protocols."""
        out, _ = self.publish("--v1", "--also-tag=latest", self.several, "acme/app:1.0")
        self.assertEqual(out, f"acme/app:1.0@{self.index}\n")
        top = self.ids["linux/amd64"]
        self.assertEqual(self.tags(self.tree()), {"1.0": top, "latest": top})

    def test_second_run(self) -> None:
        """The second run says that it wrote nothing; where only protocol v1 was missing, that is written."""
        self.publish(self.several, "acme/app")
        _, err = self.publish("--v1", self.several, "acme/app")
        self.assertNotIn("already published", err)
        before = self.tree()
        _, err = self.publish("--v1", self.several, "acme/app")
        self.assertEqual(err.splitlines()[-1], "already published, nothing written")
        self.assertEqual(self.tree(), before)

    def test_json(self) -> None:
        """--json says what was written for protocol v1, apart from the rest."""
        result = json.loads(self.publish("--json", "--v1", self.several, "acme/app")[0])
        tree, top = self.tree(), self.ids["linux/amd64"]
        self.assertEqual((result["digest"], result["v1"]["id"], result["v1"]["images"]), (self.index, top, [top]))
        self.assertEqual(sorted([*result["keys"], *result["v1"]["keys"]]), sorted(tree))
        self.assertNotIn("v1", json.loads(self.publish("--json", self.several, "acme/app")[0]))

    def test_several_images(self) -> None:
        """Of several images each is published for protocol v1."""
        self.publish("--v1", "-q", self.several, "acme/app", self.source, "other", "--platform=linux/amd64")
        tree = self.tree()
        self.assertEqual(self.tags(tree), {"latest": self.ids["linux/amd64"]})
        self.assertIn("repositories/library/other/tag_latest", tree)

    def test_failed_after_the_tags_moved(self) -> None:
        """Where only protocol v1 fails, what is published for v2 is told before the one line, and is whole."""
        self.root.mkdir()
        (self.root / "images").write_text("in the way")
        other = ("other", self.source, "more")
        for arguments in ((), ("--json",)):
            out, err = self.publish("-q", "--v1", *arguments, self.several, "acme/app", self.source, *other, code=1)
            if arguments:
                result = json.loads(out)
                self.assertEqual((result["digest"], "v1" in result), (self.index, False))
            else:
                self.assertEqual(out, f"acme/app:latest@{self.index}\n")
            self.assertRegex(err, r"\Asdr: error: [^\n]+\n\Z")
        _, err = self.publish("--v1", self.several, "acme/app", code=1)
        self.assertNotIn("nothing written", err)
        tree = snapshot(self.root)
        self.assertNotIn("v2/library/other/manifests/latest", tree)
        del tree["images"]
        self.assertEqual(broken_references(tree) + stale_documents(tree), [])

    def test_refused(self) -> None:
        """What protocol v1 cannot carry is refused with one line before anything is written."""
        layout = Layout()
        layout.tag(layout.image(platform="linux/arm64"))
        layout.entries = [layout.index([layout.image({"a": b"b"}, platform="linux/arm64")])]
        source = f"oci:{layout.write(self.folder / 'arm')}"
        line = self.failed(1, "publish", f"--store={self.root}", "--v1", source, "acme/app")
        for word in ("acme/app", "linux/amd64", "linux/arm64", "--platform"):
            self.assertIn(word, line)
        self.assertFalse(self.root.exists())

    def test_guarded_tag(self) -> None:
        """A tag that --if-tag refuses to move stays as it is for protocol v1, too."""
        self.publish("--v1", self.source, "acme/app")
        before = self.tree()
        store = f"--store={self.root}"
        self.failed(1, "publish", "-q", store, "--v1", "--if-tag=absent", self.several, "acme/app")
        self.assertEqual(self.tags(self.tree()), self.tags(before))


class V1Tests(V1TestCase):
    """sdr v1."""

    def test_the_same(self) -> None:
        """It writes what publish --v1 writes, and prints the id."""
        self.publish("--v1", self.several, "acme/app:1.0")
        wanted = self.tree()
        store = self.folder / "another"
        self.run_command("publish", f"--store={store}", self.several, "acme/app:1.0")
        out, err = self.run_command("v1", f"--store={store}", "acme/app:1.0")
        self.assertEqual((out, snapshot(store)), (f"acme/app:1.0 {self.ids['linux/amd64']}\n", wanted))
        self.assertIn("copied", err)
        _, err = self.run_command("v1", f"--store={store}", "acme/app:1.0")
        self.assertEqual(err.splitlines()[-1], "already published for protocol v1, nothing written")

    def test_platform(self) -> None:
        """--platform takes another one of several platforms."""
        self.publish(self.several, "acme/app")
        result = json.loads(self.on_store("v1", "--json", "--platform=linux/arm64", "acme/app")[0])
        top = self.ids["linux/arm64"]
        expected = {"name": "acme/app", "tag": "latest", "id": top, "images": [top]}
        self.assertEqual({member: result[member] for member in expected}, expected)
        self.assertIn(f"images/{top}/layer", result["keys"])
        self.assertEqual(self.tags(self.tree()), {"latest": top})

    def test_failures(self) -> None:
        """What is not there, and what makes no sense, is one line."""
        self.publish("-q", self.several, "acme/app")
        store = f"--store={self.root}"
        self.assertIn("there is no acme/app:2", self.failed(1, "v1", store, "acme/app:2"))
        self.assertIn("linux/s390x", self.failed(1, "v1", store, "--platform=linux/s390x", "acme/app"))
        self.assertIn("NAME[:TAG]", self.failed(2, "v1", store, f"acme/app@{self.index}"))
        self.assertIn("--platform", self.failed(2, "v1", store, "--platform=linux", "acme/app"))
        self.assertIn("NAME[:TAG]", self.failed(2, "v1", store))

    def test_index(self) -> None:
        """The documents of protocol v1 are made anew by sdr index, too."""
        self.publish("--v1", self.several, "acme/app:1.0")
        wanted = self.tree()
        for last, text in (("tags", "{}"), ("images", "spoilt")):
            (self.root / "repositories/acme/app" / last).write_text(text)
        out, _ = self.on_store("index")
        self.assertEqual(sorted(out.split()), [f"repositories/acme/app/{last}" for last in ("images", "tags")])
        self.assertEqual(self.tree(), wanted)


class Schema2Tests(V1TestCase):
    """sdr publish --schema2."""

    def test_converted(self) -> None:
        """The image is published with docker's types; what its digest was and is, is said."""
        out, err = self.publish("--schema2", self.source, "acme/app")
        digest = out.strip().partition("@")[2]
        self.assertNotEqual(digest, self.digest)
        self.assertIn(f"{self.digest} -> {digest}", err)
        data = self.tree()["v2/acme/app/manifests/latest"]
        self.assertEqual((json.loads(data)["mediaType"], digest_of(data)), (DOCKER_MANIFEST, digest))
        result = json.loads(self.publish("--json", "-q", "--schema2", self.source, "acme/app")[0])
        self.assertEqual((result["digest"], result["converted_from"], result["keys"]), (digest, self.digest, []))

    def test_as_it_is(self) -> None:
        """One that is in schema 2 already stays as it is, and nothing is said."""
        layout = Layout()
        digest = layout.tag(layout.image(docker=True))["digest"]
        out, err = self.publish("--schema2", f"oci:{layout.write(self.folder / 'docker')}", "acme/app")
        self.assertEqual((out, "->" in err), (f"acme/app:latest@{digest}\n", False))

    def test_both(self) -> None:
        """With --v1 it is the same image for protocol v1 as without --schema2; a layer in zstd is packed once."""
        layout = Layout()
        layout.tag(layout.image({"a": b"a" * 9999}, compression="zstd"))
        source = f"oci:{layout.write(self.folder / 'zstd')}"
        for arguments in ([], ["--schema2"]):
            _, err = self.publish("--v1", *arguments, source, f"acme/app:{len(arguments)}")
            self.assertEqual(sum(line.startswith("packed") for line in err.splitlines()), 1, err)
        tags = self.tags(self.tree())
        self.assertEqual(tags["0"], tags["1"])


class StartingTests(V1TestCase):
    """What a command has to load."""

    def test_only_when_asked_for(self) -> None:
        """A publish without --v1 and --schema2 loads nothing that only these need."""
        script = "import sys, sdr.cli.publish; print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        loaded = {name.rpartition(".")[2] for name in done.stdout.split()}
        self.assertEqual(loaded & {"v1_publishing", "v1_chain", "v1_layers", "schema2"}, set())
