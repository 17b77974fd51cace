"""Tests of the file of `--config`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.python.usage import Options
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.config import BadConfig, Kind, Value, merged, read_config, split_defaults

FILE = "/etc/sdr/sdr.toml"
KNOWN = {
    "cdn": Kind.PLACE,
    "store": Kind.PLACE,
    "public-url": Kind.TEXT,
    "poll": Kind.NUMBER,
    "browse": Kind.FLAG,
    "listen": Kind.LIST,
    "tls": Kind.LIST,
    "state-dir": Kind.PATH,
    "access-log": Kind.PATH,
}


def read(text: str) -> dict[str, Value]:
    """Read a file's text."""
    return read_config(text.encode(), KNOWN, FILE)


class ReadTests(SynchronousTestCase):
    """What is in the file."""

    def test_every_kind(self) -> None:
        """Values have the form in which the command line gives them."""
        text = (
            'cdn = "https://cdn.example.com"\npublic-url = "https://r.example.com"\npoll = 2.5\nbrowse = true\n'
            'listen = ["tcp:5000", "unix:/run/sdr.sock"]\ntls = [443]\nstate-dir = "/var/lib/sdr"\n'
        )
        self.assertEqual(
            read(text),
            {
                "cdn": "https://cdn.example.com",
                "public-url": "https://r.example.com",
                "poll": "2.5",
                "browse": True,
                "listen": ("tcp:5000", "unix:/run/sdr.sock"),
                "tls": ("443",),
                "state-dir": "/var/lib/sdr",
            },
        )

    def test_nothing(self) -> None:
        """An empty file is a good one, and so is one that begins with a byte order mark."""
        self.assertEqual(read(""), {})
        self.assertEqual(read("\ufeffbrowse = false"), {"browse": False})

    def test_relative_paths(self) -> None:
        """Relative paths are taken from the file's own directory; standard output is none."""
        self.assertEqual(
            read('store = "./tree"\nstate-dir = "../lib"\naccess-log = "-"'),
            {"store": "/etc/sdr/tree", "state-dir": "/etc/lib", "access-log": "-"},
        )
        self.assertEqual(read('access-log = "access.log"'), {"access-log": "/etc/sdr/access.log"})
        self.assertEqual(read('store = "file:///srv/tree"'), {"store": "file:///srv/tree"})

    def test_mistakes(self) -> None:
        """Each mistake is one line with the file, the line, the key and the way out."""
        for text, line in (
            ('\nbrows = true\ncdn = "x"', "/etc/sdr/sdr.toml:2: there is no option brows; did you mean browse?"),
            ("public_url = 1", "/etc/sdr/sdr.toml:1: there is no option public_url; did you mean public-url?"),
            ("--poll = 1", "/etc/sdr/sdr.toml:1: there is no option --poll; did you mean poll?"),
            ("zzz = 1", "/etc/sdr/sdr.toml:1: there is no option zzz; twistd sdr --help has all of them"),
            ("[tls]\ncert = 1", '/etc/sdr/sdr.toml:1: tls is a table; it is a list: tls = ["…", "…"]'),
            ('config = "x"', "/etc/sdr/sdr.toml:1: config is for the command line only"),
            ("check_config = true", "/etc/sdr/sdr.toml:1: check_config is for the command line only"),
            ('poll = "30"', "/etc/sdr/sdr.toml:1: poll is a text; it is a number: poll = 30"),
            ("poll = true", "/etc/sdr/sdr.toml:1: poll is true; it is a number: poll = 30"),
            ("browse = 1", "/etc/sdr/sdr.toml:1: browse is the number 1; it is true or false: browse = true"),
            ('listen = "tcp:1"', '/etc/sdr/sdr.toml:1: listen is a text; it is a list: listen = ["…", "…"]'),
            (
                "listen = [1.5]",
                '/etc/sdr/sdr.toml:1: listen has the number 1.5 in it; it is a list: listen = ["…", "…"]',
            ),
            ("cdn = 2020-01-01", '/etc/sdr/sdr.toml:1: cdn is a time; it is a URL or a path: cdn = "https://…"'),
            (
                'cdn = "cdn.example.com"',
                "/etc/sdr/sdr.toml:1: cdn is cdn.example.com;"
                " a URL begins with https:// or http://, a directory with / or ./",
            ),
            (
                "browse = true\npoll = = 3",
                "/etc/sdr/sdr.toml:2: Invalid value (column 8); it is read as TOML",
            ),
            ('cdn = "x', "/etc/sdr/sdr.toml:1: Unterminated string at the end of the file; it is read as TOML"),
            ("browse = true\nbrowse = true", "/etc/sdr/sdr.toml:2: Cannot overwrite a value"),
        ):
            error = self.assertRaises(BadConfig, read, text)
            self.assertTrue(str(error).startswith(line), f"{error} != {line}")
            self.assertNotIn("\n", str(error))

    def test_not_utf8(self) -> None:
        """A file in another encoding is named with its line."""
        error = self.assertRaises(BadConfig, read_config, b"browse = true\n# caf\xe9", KNOWN, FILE)
        self.assertEqual(str(error), "/etc/sdr/sdr.toml:2: it is not UTF-8; save it as such")

    @given(st.text() | st.binary())
    def test_anything(self, text: str | bytes) -> None:
        """Whatever the file is, it is read, or refused in one line."""
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        try:
            self.assertLessEqual(read_config(data, KNOWN, FILE).keys(), KNOWN.keys())
        except BadConfig as error:
            self.assertEqual(len(str(error).splitlines()), 1)


class MergedTests(SynchronousTestCase):
    """Which of the values counts."""

    def test_order(self) -> None:
        """The command line wins over the file, and the file over the default."""
        got = merged({"a": "0", "b": "0", "c": "0"}, {"b": "1", "c": "1"}, {"a": None, "b": None, "c": "2", "d": None})
        self.assertEqual(got, {"a": "0", "b": "1", "c": "2", "d": None})

    def test_same_as_the_default(self) -> None:
        """A value on the command line wins also when it is the default."""
        self.assertEqual(merged({"poll": "30"}, {"poll": "60"}, {"poll": "30"}), {"poll": "30"})

    def test_lists_and_flags(self) -> None:
        """A list on the command line takes the place of the file's; a flag in either is there."""
        given = {"listen": ["tcp:1"], "tls": [], "browse": 0, "http2": 1}
        configured = {"listen": ("tcp:2",), "tls": ("443",), "browse": True}
        self.assertEqual(
            merged({}, configured, given), {"listen": ["tcp:1"], "tls": ["443"], "browse": True, "http2": 1}
        )

    def test_defaults_are_shown(self) -> None:
        """Options without defaults say which of them were given, and their help has the defaults all the same."""
        rows, defaults = split_defaults([["poll", "p", "30", "Seconds."], ["cdn", None, None, "Where.", str]])
        self.assertEqual(defaults, {"poll": "30"})
        self.assertEqual(rows, [["poll", "p", None, "Seconds. [default: 30]"], ["cdn", None, None, "Where.", str]])
        options = type("Given", (Options,), {"optParameters": rows})()
        options.parseOptions([])
        self.assertEqual(dict(options), {"poll": None, "cdn": None})
        self.assertEqual(str(options).count("[default: 30]"), 1)
