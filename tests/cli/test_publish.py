"""Tests of ``sdr publish``."""

import json
import os
import pty
import subprocess

from tests.cli.commands import COMMAND, CommandTestCase
from tests.images import Layout
from tests.publish.trees import broken_references, snapshot, stale_documents


class PublishTests(CommandTestCase):
    """sdr publish."""

    def test_output(self) -> None:
        """Standard output is the digest alone; standard error has one line an object."""
        out, err = self.publish(self.source, "acme/app:1.0")
        self.assertEqual(out, f"acme/app:1.0@{self.digest}\n")
        tree = snapshot(self.root)
        self.assertEqual(broken_references(tree) + stale_documents(tree), [])
        self.assertEqual(
            sorted(line.split()[:2] for line in err.splitlines()), [["written", key] for key in sorted(tree)]
        )

    def test_second_run(self) -> None:
        """The second run says that it wrote nothing, and names the digest all the same."""
        first, _ = self.publish(self.source, "acme/app:1.0")
        second, err = self.publish(self.source, "acme/app:1.0")
        self.assertEqual(second, first)
        self.assertEqual(err.splitlines()[-1], "already published, nothing written")
        self.assertNotIn("written  ", err)

    def test_quiet(self) -> None:
        """--quiet leaves the last line only."""
        for _ in range(2):
            out, err = self.publish("--quiet", self.source, "acme/app")
            self.assertEqual((out, err), (f"acme/app:latest@{self.digest}\n", ""))

    def test_json(self) -> None:
        """--json is the result for scripts, whatever else is said."""
        out, _ = self.publish("--json", self.source, "acme/app:1.0")
        result, tree = json.loads(out), snapshot(self.root)
        self.assertEqual(sorted(result.pop("keys")), sorted(tree))
        size = len(tree[f"v2/acme/app/manifests/{self.digest}"])
        self.assertEqual(
            result,
            {
                "name": "acme/app",
                "tag": "1.0",
                "tags": ["1.0"],
                "digest": self.digest,
                "media_type": "application/vnd.oci.image.manifest.v1+json",
                "size": size,
                "written": {"objects": len(tree), "bytes": sum(map(len, tree.values()))},
                "skipped": {"objects": 0, "bytes": 0},
            },
        )
        again = json.loads(self.publish("--json", "-q", self.source, "acme/app:1.0")[0])
        self.assertEqual((again["keys"], again["skipped"]["objects"]), ([], len(tree)))

    def test_file_url(self) -> None:
        """A store may be a file URL."""
        self.run_command("publish", "-q", "--store", f"file://{self.root}", self.source, "acme/app")
        self.assertEqual(stale_documents(snapshot(self.root)), [])

    def test_several_tags(self) -> None:
        """--also-tag, as often as wanted, gives the image further tags; none is written twice."""
        also = ["--also-tag", "1", "--also-tag=latest", "--also-tag=1.0"]
        out, _ = self.publish("--json", *also, self.source, "acme/app:1.0")
        result, tree = json.loads(out), snapshot(self.root)
        self.assertEqual((result["tag"], result["tags"]), ("1.0", ["1.0", "1", "latest"]))
        self.assertEqual(json.loads(tree["v2/acme/app/tags/list"])["tags"], ["1", "1.0", "latest"])
        self.assertEqual(broken_references(tree) + stale_documents(tree), [])

    def test_guarded_tag(self) -> None:
        """--if-tag absent refuses a tag that is there; --if-tag DIGEST moves it from there and from nowhere else."""
        self.publish("--if-tag=absent", self.source, "acme/app:1.0")
        layout = Layout()
        layout.tag(layout.image({"a": b"other"}))
        other = f"oci:{layout.write(self.folder / 'other')}"
        store = f"--store={self.root}"
        self.assertIn("acme/app:1.0", self.failed(1, "publish", store, "--if-tag=absent", other, "acme/app:1.0"))
        wrong = f"sha256:{'0' * 64}"
        self.assertIn(wrong, self.failed(1, "publish", store, f"--if-tag={wrong}", other, "acme/app:1.0"))
        moved, _ = self.publish("-q", f"--if-tag={self.digest}", other, "acme/app:1.0")
        self.assertEqual(moved, f"acme/app:1.0@{layout.entries[0]['digest']}\n")

    def test_terminal(self) -> None:
        """On a terminal there are bars, and the result still goes to standard output alone."""
        parent, child = pty.openpty()
        command = [*COMMAND, "publish", "--store", str(self.root), self.source, "acme/app"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=child, env={**os.environ, "TERM": "xterm"}
        ) as process:
            os.close(child)
            shown = b""
            # Linux answers EIO when the other side of a pseudo-terminal is closed.
            try:
                while piece := os.read(parent, 65536):
                    shown += piece
            except OSError:
                pass
            os.close(parent)
            assert process.stdout is not None
            self.assertEqual(process.stdout.read().decode(), f"acme/app:latest@{self.digest}\n")
        self.assertEqual(process.returncode, 0)
        self.assertIn(b"\x1b[", shown)
        self.assertIn(b"v2/acme/app/tags/list", shown)
