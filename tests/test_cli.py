"""Tests of the ``sdr`` command, as a process of its own."""

import hashlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sdr.cli import parse_target
from tests.directories import new_directory
from tests.images import OCI_LAYER, Layout
from tests.missing import missing
from tests.publish.trees import broken_references, snapshot, stale_documents

COMMAND = [sys.executable, "-m", "sdr.cli"]

#: Mounts a small file system of its own, and runs a command there; the argument says what becomes of it before that.
MOUNTED = 'mount -t tmpfs -o size=300k none "$0" && cp -r "$1" "$0/store" && {} && shift && exec "$@"'


class CommandTestCase(SynchronousTestCase):
    """Runs the command."""

    def setUp(self) -> None:
        """Make a store's place and a source."""
        self.folder = new_directory(self, make=True)
        self.root = self.folder / "store"
        layout = Layout()
        self.digest = layout.tag(layout.image())["digest"]
        self.source = f"oci:{layout.write(self.folder / 'layout')}"

    def run_command(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """Run it, require this exit code, and return what it writes."""
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, "Traceback" in done.stderr), (code, False), done.stderr)
        return done.stdout, done.stderr

    def publish(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """Publish the source."""
        return self.run_command("publish", "--store", str(self.root), *arguments, code=code)

    def failed(self, code: int, *arguments: str) -> str:
        """Require one line on standard error and nothing on standard output."""
        out, err = self.run_command(*arguments, code=code)
        self.assertEqual(out, "")
        self.assertRegex(err, r"\Asdr: error: [^\n]+\n\Z")
        return err


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


class WrongUsageTests(CommandTestCase):
    """What makes no sense on the command line: exit code 2, one line that names what is wrong."""

    def test_table(self) -> None:
        """Each mistake is named with its option or argument."""
        store = f"--store={self.root}"
        for arguments, words in (
            ([], ["command"]),
            (["publsh"], ["publsh"]),
            (["publish"], ["--help"]),
            (["publish", self.source, "a"], ["--store"]),
            (["publish", store, self.source], ["NAME[:TAG]"]),
            (["publish", store, self.source, "a", "b"], ["b"]),
            (["publish", store, "--wrong", self.source, "a"], ["--wrong"]),
            (["publish", "--store=s3://bucket", self.source, "a"], ["--store", "s3://bucket", "directory"]),
            (["publish", f"--store={__file__}", self.source, "a"], ["--store", "not a directory"]),
            (["publish", store, "docker-daemon:a", "a"], ["SOURCE", "docker-archive:", "oci:"]),
            (["publish", store, "image.tar", "a"], ["SOURCE", "docker-archive:"]),
            (["publish", store, "oci:", "a"], ["SOURCE", "oci:PATH"]),
            (["publish", store, "oci:a:", "a"], ["SOURCE", "oci:PATH"]),
            (["publish", store, "--platform=linux", self.source, "a"], ["--platform", "linux/arm64"]),
            (["publish", store, "--jobs=0", self.source, "a"], ["--jobs"]),
            (["publish", store, self.source, "Acme"], ["NAME", "'Acme'"]),
            (["publish", store, self.source, "acme:a b"], ["NAME", "'a b'"]),
        ):
            error = self.failed(2, *arguments)
            for word in words:
                self.assertIn(word, error)
        self.assertFalse(self.root.exists())


class RefusedTests(CommandTestCase):
    """What is refused or fails: exit code 1, one line."""

    def test_sources(self) -> None:
        """A source that is not there, or not what it should be, is named."""
        store = f"--store={self.root}"
        for source in (
            "oci:/gone",
            "oci-archive:/gone",
            f"docker-archive:{__file__}",
            f"oci:{self.folder}",
            f"{self.source}:other",
        ):
            self.assertIn(source.split(":")[1], self.failed(1, "publish", store, source, "a"))
        self.assertFalse(self.root.exists())

    def test_one_line_whatever_the_source_says(self) -> None:
        """Line ends and terminal codes in a source's names are escaped, and long lists cut."""
        layout = Layout()
        layout.tag(layout.image({"a": b"a"}), "\n\x1b[2Jname\u2028\ud800")
        layout.tag(layout.image({"a": b"b"}), "x" * 100_000)
        error = self.failed(1, "publish", f"--store={self.root}", f"oci:{layout.write(self.folder / 'strange')}", "a")
        self.assertIn(r"\n\x1b[2Jname", error)
        self.assertLess(len(error), 2000)

    def test_disk_full(self) -> None:
        """A full disk is told with store and key, and leaves the store as it was for readers."""
        layout = Layout()
        layout.tag(layout.image({"a": os.urandom(1_000_000)}))
        code, error = self.mounted("true", f"oci:{layout.write(self.folder / 'large')}")
        self.assertEqual(code, 1)
        self.assertRegex(error, r"\Asdr: error: \S+/store: blobs/sha256/\w{64}: no space left on the device\n\Z")

    def test_read_only(self) -> None:
        """So is a file system that is read-only."""
        code, error = self.mounted('mount -o remount,ro "$0"', self.source, "other")
        self.assertEqual(code, 1)
        self.assertRegex(error, r"\Asdr: error: \S+/store: \S+: the file system is read-only\n\Z")

    def mounted(self, preparation: str, source: str, name: str = "acme/app") -> tuple[int, str]:
        """Publish into a copy of the store on a small file system."""
        if shutil.which("unshare") is None:
            missing("there is no unshare: apt-get install util-linux")
        self.publish("-q", self.source, "acme/app")
        place = self.folder / "mounted"
        place.mkdir()
        command = [*COMMAND, "publish", "-q", "--store", f"{place}/store", source, name]
        alone = ["--mount"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--mount"]
        inside = ["unshare", *alone, "sh", "-c"]
        if subprocess.run(
            [*inside, 'mount -t tmpfs none "$0"', str(place)], check=False, capture_output=True
        ).returncode:
            missing("mounting is not permitted here")
        script = MOUNTED.format(preparation)
        done = subprocess.run(
            [*inside, script, str(place), str(self.root), *command], check=False, capture_output=True, text=True
        )
        return done.returncode, done.stderr

    def test_full_standard_output(self) -> None:
        """A result that cannot be printed is a failure, and no traceback."""
        if not Path("/dev/full").exists():
            missing("there is no /dev/full")
        with open("/dev/full", "w") as full:
            command = [*COMMAND, "publish", "-q", "--store", str(self.root), self.source, "a"]
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1))

    def test_closed_standard_error(self) -> None:
        """Without a standard error the image is published all the same, and what fails fails silently."""
        for source, code in ((self.source, 0), ("oci:/gone", 1)):
            command = [*COMMAND, "publish", "--store", str(self.root), source, "a"]
            done = subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh", *command], stdout=subprocess.PIPE, check=False)
            expected = f"a:latest@{self.digest}\n" if code == 0 else ""
            self.assertEqual((done.returncode, done.stdout.decode()), (code, expected))

    def test_interrupted(self) -> None:
        """Ctrl-C ends it at once with one line and 130; nothing half-written stays, and it can be run again."""
        layout = Layout()
        size = 20_000_000_000
        digest = f"sha256:{hashlib.sha256(b'never read to its end').hexdigest()}"
        layout.tag(layout.image(layers=[{"mediaType": OCI_LAYER, "digest": digest, "size": size}]))
        path = layout.write(self.folder / "endless")
        # Zeros that take no room in the source; the store gets only what is written until the signal.
        with (path / "blobs" / digest.replace(":", "/")).open("wb") as file:
            file.truncate(size)
        command = [*COMMAND, "publish", "--store", str(self.root), f"oci:{path}", "acme/app"]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell starts what it runs in the background with this signal ignored, and the tests may be that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process:
            deadline = time.monotonic() + 60
            while not any(part.stat().st_size for part in self.root.glob(".sdr/*.part")):
                self.assertLess(time.monotonic(), deadline)
                self.assertIsNone(process.poll())
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        self.assertEqual((process.returncode, out), (130, ""))
        self.assertRegex(err.splitlines()[-1], "^sdr: error: interrupted")
        self.assertNotIn("Traceback", err)
        self.assertEqual(list(self.root.glob(".sdr/*.part")), [])
        self.assertEqual([key for key in snapshot(self.root) if not key.startswith("blobs/")], [])


class HelpTests(CommandTestCase):
    """sdr by itself."""

    def test_help(self) -> None:
        """Help names every option and the sources."""
        out, _ = self.run_command("publish", "--help")
        for word in ("--store", "--platform", "--jobs", "--quiet", "--json", "docker-archive:", "oci:", "oci-archive:"):
            self.assertIn(word, out)
        self.assertIn("publish", self.run_command("-h")[0])

    def test_version(self) -> None:
        """The version is one line."""
        self.assertRegex(self.run_command("--version")[0], r"\Asdr \S[^\n]*\n\Z")

    def test_no_twisted(self) -> None:
        """The publishing side needs neither Twisted, nor treq, nor zope."""
        script = (
            "import sdr.cli, sys; print({name.partition('.')[0] for name in sys.modules} & {'twisted', 'treq', 'zope'})"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, "set()\n")


class TargetTests(SynchronousTestCase):
    """NAME[:TAG]."""

    def test_read(self) -> None:
        """The tag is what follows the last part's colon, and latest without one."""
        self.assertEqual(parse_target("acme/app:1.0"), ("acme/app", "1.0"))
        self.assertEqual(parse_target("app"), ("app", "latest"))
        self.assertEqual(parse_target("registry.example.com/acme/app"), ("registry.example.com/acme/app", "latest"))

    def test_refused(self) -> None:
        """What is outside the grammar is refused, with what is wrong about it."""
        for text, word in (
            ("", "''"),
            ("Acme", "'Acme'"),
            ("a:", "''"),
            (":1", "''"),
            ("a:b:c", "'b:c'"),
            ("a/:1", "'a/'"),
            ("localhost:5000/a:1", "host"),
            (f"a@sha256:{'0' * 64}", "digest"),
            ("a:.x", "'.x'"),
            ("../a", "'../a'"),
            ("a\n", r"'a\n'"),
            ("a" * 256, "aaa"),
            ("a:_repository.json", "another tag"),
        ):
            self.assertIn(word, str(self.assertRaises(ValueError, parse_target, text)))
