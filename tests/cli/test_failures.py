"""Tests of what is refused or fails, and of what is interrupted."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.cli.commands import COMMAND, CommandTestCase
from tests.images import OCI_LAYER, Layout
from tests.missing import missing
from tests.publish.trees import snapshot

#: Mounts a small file system of its own, and runs a command there; the argument says what becomes of it before that.
MOUNTED = 'mount -t tmpfs -o size=300k none "$0" && cp -r "$1" "$0/store" && {} && shift && exec "$@"'


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

    def test_interrupted_early(self) -> None:
        """So does Ctrl-C while the command's own modules are still being loaded."""
        script = f"""if True:
            import os, signal, sys
            signal.signal(signal.SIGINT, signal.default_int_handler)
            class Finder:
                def find_spec(self, name, path=None, target=None):
                    if name == "click":
                        os.kill(os.getpid(), signal.SIGINT)
            sys.meta_path.insert(0, Finder())
            sys.argv = ["sdr", "ls", "--store", {str(self.root)!r}]
            from sdr.__main__ import main
            main()
            """
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (130, "", "sdr: error: interrupted\n"))

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
