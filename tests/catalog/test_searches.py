"""Tests of searches among the names of the repositories."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.flights import LOOKS_AT_ONCE
from sdr.catalog.lookups import UNKNOWN
from sdr.catalog.names import Names, finished, sort_names
from sdr.catalog.searches import NAMES_AT_MOST, Searches, search
from sdr.catalog.v1_lookups import FoundNames, SearchLookup
from tests.catalog.polled import at_once


def names_of(*names: str) -> Names:
    """Return these names, sorted."""
    return finished(sort_names([[name.encode() for name in names]], len(names)))


class SearchTests(SynchronousTestCase):
    """What is found."""

    def test_substring(self) -> None:
        """A name is found by any part of it, and all by nothing."""
        names = names_of("acme/app", "b/apple", "c")
        self.assertEqual(search(names, "app"), FoundNames(2, ("acme/app", "b/apple")))
        self.assertEqual(search(names, "e/a"), FoundNames(1, ("acme/app",)))
        self.assertEqual(search(names, ""), FoundNames(3, tuple(names)))
        self.assertEqual(search(names, "x"), FoundNames(0, ()))

    def test_many(self) -> None:
        """All are counted, and a hundred told."""
        names = [f"r{number:04}" for number in range(2000)]
        found = search(names_of(*names), "r")
        self.assertEqual(found, FoundNames(2000, tuple(names[:NAMES_AT_MOST])))

    def test_away_from_the_reactor(self) -> None:
        """A search is done in a thread, once for all who ask, remembered for a poll, and only so many at once."""
        waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []

        def in_thread(call: Callable[[], Any], /) -> Deferred[Any]:
            waiting.append((call, Deferred()))
            return waiting[-1][1]

        clock = Clock()
        searches = Searches(lambda: names_of("a", "b"), clock, 30.0, in_thread)
        looks = [searches.look(SearchLookup("a")) for _ in range(3)]
        self.assertEqual(len(waiting), 1)
        for number in range(LOOKS_AT_ONCE - 1):
            searches.look(SearchLookup(f"x{number}"))
        self.assertIs(self.successResultOf(searches.look(SearchLookup("y"))), UNKNOWN)
        call, done = waiting[0]
        done.callback(call())
        for look in looks:
            self.assertEqual(self.successResultOf(look), FoundNames(1, ("a",)))
        self.assertEqual(searches.recall(SearchLookup("a")), FoundNames(1, ("a",)))
        clock.advance(30)
        self.assertIsNone(searches.recall(SearchLookup("a")))

    def test_new_names(self) -> None:
        """A search has the names of the moment."""
        names = ["a"]
        searches = Searches(lambda: names_of(*names), Clock(), 30.0, at_once)
        names.append("ab")
        self.assertEqual(self.successResultOf(searches.look(SearchLookup("a"))), FoundNames(2, ("a", "ab")))
