"""A low port as an ordinary user: `twistd --uid` listens first, and becomes that user then."""

import os
import pwd
import re
import signal
import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.missing import missing
from tests.real.programs import Process, answers, fetch, folder
from tests.real.servers import twistd


def low_port() -> int:
    """Return a port of 127.0.0.1 that only root may listen on, and on which nothing does."""
    for port in range(1023, 511, -1):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    missing("every low port is taken")


class _AsNobody(Process):
    """An endpoint that is started by root and is nobody's."""

    def __init__(self, *options: str) -> None:
        self.port = low_port()
        self.tree, self.folder = folder(), folder()
        for each in (self.tree, self.folder):
            each.chmod(0o755)
        self.pidfile = self.folder / "pid"
        command = [*twistd(), "--nodaemon", f"--pidfile={self.pidfile}", "--uid=nobody", "--gid=nogroup"]
        listen = f"--listen=tcp:{self.port}:interface=127.0.0.1"
        super().__init__([*command, "sdr", f"--cdn={self.tree}", listen, *options])

    def ready(self) -> bool:
        """Tell whether it answers."""
        return answers(f"http://127.0.0.1:{self.port}/v2/")

    def ids(self) -> dict[str, list[int]]:
        """Return the users and groups of its process, as the kernel has them."""
        status = Path(f"/proc/{self.pidfile.read_text()}/status").read_text()
        found = re.findall(r"(?m)^(Uid|Gid|Groups):(.*)$", status)
        return {name: [int(number) for number in numbers.split()] for name, numbers in found}


class PrivilegeTests(SynchronousTestCase):
    """An endpoint on a port below 1024."""

    def setUp(self) -> None:
        """Be root, where that is what it takes."""
        if os.geteuid() != 0:
            missing("a low port needs root")

    def test_answers_as_nobody(self) -> None:
        """It listens on a low port, and every question is answered by nobody: a user that has no way back."""
        nobody = pwd.getpwnam("nobody")
        with _AsNobody() as endpoint:
            ids = endpoint.ids()
            self.assertEqual(ids["Uid"], [nobody.pw_uid] * 4)
            self.assertEqual(ids["Gid"], [nobody.pw_gid] * 4)
            self.assertNotIn(0, ids["Groups"])
            self.assertEqual(fetch(f"http://127.0.0.1:{endpoint.port}/v2/").status, 200)

    def test_signals(self) -> None:
        """Signals mean the same afterwards: it goes on after SIGHUP, and ends with 0."""
        with _AsNobody() as endpoint:
            endpoint.send(signal.SIGHUP)
            self.assertTrue(endpoint.ready())
            self.assertEqual(endpoint.stop(), 0, endpoint.log())
            self.assertNotIn("Traceback", endpoint.log())
