"""Tests of options that a file may give too."""

import os
from pathlib import Path
from typing import Any, ClassVar

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.config import BadConfig, Kind, known_options, split_defaults
from sdr.endpoint.life.options import ConfiguredOptions

ROWS: list[list[Any]] = [
    ["cdn", None, None, "The CDN."],
    ["poll", None, "30", "Seconds."],
    ["state-dir", None, None, "A directory."],
    ["config", None, None, "A file."],
]
FLAGS: list[list[Any]] = [["browse", None, "Show."], ["check-config", None, "Check."]]
BARE, DEFAULTS = split_defaults(ROWS)


class Given(ConfiguredOptions):
    """Some options."""

    optParameters: ClassVar[list[list[Any]]] = BARE
    optFlags: ClassVar[list[list[Any]]] = FLAGS
    known = known_options(ROWS, FLAGS, lists=["listen"], paths=["state-dir"], places=["cdn"])
    default_values = DEFAULTS

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []

    def opt_listen(self, description: str) -> None:
        """Listen."""
        self["listen"].append(description)

    def postOptions(self) -> None:
        """Merge."""
        try:
            self.merge()
        except BadConfig as error:
            raise UsageError(str(error)) from error


class OptionsTests(SynchronousTestCase):
    """The command line and a file together."""

    def setUp(self) -> None:
        """Choose a file."""
        self.file = Path(self.mktemp()).absolute()

    def read(self, text: str, *arguments: str) -> Given:
        """Read a command line with a file."""
        self.file.write_text(text)
        options = Given()
        options.parseOptions([f"--config={self.file}", *arguments])
        return options

    def test_known(self) -> None:
        """What a default tells of its option is not said again; what is about the file is not in it."""
        self.assertEqual(
            Given.known,
            {
                "cdn": Kind.PLACE,
                "poll": Kind.NUMBER,
                "state-dir": Kind.PATH,
                "browse": Kind.FLAG,
                "listen": Kind.LIST,
            },
        )

    def test_without_a_file(self) -> None:
        """Without a file it is the command line and the defaults."""
        options = Given()
        options.parseOptions(["--cdn=https://cdn.example"])
        self.assertEqual((options["cdn"], options["poll"], options["browse"]), ("https://cdn.example", "30", 0))
        self.assertEqual(options.read_again(), {name: options[name] for name in Given.known})

    def test_together(self) -> None:
        """The command line wins, the file comes next."""
        options = self.read('cdn = "https://a.example"\npoll = 60\nlisten = ["tcp:1"]\nbrowse = true', "--poll=30")
        self.assertEqual(
            {name: options[name] for name in Given.known},
            {"cdn": "https://a.example", "poll": "30", "listen": ["tcp:1"], "browse": True, "state-dir": None},
        )

    def test_read_again(self) -> None:
        """The file is read again with the same command line, from wherever the program has gone since."""
        os.mkdir("state")
        options = self.read("poll = 60", "--state-dir=state", "--listen=tcp:2")
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        before = options.read_again()
        os.chdir("/")
        self.assertEqual(options.read_again(), before)
        self.file.write_text("poll = 90\nlisten = ['tcp:1']")
        self.assertEqual(options.read_again(), {**before, "poll": "90"})
        self.assertEqual(before["state-dir"], os.path.join(here, "state"))
        self.assertEqual(options["poll"], "60")

    def test_mistakes(self) -> None:
        """A file that is not there, and one with a mistake, are one line."""
        error = self.assertRaises(UsageError, Given().parseOptions, ["--config=/no/such/file"])
        self.assertEqual(str(error), "--config /no/such/file: it cannot be read: No such file or directory")
        error = self.assertRaises(UsageError, self.read, "pol = 1")
        self.assertEqual(str(error), f"{self.file}:1: there is no option pol; did you mean poll?")
