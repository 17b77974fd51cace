"""Tests of ``sdr publish``."""

import json
import os
import pty
import subprocess
from tarfile import TarInfo

from sdr.publish.groups import SIZE
from tests.cli.commands import COMMAND, CommandTestCase
from tests.images import Layout, layer_tar, old_docker_archive, tar
from tests.publish.trees import broken_references, snapshot, stale_documents


def without_layer(members: list[tuple[TarInfo, bytes]], layer: bytes) -> list[tuple[TarInfo, bytes]]:
    """Return the members of an archive with other bytes, of the same length, for a layer."""
    return [(info, b"\1" * len(data) if data == layer else data) for info, data in members]


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

    def other(self) -> tuple[str, str]:
        """Return another source, and its digest."""
        layout = Layout()
        digest = layout.tag(layout.image({"a": b"other"}))["digest"]
        return f"oci:{layout.write(self.folder / 'other')}", digest

    def test_several_images(self) -> None:
        """Several images are published in their order, with a line for each; the options are for each of them."""
        other, digest = self.other()
        images = [self.source, "acme/app:1.0", other, "acme/other", self.source, "acme/third:3"]
        out, err = self.publish("--also-tag=stable", *images)
        lines = [f"acme/app:1.0@{self.digest}", f"acme/other:latest@{digest}", f"acme/third:3@{self.digest}"]
        self.assertEqual((out.splitlines(), "already" in err), (lines, False))
        tree = snapshot(self.root)
        self.assertEqual(json.loads(tree["v2/acme/other/tags/list"])["tags"], ["latest", "stable"])
        self.assertEqual(broken_references(tree) + stale_documents(tree), [])
        out, _ = self.publish("--json", *images)
        results = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([result["name"] for result in results], ["acme/app", "acme/other", "acme/third"])

    def test_one_of_several_fails(self) -> None:
        """The first that fails ends the command with its one line; those before it are published, and told."""
        other, digest = self.other()
        images = [self.source, "acme/app", f"oci:{self.folder}/gone", "acme/gone", other, "acme/other"]
        out, err = self.publish("-q", *images, code=1)
        self.assertEqual(out, f"acme/app:latest@{self.digest}\n")
        self.assertEqual((err.count("\n"), f"{self.folder}/gone" in err), (1, True))
        tree = snapshot(self.root)
        self.assertEqual((any("acme/other" in key for key in tree), stale_documents(tree)), (False, []))
        out, _ = self.publish("-q", "--if-tag=absent", other, "acme/other", other, "acme/app", code=1)
        self.assertEqual(out, f"acme/other:latest@{digest}\n")

    def test_one_of_several_cannot_be_opened(self) -> None:
        """Those before one whose layers are packed when it is opened, and are wrong, are published all the same."""
        layers = [layer_tar({"a": b"a"}), layer_tar({"b": b"b"})]
        wrong = self.folder / "wrong.tar"
        wrong.write_bytes(tar(without_layer(old_docker_archive({"app:1.0": layers}), layers[1])))
        for jobs in (1, 8):
            target = f"acme/app:{jobs}"
            images = [self.source, target, f"docker-archive:{wrong}", "acme/wrong"]
            out, err = self.publish("-q", f"--jobs={jobs}", *images, code=1)
            self.assertEqual((out, err.count("\n")), (f"{target}@{self.digest}\n", 1), err)
            self.assertIn(str(wrong), err)
        tree = snapshot(self.root)
        self.assertEqual(broken_references(tree) + stale_documents(tree), [])

    def test_many_images(self) -> None:
        """More than are published together are told in their order; of one tag the last one wins."""
        other, digest = self.other()
        images = [word for number in range(70) for word in (self.source, f"acme/n{number}:1")]
        out, _ = self.publish("-q", *images, other, "acme/n3:1", self.source, "acme/n3:2")
        lines = [f"acme/n{number}:1@{self.digest}" for number in range(70)]
        self.assertEqual(out.splitlines(), [*lines, f"acme/n3:1@{digest}", f"acme/n3:2@{self.digest}"])
        tree = snapshot(self.root)
        self.assertEqual(broken_references(tree) + stale_documents(tree), [])
        self.assertEqual(json.loads(tree["v2/acme/n3/_repository.json"])["tags"]["1"][0], digest)
        out, err = self.publish(*images[:4])
        self.assertEqual((out.splitlines(), err.count(": already published, nothing written")), (lines[:2], 2))

    def test_a_large_image(self) -> None:
        """One that makes what is published together too large is published by itself, after those before it."""
        layout = Layout()
        large = layout.tag(layout.image({"large": bytes(SIZE)}, compression=""))["digest"]
        other, digest = self.other()
        archive = layout.write_docker_archive(self.folder / "large.tar", ["large"])
        for source in (f"oci:{layout.write(self.folder / 'large')}", f"docker-archive:{archive}"):
            out, err = self.publish(other, "acme/a:1", source, "acme/large:1", other, "acme/b:1")
            told = [f"acme/a:1@{digest}", f"acme/large:1@{large}", f"acme/b:1@{digest}"]
            self.assertEqual(out.splitlines(), told)
            keys = [line.split()[1] for line in err.splitlines() if line.startswith("written")]
            where = [keys.index(f"v2/{name}/tags/list") for name in ("acme/a", "acme/large", "acme/b")]
            self.assertEqual(where, sorted(where))
            self.assertLess(where[0], keys.index(f"v2/acme/large/manifests/{large}"))
            tree = snapshot(self.root)
            self.assertEqual(broken_references(tree) + stale_documents(tree), [])
            self.root = self.folder / "again"

    def test_few_open_files(self) -> None:
        """Layers that have to be packed, or packed anew, do not use up the files that a process may have open."""
        layout, archives, in_zstd = Layout(), [], []
        contents = [bytes([number]) for number in range(30)]
        layout.tag(layout.image(layers=[layout.layer({"a": each}, "zstd") for each in contents]))
        zstd = layout.write(self.folder / "zstd")
        for number in range(20):
            path = self.folder / f"{number}.tar"
            path.write_bytes(tar(old_docker_archive({"": [layer_tar({str(number): each}) for each in contents]})))
            archives += [f"docker-archive:{path}", f"acme/archive:{number}"]
            in_zstd += [f"oci:{zstd}", f"acme/zstd:{number}"]
        for options, images in (([], archives), (["--schema2"], in_zstd)):
            command = [*COMMAND, "publish", "-q", "--store", str(self.root), *options, *images]
            done = subprocess.run(
                ["sh", "-c", 'ulimit -n 300 && exec "$@"', "sh", *command], capture_output=True, text=True, check=False
            )
            self.assertEqual((done.returncode, done.stdout.count("\n")), (0, len(images) // 2), done.stderr)
        tree = snapshot(self.root)
        self.assertEqual(broken_references(tree) + stale_documents(tree), [])

    def test_names_that_exclude_each_other(self) -> None:
        """Of two repositories of which a directory holds one, the first is published and told, and the other fails."""
        for number, other in enumerate(("a/manifests/x", "a/tags/list")):
            self.root = self.folder / f"names{number}"
            out, err = self.publish("-q", self.source, "a:x", self.source, f"{other}:y", code=1)
            self.assertEqual((out, err.count("\n")), (f"a:x@{self.digest}\n", 1))
            tree = snapshot(self.root)
            self.assertEqual(broken_references(tree) + stale_documents(tree), [])
            self.assertEqual([key for key in tree if key.startswith(f"v2/{other}/") and not key.endswith("/x")], [])

    def test_several_images_are_checked_first(self) -> None:
        """Every argument is read before the first image is published; each wrong one is one line."""
        command = ["publish", f"--store={self.root}", self.source, "acme/app"]
        for wrong, line in (
            ([self.source], f"no NAME[:TAG] follows {self.source!r}: each SOURCE wants one"),
            ([self.source, "acme/app", "oci:x"], "no NAME[:TAG] follows 'oci:x'"),
            (["elsewhere", "acme/app"], "for 'SOURCE NAME[:TAG]': not one of docker-archive:FILE[:REF]"),
            ([self.source, "Acme"], "'Acme' is no repository's name"),
            ([self.source, "acme/app:-"], "'-' is no tag"),
        ):
            said = self.failed(2, *command, *wrong)
            self.assertIn(line, said)
            self.assertIn("sdr publish --help", said)
        self.assertFalse(self.root.exists())

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
