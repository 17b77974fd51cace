"""A low port as an ordinary user: `twistd --uid` listens first, and becomes that user then."""

import os
import pwd
import re
import signal
import socket
import ssl
import time
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.endpoint.tls.authority import Authority
from tests.missing import missing
from tests.real.edge import listens
from tests.real.programs import Process, answers, fetch, folder, until
from tests.real.servers import twistd


def low_port() -> int:
    """Return a port of 127.0.0.1 that only root may listen on, and on which nothing does."""
    for port in range(1023, 511, -1):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    missing("every low port is taken")


def port_of_https() -> int:
    """Return 443, or another low port if something listens there."""
    return low_port() if listens(443) else 443


class _AsNobody(Process):
    """An endpoint that is started by root and is nobody's."""

    def __init__(self, *options: str, before: Sequence[str] = ()) -> None:
        self.port = low_port()
        self.tree, self.folder = folder(), folder()
        for each in (self.tree, self.folder):
            each.chmod(0o755)
        self.pidfile = self.folder / "pid"
        command = [*twistd(), "--nodaemon", f"--pidfile={self.pidfile}", "--uid=nobody", "--gid=nogroup"]
        listen = f"--listen=tcp:{self.port}:interface=127.0.0.1"
        super().__init__([*command, *before, "sdr", f"--cdn={self.tree}", listen, *options])

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

    def test_tls(self) -> None:
        """TLS on 443 with a key that only root can read is served by nobody.

        Its renewal cannot be, which is told in one line with the way out; once it can be read it is served.
        """
        authority, place = Authority(time.time()), folder()
        place.chmod(0o755)
        chain, key = place / "chain.pem", place / "key.pem"

        def renew() -> int:
            certificate, secret = authority.issue("registry.example.com")
            chain.write_bytes(certificate)
            key.write_bytes(secret)
            return x509.load_pem_x509_certificates(certificate)[0].serial_number

        first = renew()
        key.chmod(0o600)
        port = port_of_https()
        tls = [f"--tls=tcp:{port}:interface=127.0.0.1", f"--tls-cert={chain}", f"--tls-key={key}"]

        def served() -> int:
            shown = ssl.get_server_certificate(("127.0.0.1", port))
            return x509.load_pem_x509_certificate(shown.encode()).serial_number

        with _AsNobody(*tls) as endpoint:
            self.assertEqual(endpoint.ids()["Uid"], [pwd.getpwnam("nobody").pw_uid] * 4)
            self.assertEqual(served(), first)
            second = renew()
            endpoint.send(signal.SIGHUP)
            until(lambda: "it cannot be read" in endpoint.log(), "told")
            (line,) = (line for line in endpoint.log().splitlines() if "it cannot be read" in line)
            self.assertRegex(line, f"{key}: it cannot be read: Permission denied; let the user with id [0-9]+ read it")
            self.assertEqual(served(), first)
            key.chmod(0o644)
            until(lambda: served() == second, "the renewed certificate is served")
            self.assertEqual(endpoint.stop(), 0, endpoint.log())
            self.assertNotIn("Traceback", endpoint.log())

    def test_log_files(self) -> None:
        """Log files that root opened go on where nobody may not open new ones, which is told in one line each."""
        place = folder()
        place.chmod(0o755)
        log, access = place / "sdr.log", place / "access.log"
        with _AsNobody(f"--access-log={access}", before=[f"--logfile={log}"]) as endpoint:
            log.rename(place / "sdr.log.1")
            access.rename(place / "access.log.1")
            endpoint.send(signal.SIGUSR1)
            kept = place / "sdr.log.1"
            until(lambda: kept.read_text().count("cannot be opened anew: Permission denied") == 2, "told", seconds=10)
            before = (place / "access.log.1").stat().st_size
            fetch(f"http://127.0.0.1:{endpoint.port}/v2/")
            until(lambda: (place / "access.log.1").stat().st_size > before, "the access log goes on", seconds=10)
            self.assertEqual(endpoint.stop(), 0, endpoint.log())
        self.assertNotIn("Traceback", kept.read_text())
