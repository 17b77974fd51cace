"""Ctrl-C while a store that takes connections never answers."""

import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys
import time

from twisted.trial.unittest import SynchronousTestCase

from tests import images
from tests.real.programs import environment, folder

#: How long a command may go on after Ctrl-C, in seconds; much of it is for a busy machine.
AT_ONCE = 5.0


class SilentStoreTests(SynchronousTestCase):
    """One Ctrl-C ends every command at once, with one line and 130."""

    def setUp(self) -> None:
        """Have a server that takes connections and says nothing."""
        self.server = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.addCleanup(self.server.close)
        self.server.settimeout(60)
        url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        # Nothing of this machine's own.
        env = {name: value for name, value in environment().items() if not name.startswith(("AWS_", "ST_", "OS_"))}
        self.env = {
            **env,
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "OS_STORAGE_URL": f"{url}/v1/AUTH_test",
            "OS_AUTH_TOKEN": "x",
        }
        made = images.Layout()
        made.tag(made.image())
        self.source = f"oci:{made.write(folder() / 'layout')}"

    def interrupted(self, *arguments: str, stderr: int = subprocess.PIPE) -> str:
        """Run a command, press Ctrl-C once it waits for an answer, and return what it says."""
        with subprocess.Popen(
            [sys.executable, "-m", "sdr", *arguments],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            # A shell starts what it runs in the background with this signal ignored, and the tests may be that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process:
            try:
                with self.server.accept()[0] as connection:
                    self.assertTrue(connection.recv(1))
                    began = time.monotonic()
                    process.send_signal(signal.SIGINT)
                    out, err = process.communicate(timeout=30)
            finally:
                process.kill()
        # What asks for several things at once has left more connections than the one; they are not the next command's.
        self.server.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.server.accept()[0].close()
        self.server.settimeout(60)
        self.assertEqual((process.returncode, out), (130, ""), err)
        self.assertLess(time.monotonic() - began, AT_ONCE)
        return err

    def test_commands(self) -> None:
        """What reads says one line; what writes says that it has done no harm."""
        for store in ("s3://bucket", "swift://container"):
            for command, *more in (["ls"], ["check"], ["publish", self.source, "a"], ["untag", "a:b"], ["gc"]):
                said = self.interrupted(command, "--store", store, *more)
                self.assertEqual(said.count("\n"), 1, said)
                self.assertRegex(said, r"\Asdr: error: interrupted")
                self.assertEqual("the same command does the rest" in said, command not in ("ls", "check"), said)

    def test_terminal(self) -> None:
        """The bars are taken off a terminal, and its cursor is there again."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        try:
            self.interrupted("publish", "--store", "s3://bucket", self.source, "a", stderr=theirs)
        finally:
            os.close(theirs)
        said = b""
        try:
            while more := os.read(ours, 10_000):
                said += more
        except OSError:
            # What Linux says at the end.
            pass
        self.assertGreater(said.rfind(b"\x1b[?25h"), said.rfind(b"\x1b[?25l"), said)
        self.assertRegex(said.decode(), r"\rsdr: error: interrupted[^\n]+\n\Z")
