"""Work for several things at once that ends as if they were done one after the other, up to the first that fails."""

import threading
from collections.abc import Callable, Iterable

from sdr.publish.jobs import Jobs, Stopped

#: Some work, and the number of the one that it is for.
Work = tuple[int, Callable[[], object]]


class Turns:
    """So many, numbered from 0 in their order.

    :ivar end: the number of the first that has failed, or how many there are.
    :ivar failure: what has become of that one.
    """

    def __init__(self, jobs: Jobs, count: int) -> None:
        self._jobs = jobs
        self._lock = threading.Lock()
        self._is_under_way = False
        self.end = count
        self.failure: Exception | None = None

    def of(self, number: int) -> "Turn":
        """Return one of them."""
        return Turn(self, number)

    def run(self, works: Iterable[Work]) -> None:
        """Do what there is to be done for each, at once; nothing any more for those after the first that fails.

        :raise Stopped: if all of it was stopped.
        """
        self._is_under_way = True
        try:
            self._jobs.run(self._do, works)
        finally:
            self._is_under_way = False

    def _do(self, work: Work) -> None:
        number, do = work
        if number >= self.end:
            return
        try:
            do()
        except Stopped:
            if number < self.end:
                raise
        except Exception as error:
            self.fail(number, error)

    def fail(self, number: int, error: Exception) -> None:
        """Note that one has failed."""
        with self._lock:
            if number < self.end:
                self.end, self.failure = number, error

    def go_on(self, number: int) -> None:
        """Return, unless the work for this one has become useless; see :meth:`sdr.publish.jobs.Jobs.go_on`."""
        self._jobs.go_on()
        # What is still to be done for one that has failed, for others' sake, is not useless.
        if self._is_under_way and number >= self.end:
            raise Stopped


class Turn:
    """One of several; what is done for it stops when one before it has failed."""

    def __init__(self, turns: Turns, number: int) -> None:
        self._turns, self.number = turns, number

    def go_on(self) -> None:
        """Return, unless this has become useless."""
        self._turns.go_on(self.number)
