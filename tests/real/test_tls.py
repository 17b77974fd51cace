"""TLS with the clients that people have: curl, OpenSSL's and Python's."""

import contextlib
import http.client
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from twisted.trial.unittest import TestCase

from tests.endpoint.tls.authority import Authority
from tests.missing import missing
from tests.real.edge import Watched, all_closed, listens
from tests.real.programs import DEADLINE, environment, folder, required, run, until

NAME = "registry.example.com"
REQUEST = f"GET /v2/ HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode()
#: What the answer has and nothing else says.
ANSWERED = "Docker-Distribution-Api-Version: registry/2.0"


class Served(Watched):
    """An endpoint that speaks TLS and nothing else to its clients, with the options of the test."""

    def __init__(self, *options: str, before: Sequence[str] = ()) -> None:
        tree = folder()
        tree.chmod(0o755)
        super().__init__(f"--cdn={tree}", *options, before=before)

    def listening(self) -> list[str]:
        """Return the options that say where it listens."""
        return [f"--tls=tcp:{self.port}:interface=127.0.0.1"]

    def ready(self) -> bool:
        """Tell whether it listens."""
        return listens(self.port)

    def handshakes(self) -> Counter[str]:
        """Return how the handshakes ended, by its own count, but those of the wait for the start."""
        counted: Counter[str] = Counter()
        for name, value in self.metrics().items():
            found = re.fullmatch(r'sdr_tls_handshake(?:s|_failures)_total\{(?:version|reason)="(.*)"\}', name)
            if found and value and found[1] != "silent":
                counted[found[1]] = int(value)
        return counted

    def plain(self) -> socket.socket:
        """Connect, and say nothing."""
        return socket.create_connection(("127.0.0.1", self.port), DEADLINE)


class TLSTests(TestCase):
    """The endpoint's TLS on a port of 127.0.0.1."""

    def setUp(self) -> None:
        """Make an authority and a certificate."""
        self.authority = Authority(time.time())
        self.folder = folder()
        self.root = self.folder / "root.crt"
        self.root.write_bytes(self.authority.root)
        self.cert, self.key = self.folder / "cert", self.folder / "key"
        self.renew()

    def renew(self, *more: str, days: float = 90) -> None:
        """Issue a certificate into the pair's files, with another name that tells it from the others."""
        chain, key = self.authority.issue(NAME, *more, days=days)
        self.cert.write_bytes(chain)
        self.key.write_bytes(key)

    def serving(self, *options: str, before: Sequence[str] = ()) -> Served:
        """Return an endpoint that is to serve the pair of files."""
        return Served(f"--tls-cert={self.cert}", f"--tls-key={self.key}", *options, before=before)

    def start(self, *options: str, before: Sequence[str] = ()) -> Served:
        """Serve the pair of files, and see at the end that nothing was a surprise."""
        served = self.serving(*options, before=before)
        served.start()
        self.addCleanup(self.ended, served)
        return served

    def ended(self, served: Served) -> None:
        """Stop it; no client may have left a connection open, or a traceback in the log."""
        all_closed(served)
        self.assertEqual(served.stop(), 0)
        for word in ("Traceback", "Unhandled", "[critical"):
            self.assertNotIn(word, served.log())

    def context(self) -> ssl.SSLContext:
        """Return what Python's client trusts."""
        return ssl.create_default_context(cafile=str(self.root))

    def counted(self, served: Served, ends: list[str]) -> None:
        """See that the handshakes ended so."""
        until(lambda: served.handshakes().total() >= len(ends), f"{ends}")
        self.assertEqual(served.handshakes(), Counter(ends))

    def shown(self, served: Served, name: str | None = NAME) -> list[str]:
        """Return the names in the certificate that a new connection is shown."""
        context = self.context()
        context.check_hostname = False
        with served.plain() as raw, context.wrap_socket(raw, server_hostname=name) as wrapped:
            certificate: Any = wrapped.getpeercert()
            return [listed for _, listed in certificate["subjectAltName"]]

    def s_client(self, served: Served, *options: str, ok: bool = True) -> str:
        """Let OpenSSL's client make a request, and return all that it says."""
        command = [required("openssl", "openssl"), "s_client", "-connect", f"127.0.0.1:{served.port}", "-ign_eof"]
        arguments = [*command, "-CAfile", str(self.root), "-verify_return_error", *options]
        done = subprocess.run(arguments, input=REQUEST, capture_output=True, timeout=DEADLINE, env=environment())
        said = (done.stdout + done.stderr).decode(errors="replace")
        self.assertEqual(ANSWERED in said, ok, said)
        return said

    def curl(self, served: Served, *options: str, url: str = "", ok: bool | None = True) -> str:
        """Let curl fetch the page."""
        resolve = f"{NAME}:{served.port}:127.0.0.1"
        url = url or f"https://{NAME}:{served.port}/v2/"
        program = required("curl", "curl")
        return run([program, "-sS", "--cacert", str(self.root), "--resolve", resolve, *options, url], ok=ok).stdout

    def test_curl(self) -> None:
        """Curl verifies the chain and the name, and is spoken to in HTTP/1.1 even where it would like HTTP/2."""
        served = self.start()
        version = ["-w", "%{http_version} %{ssl_verify_result}"]
        self.assertEqual(self.curl(served, "--http2", *version), "{}1.1 0")
        self.assertEqual(self.curl(served, "--tls-max", "1.2", *version), "{}1.1 0")
        self.counted(served, ["TLSv1.3", "TLSv1.2"])

    def test_untrusting_client(self) -> None:
        """A client that does not trust the authority is counted as such."""
        served = self.start()
        other = self.folder / "other.crt"
        other.write_bytes(Authority(time.time()).root)
        self.curl(served, "--cacert", str(other), ok=False)
        self.counted(served, ["certificate"])

    def test_server_names(self) -> None:
        """Each name of the directory has its certificate, wildcards too; all else has that of the pair."""
        directory = self.folder / "dir"
        directory.mkdir()
        self.authority.write(directory, "one", "one.example.com")
        self.authority.write(directory, "wild", "*.wild.example.com", "wild.example.com")
        served = self.start(f"--tls-dir={directory}")
        for name, shown in (
            ("one.example.com", "one.example.com"),
            ("a.wild.example.com", "*.wild.example.com"),
            ("wild.example.com", "*.wild.example.com"),
            (NAME, NAME),
            ("a.b.wild.example.com", NAME),
        ):
            said = self.s_client(served, "-servername", name)
            self.assertIn("Verify return code: 0 (ok)", said)
            certificate = self.folder / "shown"
            certificate.write_text(said)
            listed = run(["openssl", "x509", "-in", str(certificate), "-noout", "-ext", "subjectAltName"]).stdout
            self.assertIn(f"DNS:{shown}", listed)
        self.assertEqual(self.shown(served, None), [NAME])

    def test_versions(self) -> None:
        """TLS 1.1 is refused with the alert that says so; 1.2 and 1.3 are spoken, forward secret."""
        served = self.start()
        weak = ("-cipher", "DEFAULT@SECLEVEL=0")
        for version in ("-tls1", "-tls1_1"):
            self.assertIn("alert protocol version", self.s_client(served, version, *weak, ok=False))
        self.assertRegex(self.s_client(served, "-tls1_2"), r"Cipher is ECDHE-ECDSA-AES\d+-GCM-SHA\d+")
        self.assertIn("TLSv1.3, Cipher is TLS_", self.s_client(served, "-tls1_3"))
        self.assertIn("handshake failure", self.s_client(served, "-tls1_2", "-cipher", "AES128-SHA", ok=False))
        self.counted(served, ["version", "version", "TLSv1.2", "TLSv1.3", "cipher"])

    def test_resumption(self) -> None:
        """A client that comes back is let in by its ticket, in TLS 1.2 and 1.3."""
        served = self.start()
        for version in ("-tls1_2", "-tls1_3"):
            session = str(self.folder / f"session{version}")
            for name in ("-noservername", f"-servername={NAME}"):
                how = [version, *name.split("=")]
                self.assertIn("\nNew, TLSv1", self.s_client(served, *how, "-sess_out", session))
                self.assertIn("\nReused, TLSv1", self.s_client(served, *how, "-sess_in", session))

    def test_renegotiation(self) -> None:
        """A client cannot make the endpoint do the work of a handshake again on the same connection."""
        served = self.start()
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{served.port}", "-tls1_2"]
        done = subprocess.run(command, input=b"R\n", capture_output=True, timeout=DEADLINE, env=environment())
        self.assertIn(b"no renegotiation", done.stderr)

    def test_alpn(self) -> None:
        """What is spoken is told by ALPN; who speaks none of it is refused with the alert that says so."""
        served = self.start()
        self.assertIn("ALPN protocol: http/1.1", self.s_client(served, "-alpn", "h2,http/1.1"))
        self.assertIn("No ALPN negotiated", self.s_client(served))
        self.assertIn("alert no application protocol", self.s_client(served, "-alpn", "smtp", ok=False))

    def test_renewal(self) -> None:
        """Renewed files are served without a word to the endpoint, and no connection is lost over it."""
        served = self.start()
        kept = http.client.HTTPSConnection("127.0.0.1", served.port, context=self.context(), timeout=DEADLINE)
        kept._context.check_hostname = False  # type: ignore[attr-defined]

        def ask() -> bytes:
            kept.request("GET", "/v2/")
            return kept.getresponse().read()

        self.assertEqual(ask(), b"{}")
        same = kept.sock
        self.renew("new.example.com")

        def renewed() -> bool:
            self.assertEqual(ask(), b"{}")
            return "new.example.com" in self.shown(served)

        until(renewed, "renewed", step=0.1)
        self.assertEqual(ask(), b"{}")
        self.assertIs(kept.sock, same)
        kept.close()
        self.assertEqual(set(served.handshakes()), {"TLSv1.3"})
        self.assertIn(f"{self.cert} is served from now on: {NAME}, new.example.com", served.log())

    def test_renewals_under_load(self) -> None:
        """No handshake fails while certificates are renewed again and again."""
        directory = self.folder / "dir"
        directory.mkdir()
        self.authority.write(directory, "one", "one.example.com")
        served = self.start(f"--tls-dir={directory}")
        renewals = 20

        def handshakes(name: str) -> set[str]:
            seen: set[str] = set()
            while not over.is_set():
                seen.update(self.shown(served, name))
            return seen

        over = threading.Event()
        with ThreadPoolExecutor(4) as threads:
            clients = [threads.submit(handshakes, name) for name in (NAME, "one.example.com", "other", NAME)]
            try:
                for number in range(renewals):
                    self.renew(f"renewal-{number}.example.com")
                    self.authority.write(directory, "one", "one.example.com", f"renewal-{number}.example.com")
                    served.send(signal.SIGHUP)
                    last = f"renewal-{number}.example.com"
                    until(lambda last=last: last in self.shown(served), last)  # type: ignore[misc]
            finally:
                over.set()
            seen = set().union(*(client.result(DEADLINE) for client in clients))
        self.assertIn(f"renewal-{renewals // 2}.example.com", seen)
        self.assertEqual(set(served.handshakes()), {"TLSv1.3"})

    def test_sighup(self) -> None:
        """On SIGHUP the files are read at once."""
        served = self.start()
        self.renew("new.example.com")
        served.send(signal.SIGHUP)
        until(lambda: "new.example.com" in self.shown(served), "renewed", seconds=2.5, step=0.02)

    def test_bad_files(self) -> None:
        """Files that cannot be used are one line in the log, and what was served is served until they are mended."""
        served = self.start()
        self.key.write_bytes(self.authority.issue(NAME)[1])
        for said in ("its key is not that of", "it expired on", "no certificate in it"):
            served.send(signal.SIGHUP)
            until(lambda said=said: said in served.log(), said)  # type: ignore[misc]
            self.assertEqual(self.shown(served), [NAME])
            if said.startswith("its key"):
                self.renew("expired.example.com", days=-0.5)
            else:
                self.cert.write_text("")
        served.send(signal.SIGHUP)
        time.sleep(1)
        self.assertEqual(len(re.findall("the endpoint goes on with what it has", served.log())), 3)
        self.renew("mended.example.com")
        until(lambda: "mended.example.com" in self.shown(served), "mended", step=0.2)

    def test_start(self) -> None:
        """What cannot be used ends the start with one line; what has expired is served, and the log says so."""
        good = self.cert.read_bytes()
        self.cert.write_text("nonsense")
        refused = run(self.serving().arguments, ok=False)
        self.assertRegex(refused.stderr, r"\Asdr: \S+/cert: there is no certificate in it;[^\n]+\n\Z")
        self.cert.write_bytes(good)
        self.renew(days=-0.5)
        served = self.start()
        self.assertIn("certificate has expired", self.s_client(served, ok=False))
        self.assertRegex(served.log(), r"cert: it expired on \S+ \S+ UTC, so clients refuse it; renew it")

    def test_handshake_deadline(self) -> None:
        """A client that connects and says nothing, or little, is cut off."""
        served = self.start("--handshake-timeout=1")
        for said in (b"", b"\x16\x03\x01\x02"):
            began = time.monotonic()
            with served.plain() as raw:
                raw.sendall(said)
                with contextlib.suppress(ConnectionResetError):
                    self.assertEqual(raw.recv(100), b"")
            self.assertLess(abs(time.monotonic() - began - 1), 0.8)
        self.counted(served, ["timeout", "timeout"])

    def test_plain_http(self) -> None:
        """HTTP spoken to the port is told so, as by nginx."""
        served = self.start()
        said = self.curl(served, "-w", "%{http_code}", url=f"http://127.0.0.1:{served.port}/v2/")
        self.assertEqual(said, "This port speaks TLS: the URL begins with https://\n400")
        self.counted(served, ["plain_http"])

    def test_strangers(self) -> None:
        """Whatever is said to the port, nothing is left in the log, and the next client is served."""
        served = self.start()
        hello = ssl.MemoryBIO()
        client = self.context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname=NAME)
        self.assertRaises(ssl.SSLWantReadError, client.do_handshake)
        whole = hello.read()
        for said in (
            b"\0" * 1000,
            b"SSH-2.0-OpenSSH\r\n",
            whole[:100],
            whole,
            whole + b"x" * 500,
            whole[:-40] + b"\xff" * 40,
        ):
            with served.plain() as raw:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # leaves with a reset
                raw.sendall(said)
        until(lambda: served.handshakes().total() >= 6, "counted")
        self.assertEqual(self.curl(served), "{}")

    def test_privileges(self) -> None:
        """A key that only root can read serves after privileges are dropped; that its renewal will not is told."""
        if os.geteuid() != 0:
            missing("dropping privileges needs root")
        self.folder.chmod(0o755)
        self.key.chmod(0o600)
        served = self.start(before=["--uid=65534"])
        served.send(signal.SIGHUP)
        said = f"{self.key}: it cannot be read: Permission denied; let the user with id 65534 read it"
        until(lambda: said in served.log(), said)
        self.assertEqual(self.shown(served), [NAME])
        self.key.chmod(0o644)
        self.renew("readable.example.com")
        until(lambda: "readable.example.com" in self.shown(served), "renewed", step=0.2)
