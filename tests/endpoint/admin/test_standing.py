"""Tests of how the catalog stands after polls."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.catalog import State
from sdr.catalog.snapshot import Snapshot
from sdr.endpoint.admin.catalog_watch import CatalogWatch
from tests.catalog.polled import direct
from tests.catalog.store import FakeStore


class Held:
    """A catalog in a state that the test chooses."""

    state = State.LOADED
    snapshot = Snapshot()


class StandingTests(SynchronousTestCase):
    """A catalog that is watched."""

    def setUp(self) -> None:
        """Watch one."""
        self.clock = Clock()
        self.clock.advance(100)
        self.catalog = Held()
        self.watch = CatalogWatch(self.catalog, self.clock)

    def test_before_the_first_poll(self) -> None:
        """Nothing was polled yet."""
        standing = self.watch.standing()
        self.assertEqual((standing.polled_at, standing.polls, standing.failing), (None, 0, 0))

    def test_good_and_bad(self) -> None:
        """A poll that fails leaves the time of the last good one; the next good one ends the row of failures."""
        self.watch.polled("")
        self.clock.advance(30)
        self.catalog.state = State.FAILING
        for trouble in ("timeout", "status"):
            self.watch.polled(trouble)
        standing = self.watch.standing()
        self.assertEqual((standing.state, standing.polled_at, standing.failing), ("failing", 100, 2))
        self.assertEqual(standing.trouble, "status")
        self.assertEqual((standing.polls, standing.failures["timeout"], standing.failures["status"]), (3, 1, 1))
        self.watch.polled("")
        standing = self.watch.standing()
        self.assertEqual((standing.polled_at, standing.failing, standing.trouble), (130, 0, ""))

    def test_single_lists(self) -> None:
        """A poll that read all but a list or two counts as failed, and still makes the catalog fresh."""
        self.watch.polled("lists")
        standing = self.watch.standing()
        self.assertEqual((standing.polled_at, standing.failing), (100, 1))

    def test_unheard_of(self) -> None:
        """A reason that is not foreseen makes no new series."""
        self.watch.polled("HTTP status 599 from https://store.example.com")
        self.assertEqual(self.watch.standing().failures["other"], 1)

    def test_a_real_catalog(self) -> None:
        """The catalog itself can be watched."""
        polled = direct(FakeStore())
        standing = CatalogWatch(polled.catalog, polled.clock).standing()
        self.assertEqual(standing.state, polled.catalog.state.value)
        self.assertEqual(standing.repositories, polled.catalog.snapshot.count)
