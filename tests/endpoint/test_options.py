"""Tests of the options of `twistd sdr`: on the command line, in the file, and what `--check-config` says of them."""

import contextlib
import io
import os
import re
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.config import COMMAND_LINE_ONLY, Kind
from sdr.endpoint.options import Options
from tests.endpoint.tls.authority import Authority
from tests.endpoint.whole import CDN, options

ROOT = Path(__file__).parents[2]
EVERY = sorted({*Options.known, *COMMAND_LINE_ONLY})


def ended(*arguments: str) -> tuple[object, str]:
    """Read a command line that ends the program, and return with what, and what was printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            options(*arguments)
        except SystemExit as end:
            return end.code, printed.getvalue()
    raise AssertionError("the program goes on")


class CommandLineTests(SynchronousTestCase):
    """The command line."""

    def test_defaults(self) -> None:
        """The defaults are those of the README; an option that is added is added here too."""
        self.assertEqual(
            dict(options("--cdn", CDN)),
            {
                "cdn": CDN,
                "store": None,
                "public-url": None,
                "listen": [],
                "poll": "30",
                "state-dir": None,
                "manifests": "redirect",
                "browse": 0,
                "access-log": None,
                "access-log-format": "combined",
                "v1-store": None,
                "v1-cdn": None,
                "tls": [],
                "tls-cert": None,
                "tls-key": None,
                "tls-dir": None,
                "tls-acme": None,
                "no-fast": 0,
                "http2": 0,
                "trusted-proxy": [],
                "admin": [],
                "ready-max-age": None,
                "drain": "30",
                "workers": "1",
                "max-connections": "4096",
                "max-connections-per-address": "256",
                "request-timeout": "20",
                "handshake-timeout": "10",
                "idle-timeout": "60",
                "write-timeout": "120",
                "max-request-line": "8192",
                "max-head": "16384",
                "max-headers": "100",
                "max-body": "1048576",
                "max-requests": "1000",
                "config": None,
                "check-config": 0,
            },
        )

    def test_repeatable(self) -> None:
        """Each --listen, --trusted-proxy and --admin adds one."""
        got = options(
            *("--cdn", CDN, "--listen", "tcp:1", "--listen", "2", "--trusted-proxy", "10.0.0.1"),
            *("--trusted-proxy", "unix", "--admin", "9090", "--admin", "unix:/run/sdr/admin"),
        ).settings
        self.assertEqual(got.listen, ("tcp:1", "2"))
        self.assertEqual((len(got.trusted.networks), got.trusted.unix), (1, True))
        assert got.admin is not None
        self.assertEqual(got.admin.listen, ("tcp:9090:interface=127.0.0.1", "unix:/run/sdr/admin"))

    def test_mistakes(self) -> None:
        """A mistake on the command line ends the program with one line and not with the usage."""
        for arguments in (
            (),
            ("--cdn",),
            ("--cdn", "cdn.example.com"),
            ("--nonsense",),
            ("--cdn", CDN, "extra"),
            ("--cdn", CDN, "--tls", "443"),
            ("--cdn", CDN, "--max-head", "1"),
            ("--cdn", CDN, "--trusted-proxy", "nobody"),
            ("--cdn", CDN, "--admin", "99999"),
            ("--config", "/no/such/file"),
        ):
            code, printed = ended(*arguments)
            self.assertTrue(str(code).startswith("sdr: "), arguments)
            self.assertNotIn("\n", str(code))
            self.assertEqual(printed, "")

    def test_help(self) -> None:
        """The help has every option, and the default of each that has one."""
        text = " ".join(str(Options()).split())
        for name in EVERY:
            self.assertRegex(text, rf"--{name}[ =]")
        for default in Options.default_values.values():
            self.assertIn(f"[default: {default}]", text)

    def test_documented(self) -> None:
        """Each option has a row in one of the README's tables about the endpoint, with its default if it has one."""
        text = (ROOT / "README.md").read_text().partition("## `twistd sdr`")[2].partition("\n## ")[0]
        rows = [row.strip("| ").split(" | ") for row in text.splitlines() if row.startswith("| `--")]
        said = {name: row for row in rows for name in re.findall(r"`--([a-z0-9-]+)[ `]", row[0])}
        self.assertEqual([name for name in EVERY if name not in said], [])
        self.assertEqual(sorted(set(said) - {*EVERY}), [])
        for name, default in Options.default_values.items():
            self.assertIn(default, said[name][1], name)

    def test_version(self) -> None:
        """--version tells sdr's version."""
        code, printed = ended("--version")
        self.assertEqual(code, 0)
        self.assertRegex(printed, r"\Asdr \d+\.\d+")


class FileTests(SynchronousTestCase):
    """The file of --config."""

    def setUp(self) -> None:
        """Choose one, in a directory with a tree and a certificate's place."""
        self.folder = Path(self.mktemp()).absolute()
        for name in ("tree", "state", "tls"):
            (self.folder / name).mkdir(parents=True)
        self.file = self.folder / "sdr.toml"

    def read(self, text: str, *arguments: str) -> Options:
        """Read a command line with a file."""
        self.file.write_text(text)
        return options("--config", str(self.file), *arguments)

    def test_every_option(self) -> None:
        """Every option can be in the file, and means what it means on the command line."""
        lines = {
            Kind.LIST: '["9090"]',
            Kind.NUMBER: "1",
            Kind.NUMBER_OR_AUTO: "1",
            Kind.FLAG: "true",
            Kind.PATH: '"x"',
            Kind.PLACE: '"./x"',
            Kind.TEXT: '"x"',
        }
        for name, kind in Options.known.items():
            self.file.write_text(f"{name} = {lines[kind]}\n")
            read = Options()
            with contextlib.suppress(SystemExit):
                read.parseOptions(["--config", str(self.file)])
            found = self.folder / "x"
            numbers = {Kind.NUMBER: "1", Kind.NUMBER_OR_AUTO: "1"}
            expected = {Kind.LIST: ["9090"], Kind.FLAG: True, Kind.TEXT: "x", **numbers}.get(kind, str(found))
            self.assertEqual(read[name], expected, name)

    def test_auto(self) -> None:
        """The number of workers may be auto, in the file too; other words are refused."""
        self.assertEqual(options("--cdn", CDN, "--workers", "auto").settings.workers, len(os.sched_getaffinity(0)))
        self.assertEqual(self.read(f'cdn = "{CDN}"\nworkers = "auto"')["workers"], "auto")
        self.assertEqual(self.read(f'cdn = "{CDN}"\nworkers = 3').settings.workers, 3)
        for wrong in ("0", "257", "many", "-1", "1.5"):
            with self.assertRaisesRegex(SystemExit, f"sdr: --workers {wrong}: "):
                options("--cdn", CDN, "--workers", wrong)
        with self.assertRaisesRegex(SystemExit, 'a number, or "auto"'):
            self.read(f'cdn = "{CDN}"\nworkers = "many"')

    def test_numbers(self) -> None:
        """Each option that is a number on the command line is one in the file."""
        numbers = {name for name, kind in Options.known.items() if kind is Kind.NUMBER}
        self.assertEqual(
            {name for name in Options.known if name in numbers},
            {
                *("poll", "drain", "ready-max-age", "max-connections", "max-connections-per-address"),
                *("request-timeout", "handshake-timeout", "idle-timeout", "write-timeout", "max-request-line"),
                *("max-head", "max-headers", "max-body", "max-requests"),
            },
        )

    def test_together(self) -> None:
        """The command line wins over the file, and the file over the defaults."""
        got = self.read(
            f'cdn = "{CDN}"\npoll = 60\ndrain = 5\nlisten = [81]\nbrowse = true\n', "--poll=10", "--listen=82"
        ).settings
        self.assertEqual((got.poll, got.drain, got.listen, got.browse), (10.0, 5.0, ("82",), True))
        self.assertEqual(got.limits.requests, 1000)

    def test_relative_paths(self) -> None:
        """A path in the file is taken from the file's directory, one on the command line from where that is."""
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.folder / "state")
        text = 'cdn = "./tree"\nstate-dir = "state"\naccess-log = "access.log"\n'
        got = self.read(text).settings
        self.assertEqual((got.cdn, got.state_dir), (str(self.folder / "tree"), str(self.folder / "state")))
        self.assertEqual(got.access_log, str(self.folder / "access.log"))
        got = self.read(text, "--state-dir=../tls", "--access-log=-").settings
        self.assertEqual((got.state_dir, got.access_log), (str(self.folder / "tls"), "-"))

    def test_relative_file(self) -> None:
        """The file itself may be named relatively, and is found again from anywhere."""
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        self.file.write_text(f'cdn = "{CDN}"\n')
        os.chdir(self.folder)
        got = options("--config", "sdr.toml")
        os.chdir("/")
        self.assertEqual(got.read_again(), got.first_values)

    def test_mistakes(self) -> None:
        """A mistake in the file ends the program with one line that names the file, and an option that was meant."""
        for text, said in (
            ("cnd = 1", f"{self.file}:1: there is no option cnd; did you mean cdn?"),
            ("cdn = 1", f"{self.file}:1: cdn is the number 1; it is a URL or a path"),
            (f'cdn = "{CDN}"\nbrowse = "yes"', f"{self.file}:2: browse is a text; it is true or false"),
            ("cdn = ", f"{self.file}:1: "),
            ("check-config = true", "command line only"),
            (f'cdn = "{CDN}"\npoll = 0', "--poll 0: it is a number of seconds"),
        ):
            error = self.assertRaises(SystemExit, self.read, text)
            self.assertTrue(str(error.code).startswith("sdr: "))
            self.assertIn(said, str(error.code))
            self.assertNotIn("\n", str(error.code))


class CheckTests(SynchronousTestCase):
    """--check-config."""

    def setUp(self) -> None:
        """Have a directory with certificates."""
        self.folder = Path(self.mktemp()).absolute()
        (self.folder / "tls").mkdir(parents=True)
        self.authority = Authority(time.time())
        self.certificate = self.authority.write(self.folder, "a", "a.example.com")

    def check(self, *arguments: str) -> tuple[object, str]:
        """Check a command line, which changes nothing, and return how it ends and what it prints."""
        before = sorted(self.folder.rglob("*"))
        found = ended("--cdn", CDN, "--check-config", *arguments)
        self.assertEqual(sorted(self.folder.rglob("*")), before)
        return found

    def test_well(self) -> None:
        """Where a start would succeed it says OK, whatever a start would need of the machine."""
        file = self.folder / "sdr.toml"
        file.write_text(f'access-log = "./access.log"\nstate-dir = "."\ntls-cert = "{self.certificate}"\ndrain = 1\n')
        for arguments in (
            (),
            ("--listen", "80", "--listen", "unix:/run/sdr.sock", "--listen", "systemd:"),
            ("--admin", "9090", "--admin", "systemd:name=admin"),
            ("--tls", "443", "--tls-cert", str(self.certificate), "--tls-key", str(self.certificate)),
            ("--tls", "443", "--tls", "systemd:name=tls", "--tls-dir", str(self.folder), "--http2"),
            ("--config", str(file), "--tls", "443", "--tls-key", str(self.certificate)),
        ):
            self.assertEqual(self.check(*arguments), (0, "OK\n"), arguments)

    def test_options(self) -> None:
        """A mistake in the options is told as a start tells it."""
        self.assertEqual(self.check("--poll", "0")[0], ended("--cdn", CDN, "--poll", "0")[0])
        self.assertEqual(
            self.check("--config", "/no/such/file")[0],
            "sdr: --config /no/such/file: it cannot be read: No such file or directory",
        )

    def test_certificates(self) -> None:
        """So is a certificate that cannot be used."""
        chain = self.authority.issue("b.example.com")[0]
        other = self.folder / "other.pem"
        other.write_bytes(self.authority.issue("c.example.com")[1])
        broken = self.folder / "broken.pem"
        broken.write_bytes(chain + b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n")
        pairs = (("--tls-cert", str(self.certificate), "--tls-key", str(other)), ("--tls-dir", str(self.folder)))
        for pair, file in zip(pairs, (other, broken), strict=True):
            code, printed = self.check("--tls", "443", *pair)
            self.assertTrue(str(code).startswith("sdr: "), code)
            self.assertIn(file.name, str(code))
            self.assertNotIn("\n", str(code))
            self.assertEqual(printed, "")
        self.assertIn("no certificate in it", str(self.check("--tls", "443", "--tls-dir", str(self.folder / "tls"))[0]))

    def test_all_at_once(self) -> None:
        """All that would be tripped over is told, a line for each."""
        code, _ = self.check(
            *("--listen", "nonsense:1", "--admin", "tcp:x", "--tls", "tcp", "--tls-dir", str(self.folder / "tls"))
        )
        lines = str(code).splitlines()
        self.assertEqual(len(lines), 4)
        for line in lines:
            self.assertTrue(line.startswith("sdr: "), line)
        for text in ("--listen nonsense:1: ", "--admin tcp:x: ", "--tls tcp: "):
            self.assertIn(text, str(code))
