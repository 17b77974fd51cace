"""Tests of how results are written."""

import io
from contextlib import redirect_stdout

from twisted.trial.unittest import SynchronousTestCase

from sdr.cli.output import print_lines, print_table, printable, time_of


class OutputTests(SynchronousTestCase):
    """What stands on standard output."""

    def test_table(self) -> None:
        """Columns are as wide as their widest cell, and no line ends in spaces."""
        out = io.StringIO()
        with redirect_stdout(out):
            print_table([("TAG", "SIZE"), ("a-long-tag", "1 B"), ("b", "100 MB")])
        self.assertEqual(out.getvalue(), "TAG          SIZE\na-long-tag   1 B\nb            100 MB\n")

    def test_nothing(self) -> None:
        """No lines are no output at all."""
        out = io.StringIO()
        with redirect_stdout(out):
            print_lines([])
        self.assertEqual(out.getvalue(), "")

    def test_printable(self) -> None:
        """What a store or a source says can neither end a line nor steer a terminal."""
        self.assertEqual(printable("a\nb\x1b[2J\u2028é"), r"a\nb\x1b[2J\u2028é")

    def test_other_encodings(self) -> None:
        """What standard output cannot encode is escaped."""
        data = io.BytesIO()
        with redirect_stdout(io.TextIOWrapper(data, encoding="ascii")) as out:
            print_lines(["é"])
            out.flush()
            self.assertEqual(data.getvalue(), b"\\xe9\n")

    def test_time(self) -> None:
        """Times are in UTC, to the second."""
        self.assertEqual(time_of(1_700_000_000.9), "2023-11-14T22:13:20Z")
