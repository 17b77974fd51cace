"""Tests of work for several things at once, up to the first that fails."""

import threading
import time
from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.jobs import Jobs, Stopped
from sdr.publish.turns import Turns


class TurnsTests(SynchronousTestCase):
    """Several, of which some fail."""

    def test_the_earliest_failure(self) -> None:
        """Of those that fail the earliest counts, also when it fails last; those before it are all done."""
        for jobs in (1, 8):
            turns = Turns(Jobs(jobs), 6)
            done: list[int] = []

            def work(number: int, done: list[int] = done) -> None:
                if number == 2:
                    time.sleep(0.05)
                if number in (2, 4):
                    raise ValueError(number)
                done.append(number)

            turns.run([(number, partial(work, number)) for number in reversed(range(6))])
            self.assertEqual((turns.end, str(turns.failure)), (2, "2"))
            self.assertLessEqual({0, 1}, {*done})
            turns.run([(number, partial(done.append, number + 10)) for number in range(6)])
            self.assertEqual({each for each in done if each >= 10}, {10, 11})

    def test_what_is_under_way_is_stopped(self) -> None:
        """What is under way for one after the first that fails is stopped; what is for one before it goes on."""
        turns, begun = Turns(Jobs(3), 3), threading.Barrier(3, timeout=30)
        stopped: list[int] = []

        def long(number: int) -> None:
            begun.wait()
            while turns.end == 3:
                time.sleep(0.001)
            try:
                turns.of(number).go_on()
            except Stopped:
                stopped.append(number)
                raise

        def fails() -> None:
            begun.wait()
            raise ZeroDivisionError

        turns.run([(0, partial(long, 0)), (1, fails), (2, partial(long, 2))])
        self.assertEqual((stopped, turns.end), ([2], 1))
        self.assertIsInstance(turns.failure, ZeroDivisionError)
        # For others' sake something may be left to do for it.
        turns.of(2).go_on()

    def test_interrupted(self) -> None:
        """What is interrupted as a whole is nobody's failure."""
        jobs = Jobs(2)
        turns = Turns(jobs, 3)
        self.assertRaises(Stopped, turns.run, [(number, jobs.stop) for number in range(3)])
        self.assertRaises(Stopped, turns.of(0).go_on)
        self.assertIsNone(turns.failure)
