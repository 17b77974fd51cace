"""Tests of progress bars."""

import io

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.bars import Bars


class BarsTests(SynchronousTestCase):
    """What a terminal shows."""

    def test_names(self) -> None:
        """Names are shown as they are, not taken for rich's markup."""
        out = io.StringIO()
        with Bars(out) as report:
            report.begin("[red]x[/nonsense]", 10).ended("written")
        self.assertIn("[red]x[/nonsense]", out.getvalue())
