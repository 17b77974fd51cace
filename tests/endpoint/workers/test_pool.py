"""Tests of the parent's side, with processes that are none."""

from typing import Any, cast

from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, Logger, capturedLogs, eventAsJSON, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.catalog import Catalog, State
from sdr.endpoint.admin.metrics import Metrics
from sdr.endpoint.workers.catalogs import LIST, STANDING
from sdr.endpoint.workers.counts import Counts
from sdr.endpoint.workers.messages import Frames, Message
from sdr.endpoint.workers.pool import LONGEST_WAIT, STUCK_SECONDS, WorkerPool
from sdr.endpoint.workers.worker_process import FIRST_SOCKET, HEARS, SAYS, WorkerProcess
from tests.catalog.polled import at_once
from tests.catalog.store import FakeStore, StoreSource
from tests.endpoint.workers.test_catalogs import snapshot_of


class Pipe(StringTransport):
    """A pipe that is read at once."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take all that there is."""
        super().registerProducer(producer, streaming)
        while self.producer is not None:
            producer.resumeProducing()


class Spawned:
    """A process that is none."""

    def __init__(self, protocol: WorkerProcess, descriptors: dict[int, Any]) -> None:
        self.protocol = protocol
        self.descriptors = descriptors
        self.pipe = Pipe()
        self.pipes = {HEARS: self.pipe}
        self.killed = False
        protocol.makeConnection(self)

    def signalProcess(self, name: str) -> None:
        """Kill it."""
        self.killed = True
        self.end(ProcessTerminated(signal=9))

    def end(self, reason: Exception) -> None:
        """End it."""
        self.pipes = {}
        self.protocol.processEnded(Failure(reason))

    def say(self, message: Message) -> None:
        """Have it say something."""
        self.protocol.childDataReceived(SAYS, message.encode())

    def heard(self) -> list[Message]:
        """Return what it was told since the last time."""
        raw = self.pipe.value()
        self.pipe.clear()
        return list(Frames().feed(raw))


class Reactor(Clock):
    """A clock that starts processes."""

    def __init__(self) -> None:
        super().__init__()
        self.spawned: list[Spawned] = []
        self.refuses = False

    def spawnProcess(
        self, protocol: WorkerProcess, program: str, arguments: list[str], env: dict[str, str], childFDs: dict[int, Any]
    ) -> Spawned:
        """Start one, or not."""
        if self.refuses:
            raise OSError(12, "Cannot allocate memory")
        self.spawned.append(Spawned(protocol, childFDs))
        return self.spawned[-1]


class PoolTests(SynchronousTestCase):
    """A pool of two."""

    def setUp(self) -> None:
        """Start it."""
        self.reactor = Reactor()
        self.catalog = Catalog(StoreSource(FakeStore()), self.reactor, 30.0, at_once)
        self.learnt: list[Message] = []
        self.pool = WorkerPool(
            self.reactor,
            2,
            self.catalog,
            lambda: [(7, "--listen"), (9, "--tls")],
            lambda: {"values": {"cdn": "x"}},
            Metrics,
            self.learnt.append,
            {},
        )
        self.catalog.adopt(snapshot_of({"acme/app": "a" * 16}))
        self.pool.startService()

    @property
    def alive(self) -> list[Spawned]:
        """The processes that have not ended."""
        return [each for each in self.reactor.spawned if each.pipes]

    def test_begin(self) -> None:
        """Each is handed the sockets, told what to be and all that is known, and listens only then."""
        first, second = self.alive
        self.assertEqual(
            first.descriptors, {0: 0, 1: 1, 2: 2, SAYS: "r", HEARS: "w", FIRST_SOCKET: 7, FIRST_SOCKET + 1: 9}
        )
        hello, *rest = first.heard()
        self.assertEqual(hello.fields["sockets"], [[FIRST_SOCKET, "--listen"], [FIRST_SOCKET + 1, "--tls"]])
        self.assertEqual(hello.fields["values"], {"cdn": "x"})
        self.assertEqual([each.kind for each in rest], [LIST, STANDING, "listen"])
        self.assertEqual(second.heard()[0].fields["index"], 1)
        self.assertFalse(self.pool.listens)
        second.say(Message("ready"))
        self.assertTrue(self.pool.listens)

    def test_news(self) -> None:
        """What is new in the catalog is told to each, once."""
        for each in self.alive:
            each.heard()
        self.catalog.adopt(snapshot_of({"acme/app": "b" * 16}))
        self.pool.catch_up()
        self.pool.catch_up()
        for each in self.alive:
            self.assertEqual([message.kind for message in each.heard()], [LIST, STANDING])
        self.catalog.state = State.FAILING
        self.pool.catch_up()
        self.assertEqual([message.kind for message in self.alive[0].heard()], [STANDING])

    def test_replaced(self) -> None:
        """One that has died is replaced by one that is told everything; what it had counted stays counted."""
        metrics = Metrics()
        metrics.answered("base", "GET", 200, 0.1)
        self.alive[0].say(Message("counts", Counts(metrics.state(), 3).fields()))
        self.assertEqual(self.pool.open(), 3)
        self.reactor.advance(20)
        with capturedLogs() as captured:
            self.alive[0].end(ProcessTerminated(signal=11))
        self.assertIn("worker 0 has ended by signal 11 after 20 s", formatEvent(captured[0]))
        self.reactor.advance(0)
        self.assertEqual(len(self.alive), 2)
        self.assertEqual([each.kind for each in self.alive[-1].heard()], ["hello", LIST, STANDING, "listen"])
        self.assertEqual(self.pool.open(), 0)
        samples = [sample for family in self.pool.sum.collect() for sample in family.samples]
        self.assertEqual([each.value for each in samples if each.name == "sdr_requests_total"], [1.0])

    def test_dies_at_once(self) -> None:
        """One that dies as soon as it is started is replaced later and later, and not in a loop."""
        waits = []
        for _ in range(12):
            youngest = next(each for each in reversed(self.reactor.spawned) if each.protocol.index == 0)
            youngest.end(ProcessTerminated(exitCode=1))
            began, count = self.reactor.seconds(), len(self.reactor.spawned)
            while len(self.reactor.spawned) == count:
                self.alive[0].say(Message("counts", Counts(Metrics().state()).fields()))
                self.reactor.advance(0.25)
            waits.append(self.reactor.seconds() - began)
        self.assertEqual(waits, sorted(waits))
        self.assertEqual((waits[0], waits[-1]), (0.5, LONGEST_WAIT))

    def test_stuck(self) -> None:
        """One that says nothing any more is killed, and replaced; the other one stays."""
        first, second = self.alive
        for _ in range(int(STUCK_SECONDS) + 10):
            second.say(Message("counts", Counts(Metrics().state()).fields()))
            self.reactor.advance(1)
        self.assertTrue(first.killed)
        self.assertFalse(second.killed)
        self.assertEqual(len(self.alive), 2)

    def test_pause(self) -> None:
        """After a pause of the whole machine nobody is taken for stuck: they had no time to say anything."""
        first, second = self.alive
        self.reactor.advance(3 * STUCK_SECONDS)
        self.assertEqual((first.killed, second.killed), (False, False))

    def test_cannot_be_started(self) -> None:
        """A worker that the system cannot start is tried again, and the end waits for none that is not there."""
        self.reactor.refuses = True
        with capturedLogs() as captured:
            self.alive[0].end(ProcessTerminated(signal=9))
            self.reactor.advance(0.5)
        self.assertIn("worker 0 cannot be started: Cannot allocate memory", formatEvent(captured[-1]))
        self.assertEqual(len(self.alive), 1)
        self.reactor.refuses = False
        self.reactor.advance(LONGEST_WAIT)
        self.assertEqual(len(self.alive), 2)
        self.reactor.refuses = True
        self.alive[0].end(ProcessTerminated(signal=9))
        self.reactor.advance(LONGEST_WAIT)
        drained = self.pool.drain(1.0)
        self.alive[0].end(ProcessDone(0))
        self.successResultOf(drained)
        self.successResultOf(self.pool.stopService())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_drain(self) -> None:
        """All are told to drain; it is over with the last one, and nobody takes its place."""
        drained = self.pool.drain(9.0)
        first, second = self.alive
        self.assertEqual(first.heard()[-1], Message("drain", {"seconds": 9.0}))
        self.assertFalse(self.pool.listens)
        first.end(ProcessDone(0))
        self.assertNoResult(drained)
        second.end(ProcessDone(0))
        self.successResultOf(drained)
        self.successResultOf(self.pool.stopService())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stop(self) -> None:
        """Stopped without being drained, they are killed; the stop is over with them."""
        self.successResultOf(self.pool.stopService())
        self.assertTrue(all(each.killed for each in self.reactor.spawned))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stop_while_draining(self) -> None:
        """Asked a second time, those that drain are killed too."""
        drained = self.pool.drain(9.0)
        self.successResultOf(self.pool.stopService())
        self.successResultOf(drained)
        self.assertEqual(self.alive, [])

    def test_stop_while_one_is_to_be_replaced(self) -> None:
        """A worker that is due is not started any more."""
        self.alive[0].end(ProcessTerminated(exitCode=1))
        self.successResultOf(self.pool.stopService())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_log(self) -> None:
        """What a worker logs is in the parent's log, with its number."""
        events: list[Any] = []
        Logger("sdr.somewhere", observer=cast(ILogObserver, events.append)).warn("{what} is wrong", what="this")
        with capturedLogs() as captured:
            self.alive[1].say(Message("log", data=eventAsJSON(events[0]).encode()))
        (event,) = captured
        self.assertEqual((formatEvent(event), event["worker"]), ("this is wrong", 1))

    def test_learnt(self) -> None:
        """What a worker has fetched is handed on, to be saved."""
        message = Message("repository", {"name": "acme/app"}, b"{}")
        self.alive[0].say(message)
        self.assertEqual(self.learnt, [message])


class SlowReaderTests(SynchronousTestCase):
    """A worker that is slow to read."""

    def test_one_at_a_time(self) -> None:
        """A message is written when the one before it has left: what waits is not in memory as bytes."""
        worker = WorkerProcess(0, lambda *_: None, lambda *_: None)
        pipe = StringTransport()

        class Process:
            pipes = {HEARS: pipe}  # noqa: RUF012

        worker.makeConnection(Process())
        worker.tell_catalog(snapshot_of({f"acme/app{number}": "a" * 16 for number in range(50)}), State.LOADED)
        worker.tell(Message("listen"))
        self.assertEqual(pipe.value(), b"")
        worker.resumeProducing()
        (first,) = Frames().feed(pipe.value())
        self.assertEqual(first.kind, LIST)
        while pipe.producer is not None:
            worker.resumeProducing()
        self.assertEqual([each.kind for each in Frames().feed(pipe.value())][-2:], [STANDING, "listen"])
