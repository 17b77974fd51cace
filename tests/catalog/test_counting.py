"""Tests of what is told of looks and polls, to be counted."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.findings import TRUSTED_POLLS
from sdr.catalog.flights import LOOK_BURST
from sdr.catalog.lookups import ManifestLookup, RepositoryLookup
from sdr.catalog.v1_catalog import V1Catalog
from sdr.catalog.v1_lookups import V1ImageLookup, V1Lookup
from sdr.tree.keys import LISTS_KEY, list_key, list_of, repository_key
from tests.catalog.polled import Polled, at_once, direct
from tests.catalog.store import FakeStore, Reply, StoreSource
from tests.catalog.v1_stores import TOP, MemorySource

NAME = "acme/app"


class LookTests(SynchronousTestCase):
    """Looks at a tree."""

    def setUp(self) -> None:
        """Publish a repository, and poll."""
        self.clock = Clock()
        self.store = FakeStore(self.clock.seconds)
        self.store.publish(NAME, "1.0")
        self.polled = direct(self.store, clock=self.clock)

    def test_found(self) -> None:
        """A look that brings an object is told once, however often the object is asked for then."""
        for _ in range(3):
            self.polled.known(RepositoryLookup(NAME))
        self.assertEqual(self.polled.looked, ["found"])

    def test_unchanged(self) -> None:
        """A look that finds the object as it was is another one."""
        self.polled.known(RepositoryLookup(NAME))
        self.clock.advance(30 * TRUSTED_POLLS)
        self.polled.run_poll()
        self.polled.known(RepositoryLookup(NAME))
        self.assertEqual(self.polled.looked, ["found", "unchanged"])

    def test_absent(self) -> None:
        """So is one that finds nothing."""
        self.polled.known(ManifestLookup(NAME, "2.0"))
        self.assertEqual(self.polled.looked, ["absent"])

    def test_failed(self) -> None:
        """A store that fails, and a document that is none, have told nothing."""
        for reply in (Reply(500), Reply(200, b"[]")):
            self.setUp()
            self.store.faults[repository_key(NAME)] = reply
            with capturedLogs():
                self.polled.known(RepositoryLookup(NAME))
            self.assertEqual(self.polled.looked, ["failed"], reply)

    def test_refused(self) -> None:
        """A look beyond the budget is not made, and told."""
        for number in range(int(LOOK_BURST) + 2):
            self.polled.known(ManifestLookup(f"acme/r{number}", "1.0"))
        self.assertEqual(self.polled.looked, ["absent"] * int(LOOK_BURST) + ["refused"] * 2)


class V1LookTests(SynchronousTestCase):
    """Looks of protocol v1."""

    def setUp(self) -> None:
        """Have an old store."""
        self.looked: list[str] = []
        self.old = MemorySource()
        self.v1 = V1Catalog(MemorySource({}), self.old, Clock(), 30.0, at_once, self.looked.append)

    def look(self, lookup: V1Lookup[Any]) -> None:
        """Look."""
        with capturedLogs():
            self.successResultOf(self.v1.look(lookup))

    def test_each(self) -> None:
        """What is found, is not there, or cannot be seen is told as such."""
        self.look(V1ImageLookup(TOP, old=True))
        self.look(V1ImageLookup("0" * 64, old=True))
        self.old.down = True
        self.look(V1ImageLookup("1" * 64, old=True))
        self.assertEqual(self.looked, ["found", "absent", "failed"])

    def test_refused(self) -> None:
        """A look beyond the budget is not made, and told."""
        for number in range(int(LOOK_BURST) + 1):
            self.look(V1ImageLookup(f"{number:064x}"))
        self.assertEqual(self.looked, ["absent"] * int(LOOK_BURST) + ["refused"])


class PollTests(SynchronousTestCase):
    """Polls."""

    def setUp(self) -> None:
        """Have a store with many repositories, and a service that polls it."""
        self.clock = Clock()
        self.store = FakeStore(self.clock.seconds)
        for number in range(20):
            self.store.publish(f"acme/app{number}", "1.0", listed=False)
        self.store.write_lists()
        self.polled = Polled(StoreSource(self.store), self.clock)
        self.polled.service.startService()
        self.addCleanup(self.polled.service.stopService)

    def poll(self) -> str:
        """Wait for the next poll, and return what was told of it."""
        told = len(self.polled.polled)
        with capturedLogs():
            self.polled.service.poll_now()
            # An operator who says so believes everything, and here nobody does.
            self.polled.poll._credulous = False
            self.clock.advance(0)
        self.assertEqual(len(self.polled.polled), told + 1)
        return self.polled.polled[-1]

    def test_well(self) -> None:
        """A poll that brings something, one that brings nothing, and one that finds no catalog are good."""
        self.assertEqual(self.polled.polled, [""])
        self.assertEqual(self.poll(), "")
        empty = Polled(StoreSource(FakeStore()), self.clock)
        with capturedLogs():
            empty.service.startService()
        self.assertEqual(empty.polled, [""])
        self.successResultOf(empty.service.stopService())

    def test_each(self) -> None:
        """What was wrong is told in a word, and a good poll is told as such again."""
        for fault, kind in (
            (Reply(500), "status"),
            (Reply(200, b"[]"), "malformed"),
            (Reply(404), "implausible"),
        ):
            self.store.faults[LISTS_KEY] = fault
            self.assertEqual(self.poll(), kind)
            del self.store.faults[LISTS_KEY]
            self.assertEqual(self.poll(), "")

    def test_lists(self) -> None:
        """One list that cannot be read is told apart: the others have been."""
        self.store.publish("acme/app0", "2.0")
        self.store.faults[list_key(list_of("acme/app0"))] = Reply(500)
        self.assertEqual(self.poll(), "lists")

    def test_unexpected(self) -> None:
        """A poll that fails as nobody expects is told, too, and there is another one after it."""

        def broken() -> Deferred[None]:
            raise ZeroDivisionError

        run, self.polled.poll.run = self.polled.poll.run, broken  # type: ignore[method-assign, assignment]
        self.assertEqual(self.poll(), "other")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.polled.poll.run = run  # type: ignore[method-assign]
        self.assertEqual(self.poll(), "")

    def test_end(self) -> None:
        """A poll that the end of the endpoint cuts off is none."""
        waiting: Deferred[None] = Deferred()
        self.polled.poll.run = lambda: waiting  # type: ignore[method-assign, assignment, return-value]
        self.polled.service.poll_now()
        self.clock.advance(0)
        self.successResultOf(self.polled.service.stopService())
        self.assertEqual(self.polled.polled, [""])
