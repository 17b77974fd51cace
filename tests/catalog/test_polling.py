"""Tests of polling: what is asked, and what of the answer is believed; what goes wrong on the way is in test_faults."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.catalog import State
from sdr.catalog.lookups import UNKNOWN, FoundManifest, ManifestLookup, RepositoryLookup
from sdr.catalog.polling import BELIEVED_AFTER, LISTS_AT_ONCE
from sdr.catalog.sources import LARGE
from sdr.catalog.turns import SLICE
from sdr.tree.documents import encode_list, encode_lists, revision
from sdr.tree.keys import LISTS_KEY, list_key, list_of, repository_key
from tests.catalog.polled import Polled, at_once, come_round, direct, over_http, texts
from tests.catalog.store import FakeStore, Reply, StoreResource, StoreSource

NAME = "acme/app"


def store_of(count: int) -> FakeStore:
    """Return a store with so many repositories."""
    store = FakeStore()
    for number in range(count):
        store.publish(f"acme/app{number}", "1.0", listed=False)
    store.write_lists()
    return store


def lists_of(count: int) -> dict[str, dict[str, str]]:
    """Return so many lists, with a repository each."""
    names = iter(f"acme/app{number}" for number in range(10 * count))
    lists: dict[str, dict[str, str]] = {}
    while len(lists) < count:
        name = next(names)
        lists.setdefault(list_of(name), {name: "0" * 16})
    return lists


class PollTests(SynchronousTestCase):
    """A store that does what it should."""

    def test_first(self) -> None:
        """The first poll reads all lists, and says how many repositories there are."""
        store = store_of(5)
        with capturedLogs() as events:
            polled = direct(store)
        self.assertEqual(polled.catalog.names(), tuple(f"acme/app{number}" for number in range(5)))
        self.assertIs(polled.catalog.state, State.LOADED)
        self.assertEqual(texts(events), ["the catalog is loaded; repositories: 5"])
        self.assertEqual(store.keys_asked()[0], LISTS_KEY)
        self.assertEqual(store.asked[0].if_none_match, "")

    def test_not_modified(self) -> None:
        """A poll that finds nothing new is one request with a validator, changes nothing and says nothing."""
        store = store_of(5)
        polled = direct(store)
        snapshot, asked = polled.catalog.snapshot, store.count()
        with capturedLogs() as events:
            polled.run_poll()
        self.assertEqual(store.keys_asked(asked), [LISTS_KEY])
        self.assertEqual(store.asked[-1].if_none_match, f'"{revision(store.objects[LISTS_KEY])}"')
        self.assertIs(polled.catalog.snapshot, snapshot)
        self.assertEqual(texts(events), [])

    def test_no_validators(self) -> None:
        """In a store without validators, a poll that finds nothing new reads no list either."""
        store = store_of(5)
        store.etags = False
        polled = direct(store)
        asked = store.count()
        polled.run_poll()
        self.assertEqual(store.keys_asked(asked), [LISTS_KEY])

    def test_changed_list(self) -> None:
        """Only the list that has changed is read, and the change is said in one line."""
        store = store_of(5)
        polled = direct(store)
        asked = store.count()
        store.publish(NAME, "1.0")
        with capturedLogs() as events:
            polled.run_poll()
        self.assertEqual(store.keys_asked(asked), [LISTS_KEY, list_key(list_of(NAME))])
        self.assertIn(NAME, polled.catalog.names())
        self.assertEqual(texts(events), ["the catalog has changed; repositories: 6, before: 5"])

    def test_removed_list(self) -> None:
        """A repository that is no longer listed is gone after the next poll."""
        store = store_of(5)
        polled = direct(store)
        store.remove("acme/app0")
        polled.run_poll()
        self.assertEqual(polled.catalog.names(), tuple(f"acme/app{number}" for number in range(1, 5)))

    def test_lists_at_once(self) -> None:
        """However many lists there are, a few are read at once, and all in the end."""
        store, clock = FakeStore(), Clock()
        store.set_lists(lists_of(20))
        resource = StoreResource(store)
        resource.holds = lambda key: key != LISTS_KEY
        polled, agent = over_http(resource, clock)
        polling = Deferred.fromCoroutine(polled.poll.run())
        most = 0
        while resource.held:
            most = max(most, len(resource.held))
            resource.release()
            agent.flush()
        self.assertIsNone(self.successResultOf(polling))
        self.assertEqual(most, LISTS_AT_ONCE)
        self.assertEqual(polled.catalog.snapshot.count, 20)

    def test_cancel_among_lists(self) -> None:
        """A poll that is given up among its lists ends at once, and asks for no other list."""
        store, clock = FakeStore(), Clock()
        store.set_lists(lists_of(50))
        resource = StoreResource(store)
        resource.holds = lambda key: key != LISTS_KEY
        polled, _ = over_http(resource, clock)
        polling = Deferred.fromCoroutine(polled.poll.run())
        asked = store.count()
        with capturedLogs() as events:
            polling.cancel()
            self.failureResultOf(polling)
        self.assertEqual(store.count(), asked)
        self.assertEqual(clock.getDelayedCalls(), [])
        self.assertEqual(texts(events), [])
        self.assertIs(polled.catalog.state, State.STARTING)

    def test_others_come_in_between(self) -> None:
        """However many lists come at the same moment, others have their turn after a few of them."""

        class Slow(Clock):
            """A clock that goes on whenever it is looked at, as if each piece of work took its time."""

            def seconds(self) -> float:
                self.rightNow += SLICE / 4
                return super().seconds()

        store, clock = FakeStore(), Slow()
        store.set_lists(lists_of(50))
        polled = Polled(StoreSource(store), clock)
        polling = Deferred.fromCoroutine(polled.poll.run())
        most = turns = 0
        while clock.getDelayedCalls():
            before = store.count()
            come_round(clock)
            most, turns = max(most, store.count() - before), turns + 1
        self.successResultOf(polling)
        self.assertEqual(polled.catalog.snapshot.count, 50)
        self.assertLess(most, LISTS_AT_ONCE)
        self.assertGreater(turns, 20)

    def test_names_are_ready(self) -> None:
        """With browsing, also when it is switched on later, names are sorted before anybody asks for them."""
        store = store_of(5)
        polled = direct(store, browse=True)
        self.assertTrue(polled.catalog.snapshot.is_sorted)
        plain = direct(store)
        self.assertFalse(plain.catalog.snapshot.is_sorted)
        plain.catalog.browse = True
        plain.run_poll()
        self.assertTrue(plain.catalog.snapshot.is_sorted)
        self.assertEqual(plain.catalog.names(), [f"acme/app{number}" for number in range(5)])

    def test_large_list(self) -> None:
        """A large list is read in a thread, a small one here."""
        for width, threads in [(1, 0), (LARGE // 20, 1)]:
            store = FakeStore()
            name = NAME
            listing = {name: "0" * 16}
            body = encode_list(listing) * width
            store.objects[list_key(list_of(name))] = body
            store.objects[LISTS_KEY] = encode_lists({list_of(name): revision(body)})
            calls: list[object] = []

            def in_thread(call: Callable[[], Any], calls: list[object] = calls) -> Deferred[Any]:
                calls.append(call)
                return at_once(call)

            polled = direct(store, in_thread=in_thread)
            self.assertEqual((len(calls), polled.catalog.names()), (threads, (name,)))

    def test_large_malformed_list(self) -> None:
        """A large list that is malformed is as harmless as a small one."""
        store = store_of(5)
        polled = direct(store)
        names = polled.catalog.names()
        store.publish("acme/app0", "2.0")
        store.faults[list_key(list_of("acme/app0"))] = Reply(200, b"x" * LARGE)
        polled.run_poll()
        self.assertEqual((polled.poll.failures, polled.catalog.names()), (1, names))


class LaggingTests(SynchronousTestCase):
    """Lists and ``_repositories.json`` that do not agree."""

    def test_taken_as_it_is(self) -> None:
        """A list that lags behind is taken as it is, and read again at each poll until it has caught up."""
        store = store_of(5)
        polled = direct(store)
        key = list_key(list_of(NAME))
        store.publish(NAME, "1.0")
        first = store.objects[key]
        store.publish(NAME, "2.0")
        second, store.objects[key] = store.objects[key], first
        revisions = []
        for body in (first, first, second, second):
            store.objects[key] = body
            asked = store.count(key)
            polled.run_poll()
            revisions.append((polled.catalog.snapshot.lists[list_of(NAME)].revision, store.count(key) - asked))
        old, new = revision(first), revision(second)
        self.assertEqual(revisions, [(old, 1), (old, 1), (new, 1), (new, 0)])
        # All but the first of these polls were answered with 304.
        validators = [asked.if_none_match for asked in store.asked if asked.key == LISTS_KEY]
        self.assertEqual(validators[2:], [f'"{revision(store.objects[LISTS_KEY])}"'] * 3)
        self.assertEqual((polled.poll.failures, polled.catalog.state), (0, State.LOADED))

    def test_one_bad_list(self) -> None:
        """One list that is malformed takes nothing from the others; it is asked for until it is good."""
        lists = lists_of(100)
        store = FakeStore()
        store.set_lists(lists)
        prefix = sorted(lists)[50]
        store.faults[list_key(prefix)] = Reply(200, b"<html>")
        polled = direct(store)
        self.assertEqual((polled.catalog.snapshot.count, polled.poll.failures), (99, 1))
        self.assertIs(polled.catalog.state, State.LOADED)
        store.faults.clear()
        asked = store.count()
        polled.run_poll()
        self.assertEqual(store.keys_asked(asked), [LISTS_KEY, list_key(prefix)])
        self.assertEqual((polled.catalog.snapshot.count, polled.poll.failures), (100, 0))

    def test_no_304_until_all_is_read(self) -> None:
        """After an answer that was not read whole, the store is asked without a validator."""
        store = store_of(5)
        polled = direct(store)
        store.publish(NAME, "1.0")
        store.faults[list_key(list_of(NAME))] = Reply(500)
        polled.run_poll()
        polled.run_poll()
        self.assertEqual([asked.if_none_match for asked in store.asked if asked.key == LISTS_KEY][2], "")

    def test_store_in_trouble(self) -> None:
        """A store that fails at its lists is not asked for thousands of them."""
        store = FakeStore()
        lists = lists_of(100)
        store.set_lists(lists)
        store.faults.update({list_key(prefix): Reply(503, b"", {"Retry-After": "60"}) for prefix in lists})
        polled = direct(store)
        self.assertEqual(store.count(), 1 + LISTS_AT_ONCE)
        self.assertEqual((polled.poll.failures, polled.poll.retry_after), (1, 60.0))

    def test_moved_tag_beside_a_bad_list(self) -> None:
        """A list that stays malformed does not keep a moved tag of another list from being seen."""
        store = store_of(5)
        polled = direct(store)
        moved = RepositoryLookup("acme/app0")
        before = polled.known(moved)
        store.publish("acme/app0", "1.0", b'{"schemaVersion":2,"manifests":[]}')
        store.publish(NAME, "1.0")
        store.faults[list_key(list_of(NAME))] = Reply(200, b"<html>")
        polled.run_poll()
        self.assertEqual(polled.poll.failures, 1)
        self.assertNotEqual(polled.known(moved), before)


class ImplausibleTests(SynchronousTestCase):
    """Lists that were full and are now nearly empty."""

    def setUp(self) -> None:
        """Load a catalog of ten repositories."""
        self.store = store_of(10)
        self.polled = direct(self.store)
        self.names = self.polled.catalog.names()
        self.full = self.store.objects[LISTS_KEY]

    def shrink(self, *kept: str) -> None:
        """Have the store list these repositories only."""
        lists = {list_of(name): {name: "0" * 16} for name in kept}
        self.store.set_lists(lists)

    def test_kept(self) -> None:
        """The first such answers are not believed: what was there stays, and looks are trusted no more."""
        self.shrink("acme/app0")
        for _ in range(BELIEVED_AFTER - 1):
            self.polled.run_poll()
            self.assertEqual((self.polled.catalog.names(), self.polled.catalog.state), (self.names, State.FAILING))

    def test_believed(self) -> None:
        """The same answer is believed when it comes the third time, and that is said."""
        self.shrink("acme/app0")
        with capturedLogs() as events:
            for _ in range(BELIEVED_AFTER):
                self.polled.run_poll()
        self.assertEqual((self.polled.catalog.names(), self.polled.catalog.state), (("acme/app0",), State.LOADED))
        self.assertEqual(
            texts(events),
            [
                "polling memory: fails: repositories: 1, before: 10; send SIGHUP to believe it now;"
                " keeping what was known before; repositories: 10",
                "believing the store: repositories: 1, before: 10",
                "the catalog has changed; repositories: 1, before: 10",
                "the store is well again; failed polls: 2, repositories: 1",
            ],
        )

    def test_operator(self) -> None:
        """An operator's word has it believed at once; that word is good for one poll."""
        self.shrink()
        self.polled.poll.believe()
        self.polled.run_poll()
        self.assertEqual(self.polled.catalog.names(), ())
        for number in range(10):
            self.store.publish(f"acme/app{number}", "1.0")
        self.polled.run_poll()
        self.shrink()
        self.polled.run_poll()
        self.assertEqual(len(self.polled.catalog.names()), 10)

    def test_word_is_spent_by_a_failure(self) -> None:
        """An operator's word for a poll that failed is not kept for a later one."""
        self.store.down = Reply(500)
        self.polled.poll.believe()
        self.polled.run_poll()
        self.store.down = None
        self.shrink()
        self.polled.run_poll()
        self.assertEqual(self.polled.catalog.names(), self.names)

    def test_another_answer(self) -> None:
        """A different answer of that kind is counted anew."""
        for kept in ("acme/app0", "acme/app0", "acme/app1", "acme/app1"):
            self.shrink(kept)
            self.polled.run_poll()
            self.assertEqual(self.polled.catalog.names(), self.names)
        self.polled.run_poll()
        self.assertEqual(self.polled.catalog.names(), ("acme/app1",))

    def test_good_answer_between(self) -> None:
        """A good answer in between has the count begin anew, though it is a 304."""
        for _ in range(2):
            self.shrink("acme/app0")
            for _ in range(BELIEVED_AFTER - 1):
                self.polled.run_poll()
                self.assertEqual(self.polled.catalog.names(), self.names)
            self.store.write_lists()
            self.assertEqual(self.store.objects[LISTS_KEY], self.full)
            self.polled.run_poll()
            self.assertEqual((self.polled.poll.failures, self.polled.catalog.state), (0, State.LOADED))
        self.assertEqual(self.polled.catalog.names(), self.names)

    def test_failure_between(self) -> None:
        """A failure in between says nothing either way."""
        self.shrink("acme/app0")
        for down in (None, Reply(500), None, Reply(500), None):
            self.assertEqual(self.polled.catalog.names(), self.names)
            self.store.down = down
            self.polled.run_poll()
        self.assertEqual(self.polled.catalog.names(), ("acme/app0",))

    def test_told_after_a_failure(self) -> None:
        """A store that was down and is now implausible is told of anew: only an operator can decide that."""
        with capturedLogs() as events:
            self.store.down = Reply(500)
            self.polled.run_poll()
            self.store.down = None
            self.shrink("acme/app0")
            self.polled.run_poll()
            self.polled.run_poll()
        said = texts(events, LogLevel.warn)
        self.assertEqual(["SIGHUP" in text for text in said], [False, True], said)

    def test_unreadable_list_beside(self) -> None:
        """Lists that nearly all are gone, while one that remains cannot be read, are never believed."""
        self.shrink("acme/new")
        self.store.faults[list_key(list_of("acme/new"))] = Reply(404)
        for _ in range(2 * BELIEVED_AFTER):
            self.polled.run_poll()
            self.assertEqual((self.polled.catalog.names(), self.polled.catalog.state), (self.names, State.FAILING))

    def test_plausible(self) -> None:
        """Fewer repositories that are still more than a tenth are believed at once."""
        self.shrink("acme/app0", "acme/app1")
        self.polled.run_poll()
        self.assertEqual(self.polled.catalog.names(), ("acme/app0", "acme/app1"))

    def test_few(self) -> None:
        """A catalog of three that empties is believed at once."""
        store = store_of(3)
        polled = direct(store)
        store.set_lists({})
        polled.run_poll()
        self.assertEqual((polled.catalog.names(), polled.catalog.state), ((), State.LOADED))


class NoCatalogTests(SynchronousTestCase):
    """A store without a catalog."""

    def test_at_first(self) -> None:
        """Everything is unknown without a look, it is said once, and the store is asked again at each poll."""
        store = FakeStore()
        with capturedLogs() as events:
            polled = direct(store)
            polled.run_poll()
            polled.run_poll()
        self.assertIs(polled.catalog.state, State.NONE)
        self.assertEqual(polled.poll.failures, 0)
        self.assertEqual(store.keys_asked(), [LISTS_KEY] * 3)
        for lookup in (RepositoryLookup(NAME), ManifestLookup(NAME, "1.0")):
            self.assertIs(polled.catalog.recall(lookup), UNKNOWN)
            self.assertIs(self.successResultOf(polled.catalog.look(lookup)), UNKNOWN)
        self.assertEqual(store.count(), 3)
        self.assertEqual(
            texts(events),
            [
                "memory: has no catalog (v2/_repositories.json: not there):"
                " everything is redirected to the CDN until it has"
            ],
        )

    def test_inline(self) -> None:
        """Where manifests are to be had nowhere else they are looked at all the same, and nothing else is."""
        store = FakeStore()
        polled = direct(store, keep_bodies=True)
        store.publish(NAME, "1.0")
        del store.objects[LISTS_KEY]
        self.assertIs(polled.known(RepositoryLookup(NAME)), UNKNOWN)
        self.assertIsInstance(polled.known(ManifestLookup(NAME, "1.0")), FoundManifest)
        polled.catalog.stop()
        self.assertIs(polled.known(ManifestLookup(NAME, "2.0")), UNKNOWN)

    def test_forbidden_at_first(self) -> None:
        """What may not be read is not there, in words of its own."""
        store = store_of(5)
        store.faults[LISTS_KEY] = Reply(403)
        with capturedLogs() as events:
            polled = direct(store)
            polled.run_poll()
        self.assertIs(polled.catalog.state, State.NONE)
        self.assertEqual(len(texts(events)), 1)
        self.assertIn("absent, or not readable", texts(events)[0])

    def test_appears(self) -> None:
        """A catalog that appears is used from the next poll on."""
        store = FakeStore()
        polled = direct(store)
        store.publish(NAME, "1.0")
        with capturedLogs() as events:
            polled.run_poll()
        self.assertIs(polled.catalog.state, State.LOADED)
        self.assertEqual(texts(events), ["the catalog is loaded; repositories: 1"])
        self.assertEqual(polled.known(RepositoryLookup(NAME)).tag_names, ("1.0",))

    def test_disappears(self) -> None:
        """A catalog that was good and is gone is doubted as often as one that is empty, and then let go."""
        for status, words in [(404, "HTTP status 404"), (403, "HTTP status 403")]:
            store = store_of(5)
            polled = direct(store)
            lookup = RepositoryLookup("acme/app0")
            before = polled.known(lookup)
            names = polled.catalog.names()
            store.faults[LISTS_KEY] = Reply(status)
            with capturedLogs() as events:
                for _ in range(BELIEVED_AFTER - 1):
                    polled.run_poll()
                    self.assertEqual((polled.catalog.names(), polled.catalog.state), (names, State.FAILING))
                    self.assertEqual(polled.known(lookup), before)
                polled.run_poll()
            self.assertEqual((polled.catalog.names(), polled.catalog.state), ((), State.NONE))
            self.assertIs(polled.catalog.recall(lookup), UNKNOWN)
            self.assertIs(self.successResultOf(polled.catalog.look(lookup)), UNKNOWN)
            warnings = texts(events, LogLevel.warn)
            self.assertEqual(len(warnings), 3, warnings)
            self.assertIn(f"is gone ({words}); send SIGHUP", warnings[0])
            self.assertIn("believing the store", warnings[1])
            self.assertIn("has no catalog", warnings[2])
            self.assertEqual(
                texts(events, LogLevel.info),
                ["the store answers again, and has no catalog; failed polls: 2"],
            )

    def test_operator(self) -> None:
        """An operator's word has a catalog let go at once."""
        store = store_of(5)
        polled = direct(store)
        store.faults[LISTS_KEY] = Reply(404)
        polled.poll.believe()
        polled.run_poll()
        self.assertIs(polled.catalog.state, State.NONE)

    def test_gone_and_back(self) -> None:
        """A catalog that was let go and is back unchanged is read anew, and never answered with 304."""
        store = store_of(5)
        polled = direct(store)
        store.faults[LISTS_KEY] = Reply(404)
        polled.poll.believe()
        polled.run_poll()
        store.faults.clear()
        polled.run_poll()
        self.assertEqual((len(polled.catalog.names()), polled.catalog.state), (5, State.LOADED))

    def test_missing_and_empty_are_counted_apart(self) -> None:
        """A catalog that is now gone and now empty is not the same answer twice."""
        store = store_of(5)
        polled = direct(store)
        store.set_lists({})
        for fault in (Reply(404), None, Reply(404), None):
            store.faults = {} if fault is None else {LISTS_KEY: fault}
            polled.run_poll()
            self.assertEqual(len(polled.catalog.names()), 5)

    def test_empty_catalog_disappears(self) -> None:
        """An empty catalog that is gone is believed at once: nothing is lost."""
        store = FakeStore()
        store.set_lists({})
        polled = direct(store)
        self.assertIs(polled.catalog.state, State.LOADED)
        del store.objects[LISTS_KEY]
        polled.run_poll()
        self.assertIs(polled.catalog.state, State.NONE)

    def test_fails(self) -> None:
        """A store without a catalog that fails too is still one without a catalog: nothing is looked at."""
        store = FakeStore()
        polled = direct(store)
        store.down = Reply(500)
        with capturedLogs() as events:
            polled.run_poll()
            polled.run_poll()
            self.assertEqual((polled.catalog.state, polled.poll.failures), (State.NONE, 2))
            store.down = None
            polled.run_poll()
        self.assertEqual((polled.catalog.state, polled.poll.failures), (State.NONE, 0))
        self.assertEqual(len(texts(events)), 2, texts(events))


class RunTests(SynchronousTestCase):
    """What a poll does not take for a fault of the store."""

    def test_mistake(self) -> None:
        """A mistake of ours is not hidden, and an operator's word does not outlive it."""

        class Broken(StoreSource):
            broken = True

            async def fetch(self, key: str, **more: Any) -> Any:
                if self.broken:
                    raise RuntimeError("ours")
                return await super().fetch(key, **more)

        store = store_of(10)
        source = Broken(store)
        polled = Polled(source, Clock())
        polled.poll.believe()
        self.failureResultOf(Deferred.fromCoroutine(polled.poll.run()), RuntimeError)
        source.broken = False
        polled.run_poll()
        store.set_lists({})
        polled.run_poll()
        self.assertEqual(len(polled.catalog.names()), 10)

    def test_cancel(self) -> None:
        """A poll that is given up says nothing of the store, and changes nothing."""
        store, clock = store_of(5), Clock()
        resource = StoreResource(store)
        polled, _ = over_http(resource, clock)
        polled.run_poll()
        resource.holds = lambda key: True
        polling = Deferred.fromCoroutine(polled.poll.run())
        with capturedLogs() as events:
            polling.cancel()
            self.failureResultOf(polling, CancelledError)
        self.assertEqual(texts(events), [])
        self.assertEqual((polled.catalog.state, polled.poll.failures), (State.LOADED, 0))
        self.assertEqual(clock.getDelayedCalls(), [])


_BROKEN = [Reply(500), Reply(200, b"<html>"), Reply(200, b""), Reply(302, b"", {"Location": "/x"}), Reply(304)]


class FaultsPropertyTests(SynchronousTestCase):
    """Any sequence of faults."""

    @settings(max_examples=200)
    @given(
        st.lists(
            st.tuples(
                st.integers(0, 9),
                st.sampled_from([None, *_BROKEN, Reply(404), Reply(403), Reply(200, encode_lists({}))]),
                st.sampled_from([None, *_BROKEN[:2], Reply(404), Reply(200, b"")]),
            ),
            max_size=25,
        )
    )
    def test_nothing_is_forgotten(self, steps: list[tuple[int, Reply | None, Reply | None]]) -> None:
        """A repository that the last good answer listed, and that no answer was believed to lack, stays listed."""
        store = store_of(5)
        polled = direct(store)
        good = set(polled.catalog.names())
        doubts = 0
        for number, lists_fault, list_fault in steps:
            name = f"acme/new{number}"
            store.publish(name, f"{len(store.asked)}")
            if lists_fault is not None and lists_fault not in _BROKEN:
                doubts += 1
                if doubts == BELIEVED_AFTER:
                    break
            store.faults = {}
            if lists_fault is not None:
                store.faults[LISTS_KEY] = lists_fault
            if list_fault is not None and list_of(name) not in polled.catalog.snapshot.lists:
                store.faults[list_key(list_of(name))] = list_fault
            polled.run_poll()
            if not polled.poll.failures and lists_fault is None and list_fault is None:
                good, doubts = set(polled.catalog.names()), 0
            self.assertLessEqual(good, set(polled.catalog.names()))
            for known in good:
                self.assertIn(repository_key(known), store.objects)
        store.faults = {}
        polled.run_poll()
        self.assertEqual(len(polled.catalog.names()), len([key for key in store.objects if "_repository.json" in key]))
