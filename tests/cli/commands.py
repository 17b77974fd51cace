"""What the tests of the command have in common: it runs as a process of its own."""

import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.directories import new_directory
from tests.images import Layout

COMMAND = [sys.executable, "-m", "sdr"]

#: All commands, in the order of help, with what each needs besides a store.
COMMANDS = {
    "publish": ["oci:/gone", "acme/app"],
    "tag": ["acme/app:1.0", "stable"],
    "untag": ["acme/app:1.0"],
    "rm": ["acme/app"],
    "ls": [],
    "check": [],
    "index": [],
    "gc": [],
    "v1": ["acme/app:1.0"],
}


def environment(**more: str) -> dict[str, str]:
    """Return an environment without a store of the user's."""
    return {name: value for name, value in os.environ.items() if name != "SDR_STORE"} | more


class CommandTestCase(SynchronousTestCase):
    """Runs the command."""

    def setUp(self) -> None:
        """Make a store's place and a source."""
        self.folder = new_directory(self, make=True)
        self.root = self.folder / "store"
        layout = Layout()
        self.digest = layout.tag(layout.image())["digest"]
        self.source = f"oci:{layout.write(self.folder / 'layout')}"

    def run_command(self, *arguments: str, code: int = 0, **more: str) -> tuple[str, str]:
        """Run it, require this exit code, and return what it writes; ``more`` goes into its environment."""
        done = subprocess.run(
            [*COMMAND, *arguments], capture_output=True, text=True, check=False, env=environment(**more)
        )
        self.assertEqual((done.returncode, "Traceback" in done.stderr), (code, False), done.stderr)
        return done.stdout, done.stderr

    def publish(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """Publish the source."""
        return self.on_store("publish", *arguments, code=code)

    def on_store(self, command: str, *arguments: str, code: int = 0) -> tuple[str, str]:
        """Run a command on the store."""
        return self.run_command(command, "--store", str(self.root), *arguments, code=code)

    def failed(self, code: int, *arguments: str) -> str:
        """Require one line on standard error and nothing on standard output."""
        out, err = self.run_command(*arguments, code=code)
        self.assertEqual(out, "")
        self.assertRegex(err, r"\Asdr: error: [^\n]+\n\Z")
        return err
