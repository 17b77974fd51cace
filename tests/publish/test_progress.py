"""Tests of what is told while an image is published."""

import io
import os

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.progress import Lines, readable


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
