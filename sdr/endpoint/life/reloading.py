"""SIGHUP: the configuration, the certificates and the catalog are read again, in this order, one reload at a time."""

from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from sdr.catalog.sources import InThread
from sdr.endpoint.life.changes import Changes, changes, effective

#: Does one part of a reload; what it returns fires when that is done.
Step = Callable[[], Deferred[Any] | None]


class Reloading(Service):
    """Does the steps of a reload, each whatever became of the one before.

    :param steps: what is done.
    :param begun: told when a reload begins.
    :param over: told when it is over.
    """

    name = "reloading"
    _log = Logger()

    def __init__(
        self,
        steps: Sequence[Step],
        begun: Callable[[], None] = lambda: None,
        over: Callable[[], None] = lambda: None,
    ) -> None:
        self._steps = steps
        self._begun = begun
        self._over = over
        self._reload: Deferred[None] | None = None
        self._again = False

    def reload(self) -> None:
        """Reload now, or once more after the reload that is under way."""
        if self._reload is not None:
            self._again = True
            return
        self._begun()
        self._reload = reload = Deferred.fromCoroutine(self._each())
        reload.addErrback(lambda failure: failure.trap(CancelledError))
        reload.addCallback(lambda _: self._done())

    def stopService(self) -> None:
        """Leave a reload where it is: the program ends."""
        super().stopService()
        self._again = False
        if self._reload is not None:
            self._reload.cancel()

    async def _each(self) -> None:
        for step in self._steps:
            try:
                waiting = step()
                if waiting is not None:
                    await waiting
            except CancelledError:
                raise
            except Exception:
                self._log.failure("a part of the reload failed; the endpoint goes on with what it has")

    def _done(self) -> None:
        # A reload without a wait is over before reload() has noted it.
        self._reload = None
        self._over()
        if self._again:
            self._again = False
            self.reload()


class Reconfiguring:
    """The step that reads the options again, and takes on what can be taken on.

    :param values: the options' values that the endpoint was started with.
    :param read: reads the file, merges and checks, away from the reactor; returns all options' values.
    :param refused: what it raises for a person to read.
    :param apply: takes on the values of the options that it is given the names of.
    """

    _log = Logger()

    def __init__(
        self,
        values: dict[str, Any],
        read: Callable[[], dict[str, Any]],
        in_thread: InThread,
        apply: Callable[[dict[str, Any], Changes], None],
        refused: tuple[type[BaseException], ...],
    ) -> None:
        self.values = values
        self._read = read
        self._in_thread = in_thread
        self._apply = apply
        self._refused = refused

    def __call__(self) -> Deferred[None]:
        """Read the options again; where that cannot be, nothing changes."""
        reading = self._in_thread(self._read)
        # Old and new values together may be refused, too, where each by themselves are not.
        return reading.addCallback(self._take_on).addErrback(self._keep)

    def _keep(self, failure: Failure) -> None:
        failure.trap(*self._refused)
        line = " ".join(failure.getErrorMessage().splitlines()).removeprefix("sdr: ")
        self._log.error("the configuration is as before, nothing of the new one is used: {line}", line=line)

    def _take_on(self, values: dict[str, Any]) -> None:
        found = changes(self.values, values)
        now = effective(self.values, values, found)
        if found.live:
            self._apply(now, found)
            self._log.info("changed: {names}", names=", ".join(found.live))
        self.values = now
        waits = found.line()
        if waits is not None:
            self._log.warn("{line}", line=waits)
