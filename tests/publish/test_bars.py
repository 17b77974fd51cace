"""Tests of progress bars."""

import io

from rich.progress import TaskID
from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.bars import Bars
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Task
from sdr.publish.writing import Writing
from sdr.stores.interface import ANY_VERSION, Bytes, Changed
from sdr.tree.headers import LISTS_HEADERS
from tests.stores.memory import MemoryStore


class Terminal(Bars):
    """Bars that are counted.

    :ivar bars: those that are shown.
    :ivar begun: how many there have been.
    """

    def __init__(self, out: io.StringIO) -> None:
        super().__init__(out)
        self.bars: set[TaskID] = set()
        self.begun = 0

    def begin(self, label: str, size: int) -> Task:
        """Count one more."""
        self.begun += 1
        task = super().begin(label, size)
        self.bars = {*self._progress.task_ids}
        return task

    def remove(self, task: TaskID) -> None:
        """Count one less."""
        super().remove(task)
        self.bars = {*self._progress.task_ids}


class BarsTests(SynchronousTestCase):
    """What a terminal shows."""

    def test_names(self) -> None:
        """Names are shown as they are, not taken for rich's markup."""
        out = io.StringIO()
        with Bars(out) as report:
            report.begin("[red]x[/nonsense]", 10).ended("written")
        self.assertIn("[red]x[/nonsense]", out.getvalue())

    def test_refused(self) -> None:
        """What the store refuses to write leaves no bar behind, and nothing says that it was written."""
        store, out = MemoryStore(), io.StringIO()
        store.put("a", Bytes(b"1"), LISTS_HEADERS)
        with Terminal(out) as report:
            writing = Writing(store, Jobs(1), report)
            self.assertRaises(Changed, writing.put, "a", Bytes(b"2"), LISTS_HEADERS, replaces=None)
            self.assertEqual((report.bars, writing.count), (set(), 0))
            writing.put("a", Bytes(b"3"), LISTS_HEADERS, replaces=ANY_VERSION)
            self.assertEqual((report.bars, out.getvalue().count("written  a")), (set(), 1))
        self.assertEqual(report.begun, 2)
