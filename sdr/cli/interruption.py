"""Ctrl-C, which ends a command at once even while it waits for a store that does not answer."""

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TypeVar

from sdr.cli.output import INTERRUPTED, fail
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Report

T = TypeVar("T")

#: For how many seconds after Ctrl-C what is under way may end by itself, and take its half-written files away.
PATIENCE = 1.0
#: For how many seconds the main thread waits at a time.
_SLICE = 0.2


class Interruption:
    """What becomes of a command when its user presses Ctrl-C.

    :ivar line: what is told then.
    """

    def __init__(self) -> None:
        self.line = "interrupted"
        self._jobs: Jobs | None = None
        self._report: Report | None = None

    def ends(self, jobs: Jobs, report: Report) -> None:
        """Name what has to be ended."""
        self._jobs, self._report = jobs, report

    def run(self, command: Callable[[], T]) -> T:
        """Run a command in a thread of its own, and return what it returns or raise what it raises.

        The main thread has to be free: Python takes no notice of a signal while that one is in a library.
        """
        outcome: list[Callable[[], T]] = []
        ended = threading.Event()

        def body() -> None:
            try:
                result = command()
                outcome.append(lambda: result)
            except BaseException as error:
                outcome.append(_raising(error))
            finally:
                ended.set()

        # A daemon: Python does not wait for it at its end.
        thread = threading.Thread(target=body, name="sdr-command", daemon=True)
        try:
            thread.start()
            # A signal that another thread was given, or that comes just before the wait, wakes nobody: one has to look.
            while not ended.wait(_SLICE):
                pass
        except KeyboardInterrupt:
            self._end(ended)
        return outcome[0]()

    def _end(self, ended: threading.Event) -> NoReturn:
        # Once more is for those who cannot wait that long.
        with suppress(KeyboardInterrupt):
            if self._jobs is not None:
                self._jobs.stop()
            if ended.wait(PATIENCE):
                fail(self.line, INTERRUPTED)
        self._leave()

    def _leave(self) -> NoReturn:
        """End the process, whatever its threads are waiting for."""
        # A thread may wait inside standard error, whose reader has stopped reading; so would this one.
        last = threading.Timer(PATIENCE / 2, os._exit, (INTERRUPTED,))
        last.daemon = True
        try:
            last.start()
            # A terminal keeps what the bars have made of it.
            if self._report is not None:
                self._report.__exit__(None, None, None)
            fail(self.line, INTERRUPTED)
        finally:
            if sys.stderr is not None:
                with suppress(OSError):
                    sys.stderr.flush()
            os._exit(INTERRUPTED)


def _raising(error: BaseException) -> Callable[[], NoReturn]:
    def again() -> NoReturn:
        raise error

    return again
