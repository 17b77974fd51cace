"""Tests of the threads of --jobs."""

import threading
import time

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.jobs import Jobs, Stopped


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

    def test_going_on_after_a_failure(self) -> None:
        """What is begun after a failure is not stopped by it, whether in threads or not; an interruption stops all."""

        def fail(each: int) -> None:
            raise ZeroDivisionError

        for count, things in ((1, range(3)), (2, range(1)), (2, range(3))):
            jobs = Jobs(count)
            self.assertRaises(ZeroDivisionError, jobs.run, fail, things)
            jobs.run(lambda _, jobs=jobs: jobs.go_on(), things)  # type: ignore[misc]
            jobs.go_on()
            jobs.stop()
            self.assertRaises(Stopped, jobs.run, fail, things)
            self.assertRaises(Stopped, jobs.go_on)

    def test_a_failure_within_stops_those_beside(self) -> None:
        """What fails for one of many things within a thread stops the other threads, whatever they begin meanwhile."""
        jobs, both = Jobs(2), threading.Barrier(2, timeout=30)
        stopped = []

        def fail(each: int) -> None:
            raise ZeroDivisionError

        def work(each: int) -> None:
            both.wait()
            if each == 0:
                jobs.run(fail, range(3))
            try:
                # A run of its own, again and again, does not forget the failure beside it.
                for _ in range(20_000):
                    jobs.run(lambda _: jobs.go_on(), range(3))
                    time.sleep(0.001)
            except Stopped:
                stopped.append(each)
                raise

        self.assertRaises(ZeroDivisionError, jobs.run, work, range(2))
        self.assertEqual(stopped, [1])

    def test_stopped(self) -> None:
        """From outside, too, what is under way is stopped and what has not begun is not begun."""
        jobs, begun = Jobs(2), []

        def work(each: int) -> None:
            begun.append(each)
            jobs.stop()

        self.assertRaises(Stopped, jobs.run, work, range(100))
        self.assertLess(len(begun), 3)
        self.assertRaises(Stopped, jobs.go_on)
        self.assertRaises(Stopped, jobs.run, work, range(100))

    def test_threads_of_threads(self) -> None:
        """What does something for many things within a thread does that in this thread: no more is done at once."""
        jobs, here = Jobs(2), threading.get_ident()

        def work(each: int) -> set[int]:
            return {threading.get_ident(), *jobs.run(lambda _: threading.get_ident(), range(5))}

        threads = jobs.run(work, range(4))
        self.assertEqual([len(each) for each in threads], [1] * 4)
        self.assertNotIn(here, set().union(*threads))
