"""Tests of turns: much work that comes at once is done bit by bit."""

from collections.abc import Generator

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.turns import PAUSE, SLICE, Turns
from tests.catalog.polled import come_round


class Busy(Clock):
    """A clock that goes on while work is done."""

    def work(self, seconds: float) -> None:
        """Take so long, while nobody else has a turn."""
        self.rightNow += seconds


class TurnsTests(SynchronousTestCase):
    """Pieces of work, each of a third of the time that may be worked in a row."""

    def setUp(self) -> None:
        """Make a clock."""
        self.clock = Busy()
        self.turns = Turns(self.clock)
        self.done: list[str] = []

    def pieces(self, name: str, count: int) -> Generator[None, None, str]:
        """Return so many pieces of work."""
        for number in range(count):
            self.done.append(f"{name}{number}")
            self.clock.work(SLICE / 3 + 1e-6)
            yield
        return name

    def run_pieces(self, name: str, count: int) -> Deferred[str]:
        """Begin work."""
        return Deferred.fromCoroutine(self.turns.run(self.pieces(name, count)))

    def worked(self) -> int:
        """Let the reactor come round once, and return how many pieces were done."""
        before = len(self.done)
        come_round(self.clock)
        return len(self.done) - before

    def test_others_come_in_between(self) -> None:
        """Work is done for no longer than its time before others come, and goes on after them, to its result."""
        running = self.run_pieces("a", 10)
        self.assertEqual(len(self.done), 3)
        self.assertNoResult(running)
        self.assertEqual([self.worked() for _ in range(3)], [3, 3, 1])
        self.assertEqual(self.successResultOf(running), "a")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_together(self) -> None:
        """Many who work at the same time do not work longer in a row than one alone, and each has its turn."""
        running = [self.run_pieces(name, 4) for name in "abcde"]
        self.assertEqual(self.done, ["a0", "a1", "a2"])
        while self.clock.getDelayedCalls():
            self.assertLessEqual(self.worked(), 3)
        self.assertEqual([self.successResultOf(each) for each in running], list("abcde"))
        self.assertLess(self.done.index("e0"), self.done.index("b2"))

    def test_after_a_pause(self) -> None:
        """Who comes after a pause need not wait for anybody."""
        self.run_pieces("a", 3)
        self.clock.advance(PAUSE + SLICE)
        begun = len(self.done)
        self.run_pieces("b", 3)
        self.assertEqual(len(self.done) - begun, 3)

    def test_no_time_at_all(self) -> None:
        """Work that takes no time is done at once."""

        def quick() -> Generator[None, None, int]:
            for _ in range(1000):
                yield
            return 1

        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(self.turns.run(quick()))), 1)

    def test_given_up(self) -> None:
        """Work that is given up while it waits holds up nobody."""
        first, second = self.run_pieces("a", 10), self.run_pieces("b", 10)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        while self.clock.getDelayedCalls():
            self.worked()
        self.assertEqual(self.successResultOf(second), "b")
        self.assertEqual(len([each for each in self.done if each.startswith("a")]), 3)

    def test_failure(self) -> None:
        """A piece that fails is a failure of the whole."""

        def failing() -> Generator[None, None, None]:
            yield
            raise ValueError

        self.failureResultOf(Deferred.fromCoroutine(self.turns.run(failing())), ValueError)
