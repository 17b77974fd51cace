"""The parent's side: it owns the sockets, keeps as many workers as there are to be, and tells them what it knows."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory
from twisted.logger import Logger, eventFromJSON, globalLogPublisher
from twisted.python.failure import Failure

from sdr.catalog.catalog import Catalog
from sdr.endpoint.workers.counts import Counts, Sum
from sdr.endpoint.workers.messages import Message
from sdr.endpoint.workers.worker_process import FIRST_SOCKET, HEARS, SAYS, WorkerProcess

#: What a worker runs.
_COMMAND = "from sdr.endpoint.tap import work; work()"
#: A worker that has run for less than this many seconds is replaced later and later.
SOUND_SECONDS = 10.0
#: The longest wait before a worker is replaced, in seconds.
LONGEST_WAIT = 30.0
#: A worker that has said nothing for so many seconds is stuck, and killed. It says what it has counted each second.
STUCK_SECONDS = 30.0
_LOOK_SECONDS = 5.0


class Silent(Factory):
    """What the parent's own ports are opened with: it accepts nothing on them."""

    noisy = False

    def buildProtocol(self, addr: object) -> None:
        """Close it: only workers serve."""


class WorkerPool(Service):
    """Keeps workers running, and stands for them wherever connections are counted, drained or listened for.

    :param count: of the workers.
    :param sockets: returns the descriptors that they are handed, each with what is spoken there.
    :param hello: returns what a worker is told first.
    :param empty: makes metrics in which nothing is counted yet.
    :param learnt: told of what a worker has fetched, to be saved.
    :param environment: of the workers.
    """

    name = "workers"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        count: int,
        catalog: Catalog,
        sockets: Callable[[], Sequence[tuple[int, str]]],
        hello: Callable[[], Mapping[str, Any]],
        empty: Callable[[], Any],
        learnt: Callable[[Message], None],
        environment: Mapping[str, str],
    ) -> None:
        self._reactor = reactor
        self._count = count
        self._catalog = catalog
        self._sockets = sockets
        self._hello = hello
        self._learnt = learnt
        self._environment = dict(environment)
        self.sum = Sum(self._counts, empty)
        self._workers: dict[int, WorkerProcess] = {}
        self._began: dict[int, float] = {}
        self._waits: dict[int, float] = {}
        self._timers: dict[int, IDelayedCall] = {}
        self._looking: IDelayedCall | None = None
        self._draining = False
        self._drained: Deferred[None] | None = None

    # What it stands for.

    def open(self) -> int:
        """Return how many connections are open in all workers, as far as they have told."""
        return self.sum.open()

    def waiting(self) -> int:
        """Return how many of them wait for a next request."""
        return self.sum.waiting()

    @property
    def listens(self) -> bool:
        """Whether there is a worker that answers."""
        return not self._draining and any(worker.is_ready for worker in self._workers.values())

    def drain(self, seconds: float) -> Deferred[None]:
        """Have every worker finish its answers, for so many seconds at most, and end.

        :return: fires once the last one has ended.
        """
        self._draining = True
        self._stop_timers()
        drained: Deferred[None] = Deferred()
        self._drained = drained
        self.tell(Message("drain", {"seconds": seconds}))
        self._finish()
        return drained

    # Its life.

    def startService(self) -> None:
        """Start the workers."""
        super().startService()
        for index in range(self._count):
            self._start(index)
        self._looking = self._reactor.callLater(_LOOK_SECONDS, self._look)

    def stopService(self) -> Deferred[None]:
        """End the workers at once, unless they have ended."""
        super().stopService()
        self._draining = True
        self._stop_timers()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        stopped: Deferred[None] = Deferred()
        if self._drained is not None:
            self._drained.addCallback(stopped.callback)
        else:
            self._drained = stopped
        for worker in list(self._workers.values()):
            self._signal(worker, "KILL")
        self._finish()
        return stopped

    def tell(self, message: Message) -> None:
        """Tell every worker something."""
        for worker in self._workers.values():
            worker.tell(message)

    def catch_up(self) -> None:
        """Tell every worker what is new in the catalog."""
        for worker in self._workers.values():
            worker.tell_catalog(self._catalog.snapshot, self._catalog.state)

    # The workers.

    def _start(self, index: int) -> None:
        self._timers.pop(index, None)
        worker = WorkerProcess(index, self._heard, self._over)
        self._began[index] = self._reactor.seconds()
        sockets = self._sockets()
        descriptors: dict[int, Any] = {0: 0, 1: 1, 2: 2, SAYS: "r", HEARS: "w"}
        handed = []
        for number, (descriptor, speaks) in enumerate(sockets, FIRST_SOCKET):
            descriptors[number] = descriptor
            handed.append([number, speaks])
        try:
            self._reactor.spawnProcess(
                worker, sys.executable, [sys.executable, "-c", _COMMAND], self._environment, childFDs=descriptors
            )
        except OSError as error:
            wait = self._next_wait(index)
            self._log.error(
                "worker {index} cannot be started: {reason}; it is tried again in {wait:g} s",
                index=index,
                reason=error.strerror or str(error),
                wait=wait,
            )
            self._timers[index] = self._reactor.callLater(wait, self._start, index)
            return
        self._workers[index] = worker
        worker.tell(Message("hello", {**self._hello(), "index": index, "sockets": handed}))
        worker.tell_catalog(self._catalog.snapshot, self._catalog.state)
        worker.tell(Message("listen"))

    def _heard(self, worker: WorkerProcess, message: Message) -> None:
        worker.silent_looks = 0
        match message.kind:
            case "ready":
                worker.is_ready = True
            case "log":
                event = eventFromJSON(message.data.decode())
                event["worker"] = worker.index
                globalLogPublisher(event)
            case "repository" | "manifest":
                self._learnt(message)

    def _over(self, worker: WorkerProcess, reason: Failure) -> None:
        index = worker.index
        del self._workers[index]
        if worker.counts is not None:
            self.sum.ended(worker.counts)
        if self._draining or not self.running:
            self._finish()
            return
        lived = self._reactor.seconds() - self._began[index]
        if lived >= SOUND_SECONDS:
            self._waits[index] = wait = 0.0
        else:
            wait = self._next_wait(index)
        self.sum.replaced()
        self._log.error(
            "worker {index} has ended {how} after {lived:.0f} s; another one takes its place{when}",
            index=index,
            how=_how(reason),
            lived=lived,
            when=f" in {wait:g} s" if wait else "",
        )
        self._timers[index] = self._reactor.callLater(wait, self._start, index)

    def _next_wait(self, index: int) -> float:
        wait = self._waits[index] = min(LONGEST_WAIT, max(0.5, 2.0 * self._waits.get(index, 0.25)))
        return wait

    def _look(self) -> None:
        self._looking = self._reactor.callLater(_LOOK_SECONDS, self._look)
        for worker in list(self._workers.values()):
            # Looks are counted and not seconds: after a pause of the whole machine much time has passed for nobody.
            worker.silent_looks += 1
            if worker.silent_looks > STUCK_SECONDS / _LOOK_SECONDS:
                self._log.error("worker {index} is stuck; it is killed", index=worker.index)
                self._signal(worker, "KILL")

    def _counts(self) -> Iterator[Counts]:
        return (worker.counts for worker in self._workers.values() if worker.counts is not None)

    def _signal(self, worker: WorkerProcess, name: str) -> None:
        try:
            cast(Any, worker.transport).signalProcess(name)
        except Exception:  # it has just ended
            self._log.debug("worker {index} has ended already", index=worker.index)

    def _stop_timers(self) -> None:
        timers, self._timers = self._timers, {}
        for timer in timers.values():
            timer.cancel()

    def _finish(self) -> None:
        if self._drained is not None and not self._workers:
            drained, self._drained = self._drained, None
            drained.callback(None)


def _how(reason: Failure) -> str:
    signal, code = getattr(reason.value, "signal", None), getattr(reason.value, "exitCode", None)
    return f"by signal {signal}" if signal else f"with exit code {code}"
