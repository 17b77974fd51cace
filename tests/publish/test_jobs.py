"""Tests of the threads of --jobs, and of what is told meanwhile."""

import io
import os
import threading
import time

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.compression import Gzip
from sdr.publish.jobs import Jobs, Stopped
from sdr.publish.progress import Bars, Lines, readable


class JobsTests(SynchronousTestCase):
    """Many things at once."""

    def test_results_in_order(self) -> None:
        """Results come in the order of what was asked, however long each takes."""

        def work(each: int) -> int:
            time.sleep(0.01 * (3 - each))
            return each

        self.assertEqual(Jobs(4).run(work, range(4)), [0, 1, 2, 3])

    def test_at_once(self) -> None:
        """So many are done at once: this would wait for ever with fewer threads."""
        together = threading.Barrier(3, timeout=30)
        Jobs(3).run(lambda each: together.wait(), range(3))

    def test_the_first_failure_stops_all(self) -> None:
        """A failure stops what is under way and what has not begun, and is the one that comes out."""
        jobs, begun = Jobs(2), []

        def work(each: int) -> None:
            begun.append(each)
            if each == 0:
                raise ZeroDivisionError
            while True:
                jobs.go_on()
                time.sleep(0.001)

        self.assertRaises(ZeroDivisionError, jobs.run, work, range(100))
        self.assertLess(len(begun), 5)
        self.assertRaises(Stopped, jobs.go_on)


class ProgressTests(SynchronousTestCase):
    """What is told."""

    def test_lines(self) -> None:
        """One line an object, once it is finished."""
        out = io.StringIO()
        with Lines(out) as report:
            task = report.begin("a/b", 1_234_567)
            task.moved(1000)
            self.assertEqual(out.getvalue(), "")
            task.ended("written")
            report.say("done")
        self.assertEqual(out.getvalue(), "written  a/b  1.2 MB\ndone\n")

    def test_nobody_listens(self) -> None:
        """A log that cannot be written stops nothing."""
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "wb", buffering=0) as raw, Lines(io.TextIOWrapper(raw, write_through=True)) as report:
            report.begin("a", 1).ended("written")
            report.say("done")

    def test_bars(self) -> None:
        """Names are shown as they are, not taken for rich's markup."""
        out = io.StringIO()
        with Bars(out) as report:
            report.begin("[red]x[/nonsense]", 10).ended("written")
        self.assertIn("[red]x[/nonsense]", out.getvalue())

    def test_sizes(self) -> None:
        """Sizes are written as people do."""
        for size, text in (
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (2_147_483_648, "2.1 GB"),
            (10**16, "10000.0 TB"),
        ):
            self.assertEqual(readable(size), text)


class GzipTests(SynchronousTestCase):
    """Compression that is the same every time."""

    def test_pieces_do_not_matter(self) -> None:
        """The same bytes in other pieces, and at another time, compress to the same."""

        def packed(*pieces: bytes) -> bytes:
            gzip = Gzip()
            return b"".join([*map(gzip.compress, pieces), gzip.flush()])

        self.assertEqual(packed(b"a" * 100_000), packed(b"a" * 99_999, b"", b"a"))
