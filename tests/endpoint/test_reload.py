"""Tests of SIGHUP through the whole endpoint: what of a changed file it takes on while it runs."""

import os
import signal
import time
from pathlib import Path

from twisted.logger import LogLevel, capturedLogs, formatEvent

from sdr.catalog.v1_store import REQUEST_SECONDS
from sdr.tree.keys import LISTS_KEY
from tests.endpoint.tls.authority import Authority
from tests.endpoint.trees import DIGEST, NAME, write_tree
from tests.endpoint.whole import ADMIN_PORT, WholeCase

OTHER = "https://other.example.com"


class ReloadCase(WholeCase):
    """An endpoint that was started with a file."""

    def setUp(self) -> None:
        """Have a file."""
        super().setUp()
        self.file = Path(self.mktemp()).absolute()
        self.first = (
            f'cdn = "https://cdn.example.com"\nstore = "{self.tree}"\npublic-url = "https://registry.example.com"\n'
            f"admin = [{ADMIN_PORT}]\nready-max-age = 600\n"
        )

    def begin(self, text: str, *arguments: str) -> None:
        """Start with the file."""
        self.file.write_text(text)
        self.start_as("--config", str(self.file), *arguments)

    def reload(self, text: str | None = None) -> list[str]:
        """Change the file, send the signal, and return what is said of it."""
        if text is not None:
            self.file.write_text(text)
        with capturedLogs() as captured:
            os.kill(os.getpid(), signal.SIGHUP)
            self.reactor.advance(0)
        return [formatEvent(event) for event in captured if event["log_level"] is not LogLevel.debug]

    def location(self, path: str = f"/v2/{NAME}/blobs/{DIGEST}") -> str | None:
        """Return where a request is redirected."""
        return self.ask(path).headers.get("location")


class ReloadTests(ReloadCase):
    """What is taken on."""

    def test_nothing_changed(self) -> None:
        """A file that says the same as before, in other words too, changes nothing, and nothing is said."""
        self.begin(self.first)
        self.assertEqual(self.reload(), [])
        self.assertEqual(self.reload(f"# a word\nbrowse = false\n{self.first}"), [])

    def test_live(self) -> None:
        """Where clients are sent, and what they are shown, is another at once; metrics know the new CDN."""
        self.begin(self.first)
        self.assertTrue(str(self.location()).startswith("https://cdn.example.com/"))
        self.assertEqual(self.ask("/v2/_catalog").status, 404)
        text = self.first.replace("https://cdn.example.com", OTHER).replace("registry.", "public.")
        lines = self.reload(f"{text}browse = true\n".replace("600", "60"))
        self.assertEqual(lines, ["changed: browse, cdn, public-url, ready-max-age"])
        self.assertTrue(str(self.location()).startswith(f"{OTHER}/"))
        self.assertEqual(self.ask("/v2/_catalog").status, 200)
        self.assertEqual(self.metric("sdr_redirects_total", cdn="cdn.example.com"), 1)
        self.assertEqual(self.metric("sdr_redirects_total", cdn="other.example.com"), 1)
        hosts = self.ask("/hosts", port=ADMIN_PORT).body
        self.assertEqual(hosts, b"public.example.com\nother.example.com\n")

    def test_ready_max_age(self) -> None:
        """Another age counts at once."""
        self.begin(self.first)
        (self.tree / LISTS_KEY).write_bytes(b"[]")
        self.reactor.pump([30.0] * 4)
        self.assertEqual(self.ask("/readyz", port=ADMIN_PORT).status, 200)
        self.reload(self.first.replace("600", "60"))
        self.assertEqual(self.ask("/readyz", port=ADMIN_PORT).status, 503)

    def test_old_cdn(self) -> None:
        """Another CDN of the old store is taken on."""
        old = f'{self.first}v1-store = "http://192.0.2.7/registry"\nv1-cdn = "https://old.example.com"\n'
        self.begin(old)
        layer = f"/v1/images/{'0123456789abcdef' * 4}/layer"
        # Nothing answers there, so it cannot be seen whether it has the image.
        self.connect()[0].dataReceived(f"GET {layer} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.reactor.advance(REQUEST_SECONDS)
        self.assertTrue(str(self.location(layer)).startswith("https://old.example.com/"))
        self.assertEqual(self.reload(old.replace("https://old.example.com", OTHER)), ["changed: v1-cdn"])
        self.assertTrue(str(self.location(layer)).startswith(f"{OTHER}/"))

    def test_drain(self) -> None:
        """Another time for draining counts at the end."""
        self.begin(self.first)
        self.assertEqual(self.reload(f"{self.first}drain = 5\n"), ["changed: drain"])
        self.reactor.begin()
        self.connect()[0].dataReceived(b"GET /v2/ HTTP/1.1\r\n")
        with capturedLogs() as captured:
            os.kill(os.getpid(), signal.SIGTERM)
        self.assertIn("draining for at most 5 seconds", formatEvent(captured[0]))

    def test_restart(self) -> None:
        """What is built into the parts is named, at each signal, and stays as it was."""
        self.begin(self.first)
        text = f'{self.first}poll = 10\nmanifests = "inline"\nbrowse = true\n'
        self.assertEqual(self.reload(text), ["changed: browse", "needs a restart: manifests, poll"])
        self.assertEqual(self.reload(), ["needs a restart: manifests, poll"])
        self.assertEqual(self.ask(f"/v2/{NAME}/manifests/1.0").status, 307)

    def test_admin_later(self) -> None:
        """An admin listener comes with a restart, and with it what is for it only."""
        plain = self.first.partition("\nadmin")[0] + "\n"
        self.begin(plain)
        self.assertEqual(self.reload(self.first), ["needs a restart: admin, ready-max-age"])

    def test_cdn_that_serves_the_catalog(self) -> None:
        """A CDN from which the catalog is polled, too, comes with a restart."""
        text = 'cdn = "https://cdn.example.com"\n'
        self.begin(text)
        self.assertEqual(self.reload(text.replace("https://cdn.example.com", OTHER)), ["needs a restart: cdn"])

    def test_command_line_wins(self) -> None:
        """What the command line says stays, whatever the file says."""
        self.begin(self.first, "--cdn", OTHER)
        self.assertEqual(self.reload(self.first.replace("https://cdn.example.com", "https://third.example.com")), [])
        self.assertTrue(str(self.location()).startswith(f"{OTHER}/"))

    def test_bad_file(self) -> None:
        """A file with any mistake changes nothing, and what is wrong with it is said in one line."""
        self.begin(self.first)
        changed = self.first.replace("https://cdn.example.com", OTHER)
        for text, said in (
            (f"{changed}brows = true\n", "did you mean browse?"),
            (f"{changed}poll = 0\n", "--poll 0: it is a number of seconds"),
            (f"{changed}tls = [443]\n", "there is no certificate"),
            (f"{changed}poll =\n", "it is read as TOML"),
        ):
            (line,) = self.reload(text)
            self.assertTrue(line.startswith("the configuration is as before, nothing of the new one is used: "), line)
            self.assertIn(said, line)
            self.assertTrue(str(self.location()).startswith("https://cdn.example.com/"))
        self.file.unlink()
        self.assertEqual(len(self.reload()), 1)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(self.reload(changed), ["changed: cdn"])

    def test_old_and_new_do_not_go_together(self) -> None:
        """New values that would do with others that wait for a restart, and not without them, change nothing."""
        self.begin(self.first)
        text = self.first.replace("https://cdn.example.com", "http://localhost:5000")
        (line,) = self.reload(f"{text}listen = [5001]\n")
        self.assertIn("it is the endpoint's own address", line)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertTrue(str(self.location()).startswith("https://cdn.example.com/"))

    def test_access_log_without_privileges(self) -> None:
        """An access log that is open, and could not be opened now, does not keep other options from being taken on."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        text = f'{self.first}access-log = "{folder}/log"\n'
        self.begin(text)
        (folder / "log").unlink()
        folder.rmdir()
        self.assertEqual(self.reload(f"{text}browse = true\n"), ["changed: browse"])
        (line,) = self.reload(text.replace("/log", "/other"))
        self.assertIn("--access-log", line)

    def test_without_a_file(self) -> None:
        """Without a file it is the catalog alone that is read again."""
        self.start()
        self.assertEqual(self.reload(), [])
        write_tree(self.tree, "acme/other")
        self.assertEqual([line.partition(";")[0] for line in self.reload()], ["the catalog has changed"])


class CertificateTests(ReloadCase):
    """Certificates."""

    def test_renewed(self) -> None:
        """A renewed certificate is read at once, and shown from the next handshake on."""
        self.reactor.rightNow = time.time()
        authority, folder = Authority(time.time()), Path(self.mktemp()).absolute()
        folder.mkdir()
        authority.write(folder, "default", "r.example.com")
        self.begin(f'{self.first}tls = [8443]\ntls-dir = "{folder}"\n')
        authority.write(folder, "default", "s.example.com", days=30)
        lines = self.reload()
        self.assertEqual(len(lines), 1)
        self.assertIn("is served from now on: s.example.com", lines[0])
        expiry = self.metric("sdr_certificate_expiry_timestamp_seconds", file=str(folder / "default.pem"))
        assert expiry is not None
        self.assertLess(abs(expiry - time.time() - 30 * 86400), 60)
        (folder / "default.pem").write_bytes(b"nothing")
        (line,) = self.reload()
        self.assertIn("the endpoint goes on with what it has", line)
