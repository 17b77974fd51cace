"""The threads of ``--jobs``: the same work for many things at once, all of it stopped by the first failure."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Stopped(Exception):
    """Another thread has failed, or the user has interrupted: give up what is under way."""


class Stoppable(Protocol):
    """What can become useless while it is under way."""

    def go_on(self) -> None:
        """Return, unless it has become useless.

        :raise Stopped: if it has; to be called between pieces of anything long.
        """
        ...


class Jobs:
    """So many threads. Work that itself does something for many things does that one after the other.

    :param count: how many things are done at once.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._stop, self._interrupted = threading.Event(), threading.Event()
        self._inside = threading.local()

    def stop(self) -> None:
        """Have all that is under way given up, and nothing begun any more; from any thread."""
        self._interrupted.set()
        self._stop.set()

    def go_on(self) -> None:
        """Return, unless this work has become useless; see :class:`Stoppable`."""
        if self._stop.is_set() or self._interrupted.is_set():
            raise Stopped

    def run(self, work: Callable[[T], R], things: Iterable[T]) -> list[R]:
        """Do it for each, and return the results in the same order; a failure of an earlier run is no matter.

        :raise Exception: the first failure; by then nothing is under way any more.
        """

        def begin(thing: T) -> R:
            if self._interrupted.is_set():
                raise Stopped
            return work(thing)

        def begin_inside(thing: T) -> R:
            self._inside.now = True
            return begin(thing)

        all_things, is_inside = list(things), getattr(self._inside, "now", False)
        if not is_inside:
            # What failed before is over, and whoever goes on after it does so on purpose.
            self._stop.clear()
        if len(all_things) < 2 or self._count == 1 or is_inside:
            # One at a time needs no threads, and threads of threads would be more than were asked for.
            try:
                return [begin(thing) for thing in all_things]
            except BaseException:
                self._stop.set()
                raise
        with ThreadPoolExecutor(self._count, thread_name_prefix="sdr") as pool:
            try:
                futures = [pool.submit(begin_inside, thing) for thing in all_things]
                wait(futures, return_when=FIRST_EXCEPTION)
                failure = _failure(futures)
                if failure is not None:
                    raise failure
            except BaseException:
                self._give_up(pool)
                raise
            return [future.result() for future in futures]

    def _give_up(self, pool: ThreadPoolExecutor) -> None:
        self._stop.set()
        pool.shutdown(cancel_futures=True)


def _failure(futures: Iterable[Future[R]]) -> BaseException | None:
    for future in futures:
        if future.done() and (error := future.exception()) is not None:
            return error
    return None
