"""The life of a running endpoint: signals, the configuration, log files that are moved away, logs as JSON."""

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.real.edge import BigTree, Watched
from tests.real.programs import fetch, folder, free_port, required, run, until
from tests.real.pulling import SINGLE, published
from tests.real.servers import twistd


def asked(endpoint: Watched, name: str) -> None:
    """Make a request that the access log tells from others."""
    assert fetch(f"{endpoint.url}/v2/", User_Agent=name).status == 200


class ConfigurationTests(SynchronousTestCase):
    """`--config`, and SIGHUP."""

    def setUp(self) -> None:
        """Start with a file."""
        self.file = folder() / "sdr.toml"
        self.write()
        self.endpoint = Watched(f"--config={self.file}").start()
        self.addCleanup(self.endpoint.stop)
        until(lambda: "the catalog is loaded" in self.endpoint.log(), "the first poll", seconds=10)

    def write(self, more: str = "", cdn: str = "https://one.example.com") -> None:
        """Write the file."""
        self.file.write_text(f'cdn = "{cdn}"\nstore = "{published()}"\npoll = 0.5\n{more}')

    def hangs_up(self, said: str) -> None:
        """Send SIGHUP, and wait for what the log says."""
        before = self.endpoint.log().count(said)
        self.endpoint.send(signal.SIGHUP)
        until(lambda: self.endpoint.log().count(said) > before, said, seconds=10)

    def redirected(self) -> str:
        """Return where a pull is led to."""
        return str(fetch(f"{self.endpoint.url}/v2/{SINGLE}/manifests/1.0").headers["Location"])

    def test_new_values(self) -> None:
        """SIGHUP takes on what can be taken on, and names what needs a restart."""
        self.assertTrue(self.redirected().startswith("https://one.example.com/v2/"))
        self.assertEqual(fetch(f"{self.endpoint.url}/v2/_catalog").status, 404)
        self.write("browse = true\nidle-timeout = 5\n", "https://two.example.com")
        self.hangs_up("changed: browse, cdn")
        self.assertTrue(self.redirected().startswith("https://two.example.com/v2/"))
        self.assertEqual(fetch(f"{self.endpoint.url}/v2/_catalog").status, 200)
        self.assertIn("needs a restart: idle-timeout", self.endpoint.log())
        self.assertIn("two.example.com", self.endpoint.admin("hosts").body.decode())
        self.assertIn('sdr_redirects_total{cdn="two.example.com"} 1.0', self.endpoint.admin("metrics").body.decode())

    def test_bad_files(self) -> None:
        """A file that cannot be used changes nothing, and the log says in one line why."""
        for text, said in (
            ('cdnn = "https://two.example.com"', "there is no option cdnn; did you mean cdn?"),
            ("browse = maybe", ":4: "),
            ('drain = "long"', "drain is a text; it is a number: drain = 30"),
        ):
            self.write(text)
            before = len(self.endpoint.log())
            self.hangs_up("the configuration is as before, nothing of the new one is used")
            lines = self.endpoint.log()[before:].splitlines()
            self.assertEqual([line for line in lines if "as before" in line and said in line], lines[:1], lines)
            self.assertTrue(self.redirected().startswith("https://one.example.com/"))
        self.file.unlink()
        self.hangs_up("it cannot be read: No such file or directory")
        self.write("", "https://three.example.com")
        self.hangs_up("changed: cdn")
        self.assertTrue(self.redirected().startswith("https://three.example.com/"))
        self.assertNotIn("Traceback", self.endpoint.log())

    def test_check(self) -> None:
        """`--check-config` says OK, or why not, as the start would; the command line wins."""
        command = [*twistd(), "-n", "sdr", f"--config={self.file}", "--check-config"]
        self.assertEqual(run(command).stdout, "OK\n")
        self.write('drain = "long"')
        said = run(command, ok=False).stderr
        self.assertEqual(said, f"sdr: {self.file}:4: drain is a text; it is a number: drain = 30\n")
        self.write("drain = 5\nlisten = [99999]")
        self.assertEqual(run(command, ok=False).stderr, "sdr: --listen 99999: a port is a number up to 65535\n")
        self.assertEqual(run([*command, "--listen=5000"]).stdout, "OK\n")


class LogFileTests(SynchronousTestCase):
    """Log files that are moved away, as logrotate does it."""

    def setUp(self) -> None:
        """Start with log files."""
        self.folder = folder()
        self.access, self.log = self.folder / "access.log", self.folder / "sdr.log"

    def start(self, *before: str) -> Watched:
        """Start it."""
        endpoint = Watched(f"--cdn={folder()}", f"--access-log={self.access}", before=before).start()
        self.addCleanup(endpoint.stop)
        return endpoint

    def test_access_log(self) -> None:
        """After SIGUSR1 the access log goes on in a new file, and no line of it is lost."""
        endpoint = self.start()
        asked(endpoint, "first")
        self.access.rename(self.folder / "access.log.1")
        asked(endpoint, "second")
        endpoint.send(signal.SIGUSR1)
        until(self.access.exists, "a new file", seconds=10)
        asked(endpoint, "third")
        old, new = (self.folder / "access.log.1").read_text(), self.access.read_text()
        self.assertEqual(['"first"' in old, '"second"' in old, '"third"' in old], [True, True, False])
        self.assertEqual(['"second"' in new, '"third"' in new], [False, True])

    def rotated(self, endpoint: Watched) -> None:
        """Let the endpoint say something that its log has."""
        endpoint.send(signal.SIGUSR1)
        self.goes_on()

    def goes_on(self) -> None:
        """Wait until the new files are there, and written to."""

        def said() -> bool:
            there = self.access.exists() and self.log.exists()
            return there and "opened anew" in self.log.read_text()

        until(said, "said in the new file", seconds=10)

    def test_twistds_log(self) -> None:
        """So does the log of `twistd --logfile`: moved away, it is opened anew; nothing else is renamed."""
        endpoint = self.start(f"--logfile={self.log}")
        until(lambda: "no catalog" in self.log.read_text(), "the first poll", seconds=10)
        for number in (1, 2):
            moved = self.folder / f"sdr.log-{number}"
            self.log.rename(moved)
            self.access.rename(self.folder / f"access.log-{number}")
            before = moved.read_text()
            self.rotated(endpoint)
            self.assertEqual(moved.read_text(), before)
        names = {"access.log", "access.log-1", "access.log-2", "sdr.log", "sdr.log-1", "sdr.log-2"}
        self.assertEqual({path.name for path in self.folder.iterdir()}, names)
        self.assertEqual(endpoint.stop(), 0)
        self.assertIn("Server Shut Down", self.log.read_text())
        self.assertNotIn("Traceback", self.log.read_text())

    def test_created(self) -> None:
        """An empty file that was put in its place (logrotate's `create`) is written to."""
        endpoint = self.start(f"--logfile={self.log}")
        self.log.rename(self.folder / "sdr.log.1")
        self.log.touch(0o640)
        self.access.unlink()
        self.rotated(endpoint)
        self.assertIn("starting up", (self.folder / "sdr.log.1").read_text())
        self.assertFalse((self.folder / "sdr.log.2").exists())

    def test_nothing_was_moved(self) -> None:
        """A log that is where it was is rotated by twistd itself, as ever."""
        endpoint = self.start(f"--logfile={self.log}")
        self.access.unlink()
        self.rotated(endpoint)
        self.assertIn("starting up", (self.folder / "sdr.log.1").read_text())

    def test_logrotate(self) -> None:
        """Logrotate itself, with the lines of the documentation."""
        program = required("logrotate", "logrotate")
        endpoint = self.start(f"--logfile={self.log}")
        asked(endpoint, "before")
        lines = ("rotate 2", "missingok", "sharedscripts", "postrotate", f"kill -USR1 {endpoint.pid}", "endscript")
        configuration = self.folder / "logrotate.conf"
        configuration.write_text("".join([f"{self.folder}/*.log {{\n", *(f"  {line}\n" for line in lines), "}\n"]))
        configuration.chmod(0o644)
        run([program, "--force", "--state", str(self.folder / "state"), str(configuration)])
        self.goes_on()
        asked(endpoint, "after")
        self.assertIn('"before"', (self.folder / "access.log.1").read_text())
        self.assertIn('"after"', self.access.read_text())
        self.assertFalse((self.folder / "sdr.log.2").exists())


class JSONTests(SynchronousTestCase):
    """The log as JSON."""

    def lines(self, text: str) -> list[dict[str, Any]]:
        """Read every line."""
        return [json.loads(line) for line in text.splitlines()]

    def test_twistd(self) -> None:
        """Each line is an object: at the start, at a reload, when something fails, at the end."""
        tree = folder()
        file = folder() / "sdr.toml"
        file.write_text("nonsense")
        file.write_text(f'cdn = "{tree}"\n')
        before = ["--logger=sdr.endpoint.logs.json_lines"]
        with Watched(f"--config={file}", "--poll=0.2", before=before) as endpoint:
            file.write_text("nonsense")
            endpoint.send(signal.SIGHUP)
            until(lambda: "as before" in endpoint.log(), "said", seconds=10)
            (tree / "v2").write_text("no directory")
            until(lambda: "cannot be" in endpoint.log() or "poll" in endpoint.log(), "a poll failed", seconds=10)
        lines = self.lines(endpoint.log())
        for line in lines:
            self.assertLessEqual({"time", "level", "namespace", "message"}, line.keys())
        messages = [line["message"] for line in lines]
        self.assertTrue(any(message.startswith("listening on 127.0.0.1:") for message in messages), messages)
        self.assertIn("error", [line["level"] for line in lines])
        self.assertIn("Server Shut Down.", messages)

    def test_failure(self) -> None:
        """A failure is one line, too, with its traceback in it."""
        big = BigTree()
        with Watched(f"--cdn={big.folder}", before=["--logger=sdr.endpoint.logs.json_lines"]) as endpoint:
            client = big.begin(endpoint.port)
            os.truncate(big.file, 1000)
            with contextlib.suppress(ConnectionResetError):
                self.assertLess(len(big.finish(client)), len(big.content))
            client.socket.close()
        (line,) = (line for line in self.lines(endpoint.log()) if "traceback" in line)
        self.assertEqual((line["level"], line["message"]), ("critical", f"cannot serve {big.key}"))
        self.assertIn("OSError: the file is shorter than it was", line["traceback"])

    def test_twist(self) -> None:
        """Twisted's other runner has a format of its own for it."""
        port = free_port()
        program = str(Path(twistd()[0]).with_name("twist"))
        endpoint = Watched(f"--cdn={folder()}", port=port)
        endpoint.arguments = [
            program, "--log-format=json", "sdr", f"--cdn={folder()}", f"--listen=tcp:{port}:interface=127.0.0.1",
        ]  # fmt: skip
        with endpoint:
            pass
        # RFC 7464: each text begins with a record separator.
        events = [json.loads(text) for text in endpoint.log().split("\x1e") if text.strip()]
        self.assertTrue(any("greeting" in event for event in events), endpoint.log())
