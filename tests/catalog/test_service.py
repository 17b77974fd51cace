"""Tests of the service that polls for as long as the endpoint runs."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.catalog import State
from sdr.catalog.lookups import UNKNOWN, ManifestLookup, RepositoryLookup, TagsLookup
from sdr.catalog.saved import SavedCatalog
from sdr.catalog.service import BACKOFF_SECONDS, BACKOFF_TIMES, PollingService, delay
from sdr.catalog.sources import Fetched
from sdr.catalog.turns import SLICE
from sdr.tree.documents import Repository
from sdr.tree.keys import LISTS_KEY, list_key, list_of, repository_key
from tests.catalog.polled import Polled, at_once, come_round, texts
from tests.catalog.store import FakeStore, LateSource, Reply
from tests.directories import new_directory

NAME = "acme/app"
LOOKUP = RepositoryLookup(NAME)


class DelayTests(SynchronousTestCase):
    """The seconds until the next poll."""

    def test_table(self) -> None:
        """The interval doubles with each failure, up to eight times and to five minutes; the store may ask for more."""
        for interval, failures, retry_after, chance, expected in [
            (30.0, 0, 0.0, 0.0, 30.0),
            (30.0, 0, 0.0, 1.0, 24.0),
            (30.0, 1, 0.0, 0.0, 60.0),
            (30.0, 2, 0.0, 0.0, 120.0),
            (30.0, 3, 0.0, 0.0, 240.0),
            (30.0, 1000, 0.0, 0.0, 240.0),
            (30.0, 3, 0.0, 0.5, 216.0),
            (100.0, 5, 0.0, 0.0, 300.0),
            (3600.0, 5, 0.0, 0.0, 3600.0),
            (0.1, 10, 0.0, 0.0, 0.8),
            (30.0, 1, 100.0, 1.0, 100.0),
            (30.0, 3, 10.0, 0.0, 240.0),
        ]:
            self.assertAlmostEqual(delay(interval, failures, retry_after, chance), expected)

    @given(st.floats(0.1, 86400.0), st.integers(0, 10**6), st.floats(0.0, 300.0), st.floats(0.0, 1.0))
    def test_bounds(self, interval: float, failures: int, retry_after: float, chance: float) -> None:
        """Never shorter than four fifths of the interval nor than the store asked for, and never without end."""
        got = delay(interval, failures, retry_after, chance)
        self.assertGreaterEqual(got, max(0.8 * interval, retry_after) - 1e-9)
        self.assertLessEqual(got, max(interval, min(BACKOFF_TIMES * interval, BACKOFF_SECONDS), retry_after))
        if not failures and not retry_after:
            self.assertLessEqual(got, interval)


class SlowSource(LateSource):
    """A store whose answers wait until they are let go, from the beginning, and which makes mistakes when told to."""

    def __init__(self, store: FakeStore) -> None:
        super().__init__(store)
        self.late = True
        self.mistake = False

    async def fetch(self, key: str, *, limit: int, seconds: float, etag: str = "") -> Fetched:
        """Read an object whole, later."""
        if self.mistake:
            raise RuntimeError("ours")
        return await super().fetch(key, limit=limit, seconds=seconds, etag=etag)


class _Case(SynchronousTestCase):
    """A service over a store that can be slow."""

    def setUp(self) -> None:
        """Make a store with one repository, and a service that is not started."""
        self.clock = Clock()
        self.store = FakeStore(self.clock.seconds)
        self.store.publish(NAME, "1.0")
        self.source = SlowSource(self.store)
        self.source.late = False
        self.polled = Polled(self.source, self.clock)

    @property
    def service(self) -> PollingService:
        """The service."""
        return self.polled.service

    def polls(self) -> list[float]:
        """Return when the store was polled."""
        return [asked.at for asked in self.store.asked if asked.key == LISTS_KEY]

    def assert_stops(self) -> None:
        """Stop, and look for what stays behind."""
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertTrue(self.source.stopped)
        self.assertTrue(all(waiting.called for waiting in self.source.waiting))
        polls = len(self.polls())
        self.clock.advance(1000)
        self.assertEqual(len(self.polls()), polls)
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])


class PollingServiceTests(_Case):
    """When the store is polled."""

    def test_interval(self) -> None:
        """It is polled at the start, and then again and again."""
        self.assertEqual(self.polls(), [])
        self.service.startService()
        self.polled.advance(100)
        self.assertEqual(self.polls(), [0.0, 30.0, 60.0, 90.0])
        self.assert_stops()

    def test_jitter(self) -> None:
        """Chance has a say in each interval."""
        chances = iter([1.0, 0.5, 0.0, 0.0])
        catalog = self.polled.catalog
        service = PollingService(catalog, self.polled.poll, self.clock, 30.0, lambda: next(chances), _never)
        service.startService()
        self.polled.advance(100)
        self.assertEqual(self.polls(), [0.0, 24.0, 51.0, 81.0])
        self.successResultOf(service.stopService())

    def test_backs_off_and_recovers(self) -> None:
        """After failures it is polled more rarely, up to a limit; after a good poll as before."""
        self.store.down = Reply(500)
        self.service.startService()
        self.polled.advance(60 + 120 + 240 + 240)
        self.store.down = None
        self.polled.advance(240 + 30)
        self.assertEqual(self.polls(), [0.0, 60.0, 180.0, 420.0, 660.0, 900.0, 930.0])
        self.assert_stops()

    def test_one_bad_list(self) -> None:
        """A list that cannot be read makes no tag of another repository late: it is polled as often as ever."""
        self.store.faults[list_key(list_of(NAME))] = Reply(200, b"garbage")
        self.service.startService()
        self.polled.advance(100)
        self.assertEqual(self.polls(), [0.0, 30.0, 60.0, 90.0])
        self.assert_stops()

    def test_retry_after(self) -> None:
        """What the store asks for counts, and is forgotten after the next poll."""
        self.store.down = Reply(503, b"", {"Retry-After": "200"})
        self.service.startService()
        self.store.down = None
        self.polled.advance(230)
        self.assertEqual(self.polls(), [0.0, 200.0, 230.0])
        self.assert_stops()

    def test_mistake(self) -> None:
        """A mistake of ours is logged with its traceback, and polling goes on."""
        self.source.mistake = True
        self.service.startService()
        self.clock.advance(30)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)
        self.source.mistake = False
        self.clock.advance(30)
        self.assertEqual((self.polls(), self.polled.catalog.state), ([60.0], State.LOADED))
        self.assert_stops()

    def test_never_overlaps(self) -> None:
        """However long a poll takes, the next one begins an interval after its end."""
        self.source.late = True
        self.service.startService()
        self.polled.advance(1000)
        self.assertEqual(len(self.source.waiting), 1)
        self.source.late = False
        self.source.release()
        self.assertEqual(self.polls(), [1000.0])
        self.polled.advance(30)
        self.assertEqual(self.polls(), [1000.0, 1030.0])
        self.assert_stops()

    def test_a_thousand_polls(self) -> None:
        """Polls that are answered at once do not pile up calls upon calls."""
        self.service.startService()
        for _ in range(2000):
            self.clock.advance(30)
        self.assertEqual(len(self.polls()), 2001)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.assert_stops()


class StopTests(_Case):
    """Stopping at any moment."""

    def test_idle(self) -> None:
        """Between two polls nothing is left behind."""
        self.service.startService()
        self.polled.advance(10)
        self.assert_stops()

    def test_never_started(self) -> None:
        """A service that was never started can be stopped."""
        self.assert_stops()
        self.assertEqual(self.polls(), [])

    def test_in_a_poll(self) -> None:
        """A poll in flight ends at once and is no failure; the connections are let go of after it."""
        self.source.late = True
        self.service.startService()
        with capturedLogs() as events:
            self.assert_stops()
        self.assertEqual(texts(events), [])
        self.assertIs(self.polled.poll.failures, 0)

    def test_among_the_lists(self) -> None:
        """A poll in flight among its lists ends at once too."""
        self.source.late = True
        self.service.startService()
        self.source.release()
        self.assertEqual((len(self.polls()), len(self.source.waiting)), (1, 1))
        with capturedLogs() as events:
            self.assert_stops()
        self.assertEqual(texts(events), [])

    def test_in_a_look(self) -> None:
        """Looks in flight end at once, and who waits is told."""
        self.service.startService()
        self.source.late = True
        looking = self.polled.catalog.look(LOOKUP).addCallback(lambda _: self.polled.catalog.look(TagsLookup(NAME)))
        self.assert_stops()
        self.assertIs(self.successResultOf(looking), UNKNOWN)

    def test_waits_for_the_connections(self) -> None:
        """It has stopped once the source has."""
        stopping: Deferred[None] = Deferred()
        self.source.stop = lambda: stopping  # type: ignore[method-assign]
        self.service.startService()
        stopped = self.service.stopService()
        self.assertNoResult(stopped)
        stopping.callback(None)
        self.successResultOf(stopped)

    def test_start_again(self) -> None:
        """A service that was stopped can be started again, and looks are made again."""
        self.service.startService()
        self.successResultOf(self.service.stopService())
        self.service.startService()
        self.assertIs(self.polled.catalog.state, State.LOADED)
        self.assertIsInstance(self.polled.known(LOOKUP), Repository)
        self.assert_stops()


class PollNowTests(_Case):
    """An operator's word (SIGHUP)."""

    def empty_the_store(self) -> None:
        """Have the store list nothing, where there was a lot."""
        for number in range(9):
            self.store.publish(f"acme/other{number}", "1.0")
        self.service.startService()
        self.source.release()
        self.assertEqual(len(self.polled.catalog.names()), 10)
        self.store.set_lists({})

    def test_idle(self) -> None:
        """The store is polled at once and believed, and the next poll is an interval later."""
        self.empty_the_store()
        self.clock.advance(10)
        self.service.poll_now()
        self.clock.advance(0)
        self.assertEqual(self.polled.catalog.names(), ())
        self.polled.advance(30)
        self.assertEqual(self.polls(), [0.0, 10.0, 40.0])
        self.assert_stops()

    def test_in_a_poll(self) -> None:
        """A poll under way goes on, and another follows at once that believes what the store says by then."""
        self.empty_the_store()
        full, self.store.objects = self.store.objects, dict(self.store.objects)
        self.store.write_lists()
        self.source.late = True
        self.clock.advance(30)
        self.service.poll_now()
        self.service.poll_now()
        self.assertEqual(len(self.source.waiting), 1)
        self.source.late = False
        self.source.release()
        self.assertEqual(len(self.polled.catalog.names()), 10)
        self.store.objects = full
        self.clock.advance(0)
        self.assertEqual(self.polled.catalog.names(), ())
        self.assertEqual(self.polls(), [0.0, 30.0, 30.0])
        self.polled.advance(30)
        self.assertEqual(self.polls(), [0.0, 30.0, 30.0, 60.0])
        self.assert_stops()

    def test_while_it_backs_off(self) -> None:
        """The store is polled at once though it had failed."""
        self.store.down = Reply(503, b"", {"Retry-After": "300"})
        self.service.startService()
        self.store.down = None
        self.service.poll_now()
        self.clock.advance(0)
        self.assertIs(self.polled.catalog.state, State.LOADED)
        self.assert_stops()

    def test_after_the_end(self) -> None:
        """After the end it does nothing."""
        self.service.startService()
        self.successResultOf(self.service.stopService())
        self.service.poll_now()
        self.clock.advance(1000)
        self.assertEqual(self.polls(), [0.0])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SavingTests(_Case):
    """The last good catalog on disk."""

    def setUp(self) -> None:
        """Make a directory for it."""
        super().setUp()
        self.root = new_directory(self, make=True)
        self.polled = self.start_over()

    def start_over(self, in_thread: Callable[..., Any] = at_once) -> Polled:
        """Return a new service over the same directory."""
        return Polled(self.source, self.clock, saved=SavedCatalog(str(self.root)), in_thread=in_thread)

    def use(self) -> None:
        """Run for two polls, with a repository in use."""
        self.service.startService()
        self.polled.known(LOOKUP)
        self.clock.advance(30)
        self.successResultOf(self.service.stopService())

    def file(self, key: str) -> Path:
        """Return a file of the copy."""
        return self.root / key

    def test_saved(self) -> None:
        """After each good poll the copy has the lists, and the documents in use."""
        self.use()
        for key in (LISTS_KEY, list_key(list_of(NAME)), repository_key(NAME)):
            self.assertEqual(self.file(key).read_bytes(), self.store.objects[key])

    def test_until_the_first_poll(self) -> None:
        """After a start the copy is used until the first poll has ended, and that is said."""
        self.use()
        self.store.publish("acme/new", "1.0")
        self.source.late = True
        self.polled = self.start_over()
        asked = self.store.count()
        with capturedLogs() as events:
            self.service.startService()
        self.assertEqual(texts(events), ["starting from the saved catalog; repositories: 1"])
        self.assertEqual((self.polled.catalog.state, self.polled.catalog.names()), (State.STARTING, (NAME,)))
        self.assertEqual(self.polled.known(LOOKUP).tag_names, ("1.0",))
        self.assertEqual(self.store.count(), asked)
        self.source.late = False
        self.source.release()
        self.assertEqual(
            (self.polled.catalog.state, self.polled.catalog.names()), (State.LOADED, ("acme/app", "acme/new"))
        )
        self.assert_stops()

    def test_store_gone(self) -> None:
        """When the first poll fails after a start, the copy is used on and on, and kept."""
        self.use()
        self.store.down = Reply(500)
        self.polled = self.start_over()
        self.service.startService()
        self.polled.advance(1000)
        self.assertEqual((self.polled.catalog.state, self.polled.catalog.names()), (State.FAILING, (NAME,)))
        self.assertEqual(self.polled.known(LOOKUP).tag_names, ("1.0",))
        self.assert_stops()
        self.assertEqual(SavedCatalog(str(self.root)).load()[0].names, (NAME,))

    def test_catalog_gone(self) -> None:
        """A store that has no catalog when the endpoint starts again is doubted like any other."""
        for number in range(9):
            self.store.publish(f"acme/other{number}", "1.0")
        self.use()
        self.store.faults[LISTS_KEY] = Reply(404)
        self.polled = self.start_over()
        self.service.startService()
        self.assertEqual((self.polled.catalog.state, len(self.polled.catalog.names())), (State.FAILING, 10))
        self.assert_stops()

    def test_nothing_changed(self) -> None:
        """A copy that is level is not written again."""
        self.use()
        before = {path: path.stat().st_ino for path in self.root.rglob("*")}
        self.polled = self.start_over()
        self.use()
        self.assertEqual({path: path.stat().st_ino for path in self.root.rglob("*")}, before)

    def reading_later(self) -> list[Callable[[], None]]:
        """Start over with a disk that takes its time; return what ends the calls under way."""
        ends: list[Callable[[], None]] = []

        def in_thread(call: Callable[[], Any]) -> Deferred[Any]:
            done: Deferred[Any] = Deferred()

            def end() -> None:
                at_once(call).addBoth(done.callback)

            ends.append(end)
            return done

        self.polled = self.start_over(in_thread)
        return ends

    def test_read_in_a_thread(self) -> None:
        """Who asks while the copy is being read waits for it, and is answered from it; then the first poll begins."""
        self.use()
        self.store.down = Reply(500)
        ends = self.reading_later()
        asked = self.store.count()
        self.service.startService()
        looks = [self.polled.catalog.look(lookup) for lookup in (LOOKUP, LOOKUP, RepositoryLookup("acme/none"))]
        gone = self.polled.catalog.look(LOOKUP)
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        for look in looks:
            self.assertNoResult(look)
        self.assertEqual(self.store.count(), asked)
        ends.pop()()
        known = [self.successResultOf(look) for look in looks]
        self.assertEqual(known, [self.polled.recall(LOOKUP)] * 2 + [UNKNOWN])
        self.assertIsInstance(known[0], Repository)
        self.assertEqual(self.store.keys_asked(asked), [repository_key("acme/none"), LISTS_KEY])
        self.assertEqual(self.polled.catalog.names(), (NAME,))
        self.assert_stops()

    def test_sorted_bit_by_bit(self) -> None:
        """While the names of the copy are being sorted there are none, and looks are answered; then they are there."""
        self.use()
        self.store.down = Reply(500)
        clock = self.clock

        class Slow(Clock):
            """A clock that goes on whenever it is looked at, as if each piece of work took its time."""

            def seconds(self) -> float:
                self.rightNow += SLICE
                return super().seconds()

        self.clock = Slow()
        self.addCleanup(setattr, self, "clock", clock)
        polled = Polled(self.source, self.clock, saved=SavedCatalog(str(self.root)), browse=True)
        polled.service.startService()
        self.assertEqual((polled.catalog.names(), polled.catalog.snapshot.count), ((), 1))
        self.assertIsInstance(polled.recall(LOOKUP), Repository)
        while not polled.catalog.snapshot.is_sorted:
            come_round(self.clock)
        self.assertEqual(polled.catalog.names(), (NAME,))
        self.successResultOf(polled.service.stopService())

    def test_stop_while_reading(self) -> None:
        """A stop while the copy is being read ends at once: who waits hears so, and the copy stays as it is."""
        self.use()
        before = {path: path.read_bytes() for path in self.root.rglob("*") if path.is_file()}
        ends = self.reading_later()
        self.service.startService()
        look = self.polled.catalog.look(LOOKUP)
        self.assert_stops()
        self.assertIs(self.successResultOf(look), UNKNOWN)
        ends.pop()()
        self.assertEqual({path: path.read_bytes() for path in self.root.rglob("*") if path.is_file()}, before)
        self.assertEqual(self.polled.catalog.snapshot.count, 0)

    def test_started_again(self) -> None:
        """A service that was stopped before it had read the copy reads it when it is started again."""
        self.use()
        self.store.down = Reply(500)
        ends = self.reading_later()
        self.service.startService()
        self.assert_stops()
        self.service.startService()
        ends.pop()()
        self.assertEqual(self.polled.catalog.names(), (NAME,))
        self.assert_stops()

    def test_malformed(self) -> None:
        """A copy that is malformed is no obstacle: the endpoint starts without it, and writes it anew."""
        self.use()
        for path in [path for path in self.root.rglob("*") if path.is_file()]:
            path.write_bytes(b"<html>")
        self.polled = self.start_over()
        self.use()
        self.assertEqual(self.polled.catalog.names(), (NAME,))
        self.assertEqual(SavedCatalog(str(self.root)).load()[0].names, (NAME,))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_unreadable(self) -> None:
        """A copy that cannot be read is said in one line, and the endpoint starts without it."""
        self.file(LISTS_KEY).mkdir(parents=True)
        with capturedLogs() as events:
            self.service.startService()
        self.assertEqual(self.polled.catalog.names(), (NAME,))
        self.assertIn("the saved catalog cannot be read", texts(events)[0])
        self.assert_stops()

    def test_unwritable(self) -> None:
        """A copy that cannot be written is said once, polls go on, and all of it is written once it can be."""
        blocked = self.root / "v2"
        blocked.write_bytes(b"in the way")
        with capturedLogs() as events:
            self.service.startService()
            self.polled.known(LOOKUP)
            for _ in range(3):
                self.clock.advance(30)
        self.assertEqual((len(self.polls()), self.polled.catalog.state), (4, State.LOADED))
        said = [text for text in texts(events, LogLevel.warn) if "the catalog cannot be saved" in text]
        self.assertEqual(len(said), 1, said)
        blocked.unlink()
        self.clock.advance(30)
        for key in (LISTS_KEY, list_key(list_of(NAME)), repository_key(NAME)):
            self.assertEqual(self.file(key).read_bytes(), self.store.objects[key])
        self.assert_stops()

    def test_unwritable_is_said_again(self) -> None:
        """A copy that cannot be written is said once each time that this begins."""
        full = False

        def in_thread(call: Callable[[], Any]) -> Deferred[Any]:
            return fail(OSError("No space left on device")) if full else at_once(call)

        self.polled = self.start_over(in_thread)
        with capturedLogs() as events:
            self.service.startService()
            for full in (True, True, False, True, True):  # noqa: B007
                self.store.publish(NAME, f"{self.clock.seconds()}")
                self.clock.advance(30)
        self.assertEqual(texts(events, LogLevel.warn), ["the catalog cannot be saved: No space left on device"] * 2)
        self.assert_stops()

    def test_stop_while_saving(self) -> None:
        """A write in flight does not hold up the end."""
        writes: list[Callable[[], object]] = []

        def in_thread(call: Callable[[], Any]) -> Deferred[Any]:
            writes.append(call)
            return Deferred()

        self.polled = self.start_over(in_thread)
        self.service.startService()
        self.assertEqual(len(writes), 1)
        self.assert_stops()

    def test_learnt_at_the_last_moment(self) -> None:
        """What was learnt since the last poll is there at the next start, the store gone or not."""
        self.service.startService()
        self.polled.known(LOOKUP)
        self.assertFalse(self.file(repository_key(NAME)).exists())
        self.store.down = Reply(500)
        self.successResultOf(self.service.stopService())
        self.polled = self.start_over()
        self.service.startService()
        self.assertIsInstance(self.polled.recall(LOOKUP), Repository)
        self.assert_stops()

    def test_inline_manifests(self) -> None:
        """Where manifests are sent by the endpoint itself, those that were fetched are there at the next start too."""

        def start_over() -> Polled:
            return Polled(self.source, self.clock, saved=SavedCatalog(str(self.root)), keep_bodies=True)

        lookup = ManifestLookup(NAME, self.store.publish(NAME, "1.0"))
        self.polled = start_over()
        self.service.startService()
        known = self.polled.known(lookup)
        self.successResultOf(self.service.stopService())
        self.store.down = Reply(500)
        self.polled = start_over()
        self.service.startService()
        self.assertEqual(self.polled.recall(lookup), known)
        self.assertNotEqual(known.body, b"")
        self.assert_stops()

    def test_learnt_before_the_store_failed(self) -> None:
        """What was learnt before the polls began to fail is written while they do."""
        self.service.startService()
        self.polled.known(LOOKUP)
        self.store.down = Reply(500)
        self.clock.advance(30)
        self.assertTrue(self.file(repository_key(NAME)).exists())
        self.assert_stops()

    def test_nothing_after_a_failure(self) -> None:
        """Where no poll has ever gone well nothing is written: not even over an older copy."""
        self.store.down = Reply(500)
        self.service.startService()
        self.assertEqual(list(self.root.iterdir()), [])
        self.assert_stops()


def _never(call: Callable[[], Any], /) -> Deferred[Any]:
    return succeed(None)
