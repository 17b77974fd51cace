"""Tests of what is known of the tree: looks, how long their results are good, and what they may cost."""

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.catalog import Catalog, State
from sdr.catalog.findings import MEMORY_LIMIT, MISSING_LIMIT, MISSING_SECONDS, TRUSTED_POLLS
from sdr.catalog.flights import LOOK_BURST, LOOK_RATE, LOOKS_AT_ONCE
from sdr.catalog.lookups import (
    ABSENT,
    UNKNOWN,
    ManifestLookup,
    ObjectLookup,
    ReferrersLookup,
    RepositoryLookup,
    TagsLookup,
)
from sdr.catalog.snapshot import Snapshot
from sdr.catalog.sources import LARGE, Fetched
from sdr.registry.grammar import Digest
from sdr.tree.documents import Repository, encode_repository, encode_tags, revision
from sdr.tree.keys import LISTS_KEY, list_of, manifest_key, referrers_key, repository_key, tags_key
from sdr.tree.referrers import Referrers
from tests.catalog.polled import Polled, at_once, direct, over_http, texts
from tests.catalog.store import FakeStore, Reply, StoreResource, StoreSource, manifest

NAME, POLL = "acme/app", 30.0
KEY, LOOKUP = repository_key(NAME), RepositoryLookup(NAME)


class _Case(SynchronousTestCase):
    """A catalog of one repository in a store without HTTP."""

    def setUp(self) -> None:
        """Publish a repository, and poll."""
        self.clock = Clock()
        self.store = FakeStore(self.clock.seconds)
        self.digest = self.store.publish(NAME, "1.0")
        self.polled = direct(self.store, clock=self.clock)
        self.catalog = self.polled.catalog

    def known_tags(self) -> tuple[str, ...]:
        """Return the tags that the catalog knows, after a look if one is due."""
        known: Repository = self.polled.known(LOOKUP)
        return known.tag_names


class RepositoryTests(_Case):
    """A repository's document."""

    def test_first(self) -> None:
        """A document is fetched when it is first asked for, and not before."""
        self.assertEqual(self.store.count(KEY), 0)
        self.assertIsNone(self.polled.recall(LOOKUP))
        self.assertEqual(self.known_tags(), ("1.0",))
        self.assertEqual(self.known_tags(), ("1.0",))
        self.assertEqual(self.store.count(KEY), 1)

    def test_changed(self) -> None:
        """It is fetched again as soon as the lists give it another revision, though it is young."""
        self.known_tags()
        self.store.publish(NAME, "2.0")
        self.assertEqual(self.known_tags(), ("1.0",))
        self.polled.run_poll()
        self.assertEqual(self.known_tags(), ("1.0", "2.0"))
        self.assertEqual(self.known_tags(), ("1.0", "2.0"))
        self.assertEqual(self.store.count(KEY), 2)

    def test_revalidated(self) -> None:
        """After five polls it is asked for with its validator, and with 304 it is good for five more."""
        before = self.polled.known(LOOKUP)
        for _ in range(2):
            self.clock.advance(TRUSTED_POLLS * POLL - 0.1)
            self.assertIs(self.polled.recall(LOOKUP), before)
            self.clock.advance(0.1)
            self.assertIsNone(self.polled.recall(LOOKUP))
            self.assertIs(self.polled.known(LOOKUP), before)
        etag = f'"{revision(self.store.objects[KEY])}"'
        self.assertEqual([asked.if_none_match for asked in self.store.asked if asked.key == KEY], ["", etag, etag])

    def test_lost_hint(self) -> None:
        """A change that the lists never tell of is found after five polls."""
        self.known_tags()
        self.store.publish(NAME, "2.0", listed=False)
        self.clock.advance(TRUSTED_POLLS * POLL)
        self.assertEqual(self.known_tags(), ("1.0", "2.0"))

    def test_lists_that_lag(self) -> None:
        """A document that is newer than the lists is good for one poll, and for five once they have caught up."""
        self.store.publish(NAME, "2.0", listed=False)
        self.assertEqual(self.known_tags(), ("1.0", "2.0"))
        self.clock.advance(POLL - 0.1)
        self.assertIsNotNone(self.polled.recall(LOOKUP))
        self.clock.advance(0.1)
        self.assertIsNone(self.polled.recall(LOOKUP))
        self.store.write_lists()
        self.polled.run_poll()
        self.assertIsNotNone(self.polled.recall(LOOKUP))

    def test_document_that_lags(self) -> None:
        """A document that is older than the lists say is good for one poll."""
        old = self.store.objects[KEY]
        self.store.publish(NAME, "2.0")
        new, self.store.objects[KEY] = self.store.objects[KEY], old
        self.polled.run_poll()
        self.assertEqual(self.known_tags(), ("1.0",))
        self.store.objects[KEY] = new
        self.clock.advance(POLL)
        self.assertEqual(self.known_tags(), ("1.0", "2.0"))

    def test_lists_move_during_the_look(self) -> None:
        """A document is judged by the lists as they were when it was asked for."""
        resource = StoreResource(self.store)
        polled, agent = over_http(resource, self.clock)
        polled.run_poll()
        resource.holds = lambda key: key == KEY
        polled.catalog.look(LOOKUP)
        self.store.publish(NAME, "2.0")
        polled.run_poll()
        resource.release()
        agent.flush()
        self.assertIsNone(polled.recall(LOOKUP))

    def test_not_listed(self) -> None:
        """A repository that no list has is known by its document, for one poll."""
        self.store.publish("acme/new", "1.0", listed=False)
        lookup = RepositoryLookup("acme/new")
        self.assertEqual(self.polled.known(lookup).tag_names, ("1.0",))
        self.clock.advance(POLL)
        self.assertIsNone(self.polled.recall(lookup))

    def test_removed(self) -> None:
        """A document that is gone from the store is no longer known."""
        self.known_tags()
        self.store.remove(NAME)
        self.polled.run_poll()
        self.assertIs(self.polled.known(LOOKUP), ABSENT)

    def test_failing_look(self) -> None:
        """When the look fails, what was known before is used, and looked at again a few seconds later."""
        self.known_tags()
        self.store.publish(NAME, "2.0")
        self.polled.run_poll()
        self.store.down = Reply(500)
        self.assertEqual(self.known_tags(), ("1.0",))
        self.assertEqual(self.known_tags(), ("1.0",))
        self.assertEqual(self.store.count(KEY), 2)
        self.store.down = None
        self.clock.advance(MISSING_SECONDS)
        self.assertEqual(self.known_tags(), ("1.0", "2.0"))

    def test_polls_fail(self) -> None:
        """While the polls fail, what is known is used whatever its age, and the store is left alone."""
        before = self.polled.known(LOOKUP)
        self.store.down = Reply(500)
        self.polled.run_poll()
        self.clock.advance(10 * POLL)
        asked = self.store.count()
        self.assertIs(self.polled.recall(LOOKUP), before)
        self.assertIs(self.successResultOf(self.catalog.look(LOOKUP)), before)
        self.assertIs(self.polled.recall(ManifestLookup(NAME, "other")), UNKNOWN)
        self.assertEqual(self.store.count(), asked)

    def test_large(self) -> None:
        """A large document is read in a thread, a small one here; what is wrong with it is found there too."""
        calls: list[object] = []

        def in_thread(call: Callable[[], Any]) -> Deferred[Any]:
            calls.append(call)
            return at_once(call)

        polled = direct(self.store, clock=self.clock, in_thread=in_thread)
        polled.known(LOOKUP)
        self.assertEqual(calls, [])
        body = self.store.objects[KEY]
        self.store.objects[KEY] = body[:-2] + b" " * LARGE + body[-2:]
        self.clock.advance(TRUSTED_POLLS * POLL)
        self.assertIsInstance(polled.known(LOOKUP), Repository)
        self.assertEqual(len(calls), 1)
        self.store.objects[KEY] = b"x" * LARGE
        self.clock.advance(TRUSTED_POLLS * POLL)
        with capturedLogs() as events:
            self.assertIsInstance(polled.known(LOOKUP), Repository)
        self.assertEqual((len(calls), len(texts(events, LogLevel.warn))), (2, 1))


class ManifestTests(_Case):
    """A manifest's own object."""

    def test_by_digest(self) -> None:
        """A manifest by digest is looked at once for ever."""
        lookup = ManifestLookup(NAME, self.digest)
        self.assertEqual(self.polled.known(lookup).entry.digest, self.digest)
        self.clock.advance(1e9)
        self.assertEqual(self.polled.known(lookup).entry.digest, self.digest)
        self.assertEqual(self.store.count(lookup.key), 1)

    def test_by_tag(self) -> None:
        """A tag's own object is good for one poll, and then asked for with its validator."""
        lookup = ManifestLookup(NAME, "1.0")
        self.polled.known(lookup)
        self.clock.advance(POLL - 0.1)
        self.assertIsNotNone(self.polled.recall(lookup))
        self.clock.advance(0.1)
        self.assertIsNone(self.polled.recall(lookup))
        self.assertEqual(self.polled.known(lookup).entry.digest, self.digest)
        self.assertNotEqual(self.store.asked[-1].if_none_match, "")
        moved = self.store.publish(NAME, "1.0", manifest("moved"))
        self.clock.advance(POLL)
        self.assertEqual(self.polled.known(lookup).entry.digest, moved)

    def test_new_tag(self) -> None:
        """A tag that the document lacks is found by its own object, and the document is then fetched again."""
        self.known_tags()
        self.store.publish(NAME, "2.0", listed=False)
        self.assertEqual(self.known_tags(), ("1.0",))
        self.assertNotIn(self.polled.known(ManifestLookup(NAME, "2.0")), (ABSENT, UNKNOWN))
        self.assertEqual(self.known_tags(), ("1.0", "2.0"))

    def test_new_digest(self) -> None:
        """A manifest that is found by digest says nothing of the document: it need not have a tag."""
        self.known_tags()
        self.polled.known(ManifestLookup(NAME, self.digest))
        self.assertIsNotNone(self.polled.recall(LOOKUP))

    def test_wrong_digest(self) -> None:
        """Bytes of another digest make it unknown, never absent; that is logged once for each way to be wrong."""
        lookup = ManifestLookup(NAME, self.digest)
        with capturedLogs() as events:
            for body in (b"{}", b"{}", b"[]", b"[]", b"{}"):
                self.store.objects[lookup.key] = body
                self.assertIs(self.polled.known(lookup), UNKNOWN)
                self.clock.advance(MISSING_SECONDS)
        said = texts(events)
        self.assertEqual(
            [str(Digest.of(body)) in text for body, text in zip((b"{}", b"[]", b"{}"), said, strict=True)], [True] * 3
        )
        self.assertIn(f"the store's {lookup.key} is not usable: its digest is sha256:", said[0])

    def test_bodies(self) -> None:
        """A manifest's bytes are kept where they are to be sent, and nowhere else; who looked has them anyway."""
        for keep_bodies in (False, True):
            polled = direct(self.store, clock=self.clock, keep_bodies=keep_bodies)
            for lookup in (ManifestLookup(NAME, self.digest), ManifestLookup(NAME, "1.0")):
                body = self.store.objects[lookup.key]
                self.assertEqual(polled.known(lookup).body, body)
                known = polled.recall(lookup)
                self.assertEqual(known.body, body if keep_bodies else b"")
                self.assertEqual(known.entry.size, len(body))

    def test_bodies_after_304(self) -> None:
        """Bytes that are kept are still there after a 304."""
        polled = direct(self.store, clock=self.clock, keep_bodies=True)
        lookup = ManifestLookup(NAME, "1.0")
        body = polled.known(lookup).body
        self.clock.advance(POLL)
        self.assertEqual(polled.known(lookup).body, body)
        self.assertEqual(self.store.count(lookup.key), 2)


class OtherLookupTests(_Case):
    """Tags and referrers."""

    def test_tags(self) -> None:
        """The plain list of tags is good for one poll."""
        lookup = TagsLookup(NAME)
        self.assertEqual(self.polled.known(lookup), ("1.0",))
        self.clock.advance(POLL - 0.1)
        self.assertIsNotNone(self.polled.recall(lookup))
        self.clock.advance(0.1)
        self.assertIsNone(self.polled.recall(lookup))

    def test_referrers(self) -> None:
        """A referrers document is good for one poll."""
        lookup = ReferrersLookup(NAME, self.digest)
        self.store.objects[lookup.key] = b'{"manifests":[]}'
        self.assertEqual(self.polled.known(lookup), Referrers())
        self.clock.advance(POLL - 0.1)
        self.assertIsNotNone(self.polled.recall(lookup))
        self.clock.advance(0.1)
        self.assertIsNone(self.polled.recall(lookup))


class MissingTests(_Case):
    """What is not there, and what cannot be seen."""

    def test_absent(self) -> None:
        """What the store does not have is remembered as absent for a few seconds, and then looked at again."""
        lookup = ManifestLookup(NAME, "none")
        self.assertIs(self.polled.known(lookup), ABSENT)
        self.clock.advance(MISSING_SECONDS - 0.1)
        self.assertIs(self.polled.recall(lookup), ABSENT)
        self.clock.advance(0.1)
        self.assertIsNone(self.polled.recall(lookup))
        self.store.publish(NAME, "none")
        self.assertNotIn(self.polled.known(lookup), (ABSENT, UNKNOWN))

    def test_unknown(self) -> None:
        """What the store did not answer is remembered as unknown for a few seconds, and then looked at again."""
        lookup = ManifestLookup(NAME, "none")
        self.store.faults[lookup.key] = Reply(500)
        self.assertIs(self.polled.known(lookup), UNKNOWN)
        self.clock.advance(MISSING_SECONDS - 0.1)
        self.assertIs(self.polled.known(lookup), UNKNOWN)
        self.assertEqual(self.store.count(lookup.key), 1)
        self.clock.advance(0.1)
        self.assertIsNone(self.polled.recall(lookup))

    def test_forbidden(self) -> None:
        """403 means absent in a store whose lists could be read, as of S3 without the right to list."""
        self.store.faults[KEY] = Reply(403)
        self.assertIs(self.polled.known(LOOKUP), ABSENT)

    def test_forbidden_before_the_first_poll(self) -> None:
        """403 means nothing as long as the lists have not been read."""
        self.store.faults[KEY] = Reply(403)
        polled = Polled(StoreSource(self.store), self.clock)
        self.assertIs(polled.known(LOOKUP), UNKNOWN)

    def test_not_found_before_the_first_poll(self) -> None:
        """404 means absent from the start: it is the object itself that says so."""
        polled = Polled(StoreSource(self.store), self.clock)
        self.assertIs(polled.known(RepositoryLookup("acme/none")), ABSENT)
        self.assertIsInstance(polled.known(LOOKUP), Repository)

    def test_no_longer_there(self) -> None:
        """A tag that was found and is gone is absent, and what was known of it is not used again."""
        lookup = ManifestLookup(NAME, "1.0")
        self.polled.known(lookup)
        del self.store.objects[lookup.key]
        self.clock.advance(POLL)
        self.assertIs(self.polled.known(lookup), ABSENT)
        self.store.down = Reply(500)
        self.clock.advance(MISSING_SECONDS)
        self.assertIs(self.polled.known(lookup), UNKNOWN)


class AbsentTests(_Case):
    """Repositories that are known to be absent."""

    other = "acme/other"

    def look(self, *lookups: Any) -> None:
        """Look at the store where that is due."""
        for lookup in lookups:
            self.polled.known(lookup)

    def test_both_objects(self) -> None:
        """It takes the document and a manifest or the tags to be missing, and none of them alone."""
        for second in (ManifestLookup(self.other, "1.0"), TagsLookup(self.other)):
            for order in ([RepositoryLookup(self.other)], [second]):
                self.setUp()
                self.look(*order)
                self.assertFalse(self.catalog.is_absent(self.other))
            self.setUp()
            self.look(RepositoryLookup(self.other), second)
            self.assertTrue(self.catalog.is_absent(self.other))

    def test_referrers(self) -> None:
        """Missing referrers say nothing: most manifests have none."""
        self.look(RepositoryLookup(self.other), ReferrersLookup(self.other, self.digest))
        self.assertFalse(self.catalog.is_absent(self.other))

    def test_expires(self) -> None:
        """It is known for a few seconds."""
        self.look(RepositoryLookup(self.other), TagsLookup(self.other))
        self.clock.advance(MISSING_SECONDS - 0.1)
        self.assertTrue(self.catalog.is_absent(self.other))
        self.clock.advance(0.1)
        self.assertFalse(self.catalog.is_absent(self.other))

    def test_unknown_document(self) -> None:
        """A document that could not be seen is not missing."""
        self.store.faults[repository_key(self.other)] = Reply(500)
        self.look(RepositoryLookup(self.other), TagsLookup(self.other))
        self.assertFalse(self.catalog.is_absent(self.other))

    def test_listed(self) -> None:
        """A repository that is listed is not absent, whatever its objects say."""
        del self.store.objects[KEY]
        self.look(LOOKUP, ManifestLookup(NAME, "none"))
        self.assertFalse(self.catalog.is_absent(NAME))

    def test_once_found(self) -> None:
        """A document that was missing and is there now makes a missing tag no sign of an absent repository."""
        self.look(RepositoryLookup(self.other))
        self.store.publish(self.other, "1.0", listed=False)
        self.clock.advance(MISSING_SECONDS)
        self.look(RepositoryLookup(self.other), ManifestLookup(self.other, "2.0"))
        self.assertFalse(self.catalog.is_absent(self.other))

    def test_found_again(self) -> None:
        """Whichever of its objects is found first, it is absent no longer: its blobs can be pulled at once."""
        for first in ("document", "tag", "digest", "tags"):
            self.setUp()
            self.look(RepositoryLookup(self.other), ManifestLookup(self.other, "1.0"))
            self.clock.advance(MISSING_SECONDS - 1)
            self.look(ManifestLookup(self.other, "2.0"))
            self.clock.advance(1)
            self.assertTrue(self.catalog.is_absent(self.other))
            digest = self.store.publish(self.other, "1.0", listed=False)
            self.look(
                {
                    "document": RepositoryLookup(self.other),
                    "tag": ManifestLookup(self.other, "1.0"),
                    "digest": ManifestLookup(self.other, digest),
                    "tags": TagsLookup(self.other),
                }[first]
            )
            self.assertFalse(self.catalog.is_absent(self.other), first)


class FlightTests(_Case):
    """Looks that take their time."""

    def setUp(self) -> None:
        """Hold back what is looked at."""
        super().setUp()
        self.resource = StoreResource(self.store)
        self.polled, self.agent = over_http(self.resource, self.clock)
        self.catalog = self.polled.catalog
        self.polled.run_poll()
        self.resource.holds = lambda key: key != LISTS_KEY

    def release(self) -> None:
        """Let the looks end."""
        self.resource.release()
        self.agent.flush()

    def test_single_flight(self) -> None:
        """Who asks while a look is under way is told its result, without a look of their own."""
        first, second = self.catalog.look(LOOKUP), self.catalog.look(LOOKUP)
        self.assertEqual(self.store.count(KEY), 1)
        self.assertNoResult(first)
        self.release()
        found = self.successResultOf(first)
        self.assertIsInstance(found, Repository)
        self.assertIs(self.successResultOf(second), found)

    def test_flights_by_lookup(self) -> None:
        """Looks at two objects of one repository are two."""
        self.catalog.look(LOOKUP)
        self.catalog.look(TagsLookup(NAME))
        self.assertEqual(len(self.resource.held), 2)
        self.release()

    def test_who_leaves(self) -> None:
        """Who leaves takes the look from nobody else; a look that nobody waits for ends well too."""
        first, second = self.catalog.look(LOOKUP), self.catalog.look(LOOKUP)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertNoResult(second)
        self.release()
        self.assertIsInstance(self.successResultOf(second), Repository)
        alone = self.catalog.look(TagsLookup(NAME))
        alone.cancel()
        self.failureResultOf(alone, CancelledError)
        self.release()
        self.assertEqual(self.polled.recall(TagsLookup(NAME)), ("1.0",))

    def test_nothing_piles_up(self) -> None:
        """Looks that have ended, in whatever way, are not remembered as such."""
        lookups: tuple[ObjectLookup[Any], ...] = (LOOKUP, ManifestLookup(NAME, "none"))
        for lookup in lookups:
            self.catalog.look(lookup).addErrback(lambda _: None).cancel()
            self.catalog.look(lookup)
        self.release()
        self.catalog.look(TagsLookup(NAME))
        self.clock.advance(2)
        self.assertEqual(len(self.catalog._flights), 0)

    def test_deadline(self) -> None:
        """A look that hangs ends after two seconds, and nothing is left of it."""
        looking = self.catalog.look(LOOKUP)
        self.clock.advance(1.9)
        self.assertNoResult(looking)
        self.clock.advance(0.1)
        self.assertIs(self.successResultOf(looking), UNKNOWN)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_looks_at_once(self) -> None:
        """Beyond a number of looks under way the answer is unknown at once, and is not remembered."""
        looks = [self.catalog.look(ManifestLookup(NAME, f"t{number}")) for number in range(LOOKS_AT_ONCE)]
        asked = self.store.count()
        more = ManifestLookup(NAME, "more")
        self.assertIs(self.successResultOf(self.catalog.look(more)), UNKNOWN)
        self.assertEqual(self.store.count(), asked)
        for look in looks:
            self.assertNoResult(look)
        # Whom one of them concerns may still join it.
        joined = self.catalog.look(ManifestLookup(NAME, "t0"))
        self.assertNoResult(joined)
        self.release()
        self.assertIs(self.successResultOf(joined), ABSENT)
        self.assertIsNone(self.polled.recall(more))
        looking = self.catalog.look(more)
        self.release()
        self.assertIs(self.successResultOf(looking), ABSENT)

    def test_looks_again_when_told(self) -> None:
        """Who is told may look again at once, at the same object too."""
        seen: list[Any] = []

        def again(found: Any) -> Any:
            seen.append(found)
            return self.catalog.look(LOOKUP).addCallback(seen.append)

        self.catalog.look(LOOKUP).addCallback(again)
        self.catalog.look(LOOKUP).addCallback(seen.append)
        self.release()
        self.assertEqual(len(seen), 2)
        self.assertEqual(self.store.count(KEY), 2)
        self.release()
        self.assertEqual(len(seen), 3)

    def test_stop(self) -> None:
        """Stopping ends the looks at once with what was known, and no other begins, even for who is told just then."""
        known = self.catalog.look(LOOKUP)
        self.release()
        before = self.successResultOf(known)
        self.clock.advance(TRUSTED_POLLS * POLL)
        results: list[Any] = []
        self.catalog.look(LOOKUP).addCallback(results.append)
        chained = self.catalog.look(ManifestLookup(NAME, "1.0"))
        chained.addCallback(lambda _: self.catalog.look(TagsLookup(NAME)))
        asked = self.store.count()
        with capturedLogs() as events:
            self.catalog.stop()
        self.assertEqual(results, [before])
        self.assertIs(self.successResultOf(chained), UNKNOWN)
        self.assertEqual((self.store.count(), self.clock.getDelayedCalls()), (asked, []))
        self.assertEqual(texts(events), [])
        self.assertIs(self.polled.recall(TagsLookup(NAME)), UNKNOWN)

    def test_stop_without_a_catalog(self) -> None:
        """Stopping where there is no catalog leaves it so."""
        polled = direct(FakeStore())
        polled.catalog.stop()
        self.assertIs(polled.catalog.state, State.NONE)

    def test_mistake(self) -> None:
        """A mistake of ours is logged with its traceback, and who waits is told what was known."""

        class Broken(StoreSource):
            async def fetch(self, key: str, **more: Any) -> Fetched:
                raise RuntimeError("ours")

        catalog = Catalog(Broken(self.store), self.clock, POLL, at_once)
        self.assertIs(self.successResultOf(catalog.look(LOOKUP)), UNKNOWN)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertIs(self.successResultOf(catalog.look(LOOKUP)), UNKNOWN)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class BudgetTests(_Case):
    """What strangers may cost."""

    def look_at(self, *names: str) -> list[Any]:
        """Look at manifests of a repository."""
        return [self.polled.known(ManifestLookup(NAME, name)) for name in names]

    def test_while_it_lasts(self) -> None:
        """While the budget lasts, every unknown manifest is looked at: what is absent is never redirected to."""
        names = [f"t{number}" for number in range(int(LOOK_BURST))]
        self.assertEqual(self.look_at(*names), [ABSENT] * len(names))
        self.assertEqual(self.store.count(), 2 + len(names))

    def test_spent(self) -> None:
        """Once it is spent the answer is unknown at once, and is not remembered."""
        self.look_at(*(f"t{number}" for number in range(int(LOOK_BURST))))
        asked = self.store.count()
        self.assertEqual(self.look_at("1.0", "1.0"), [UNKNOWN, UNKNOWN])
        self.assertEqual(self.store.count(), asked)
        self.assertIsNone(self.polled.recall(ManifestLookup(NAME, "1.0")))
        self.clock.advance(2 / LOOK_RATE)
        self.assertNotIn(self.look_at("1.0")[0], (ABSENT, UNKNOWN))

    def test_spent_by_others(self) -> None:
        """What is listed is looked at all the same when invented names have spent their budget."""
        self.known_tags()
        self.clock.advance(TRUSTED_POLLS * POLL)
        self.look_at(*(f"t{number}" for number in range(int(LOOK_BURST))))
        self.assertEqual(self.known_tags(), ("1.0",))
        self.assertEqual(self.store.count(KEY), 2)

    def test_spent_for_what_is_listed(self) -> None:
        """A document that is due a look is used as it was when the budget of what is listed is spent too."""
        self.known_tags()
        self.clock.advance(TRUSTED_POLLS * POLL)
        while self.catalog._expected.budget.spend(self.clock.seconds()):
            pass
        self.assertEqual(self.known_tags(), ("1.0",))
        self.assertEqual(self.store.count(KEY), 1)

    def test_joining_is_free(self) -> None:
        """Who joins a look under way spends nothing."""
        resource = StoreResource(self.store)
        polled, agent = over_http(resource, self.clock)
        resource.holds = lambda key: True
        for _ in range(10 * int(LOOK_BURST)):
            polled.catalog.look(LOOKUP)
        other = polled.catalog.look(TagsLookup(NAME))
        resource.release()
        agent.flush()
        self.assertEqual(self.successResultOf(other), ("1.0",))

    def test_a_stranger(self) -> None:
        """Whoever asks for names without end causes no more looks than budgeted, and memories stay in their limits."""
        looks, seconds, each = self.store.count(), 300, 200
        for number in range(seconds * each):
            self.clock.advance(1 / each)
            name = f"acme/n{number}"
            self.polled.known(RepositoryLookup(name))
            self.polled.known(ManifestLookup(name, "1.0"))
        looks = self.store.count() - looks
        self.assertLessEqual(looks, LOOK_BURST + LOOK_RATE * seconds)
        self.assertGreater(looks, LOOK_RATE * seconds * 0.9)
        self.assertEqual(len(self.catalog._findings._missing), MISSING_LIMIT)
        self.assertLessEqual(len(self.catalog._findings._absent), MISSING_LIMIT)

    def test_memory_for_what_was_found(self) -> None:
        """Large documents push out older ones, by what they weigh and not by their number."""
        body = json.dumps({"manifests": [{"digest": str(self.digest), "annotations": {"x": "y" * 1024 * 1024}}]})
        lookups = [ReferrersLookup(NAME, Digest.of(str(number).encode())) for number in range(MEMORY_LIMIT >> 20)]
        for lookup in lookups:
            self.store.objects[referrers_key(NAME, lookup.digest)] = body.encode()
            self.polled.known(lookup)
        self.assertIsNotNone(self.polled.recall(lookups[-1]))
        self.assertIsNone(self.polled.recall(lookups[0]))

    def test_memory_for_bodies(self) -> None:
        """The bytes of manifests count, where they are kept."""
        for keep_bodies in (True, False):
            polled = direct(self.store, clock=self.clock, keep_bodies=keep_bodies)
            digests = [self.store.publish(NAME, "x", manifest(str(n) * 1024 * 1024), listed=False) for n in range(9)]
            lookups = [ManifestLookup(f"acme/n{n}", digest) for n in range(16) for digest in digests]
            for lookup in lookups:
                self.clock.advance(1)
                self.store.objects[lookup.key] = self.store.objects[manifest_key(NAME, lookup.reference)]
                polled.known(lookup)
                del self.store.objects[lookup.key]
            self.assertIsNotNone(polled.recall(lookups[-1]))
            self.assertEqual(polled.recall(lookups[0]) is None, keep_bodies)


class RestoreTests(_Case):
    """A saved copy, and what is told to who keeps it."""

    def restored(self, **more: Any) -> Polled:
        """Return a catalog that starts from a copy, and has not polled."""
        polled = Polled(StoreSource(self.store), self.clock, **more)
        body = self.store.objects[KEY]
        repository = Repository(NAME, {})
        polled.catalog.restore(self.catalog.snapshot, [(repository, revision(body))])
        return polled

    def test_restored(self) -> None:
        """A copy is used without a look, and its age counts from the start."""
        polled = self.restored()
        asked = self.store.count()
        self.assertEqual(polled.catalog.names(), (NAME,))
        self.assertEqual(polled.known(LOOKUP).tag_names, ())
        self.assertIs(polled.catalog.state, State.STARTING)
        self.assertEqual(self.store.count(), asked)
        self.clock.advance(TRUSTED_POLLS * POLL)
        self.assertEqual(polled.known(LOOKUP).tag_names, ("1.0",))

    def test_restored_and_outdated(self) -> None:
        """A copy is looked at again once the first poll says that it has changed."""
        polled = self.restored()
        self.store.publish(NAME, "2.0")
        self.assertEqual(polled.known(LOOKUP).tag_names, ())
        polled.run_poll()
        self.assertEqual(polled.known(LOOKUP).tag_names, ("1.0", "2.0"))

    def test_told(self) -> None:
        """Each document that is new is told once; what was restored, or found unchanged, is not."""
        told: list[Repository] = []
        catalog = Catalog(StoreSource(self.store), self.clock, POLL, at_once, on_repository=told.append)
        catalog.restore(Snapshot(), [(Repository("acme/other", {}), "0" * 16)])
        self.assertEqual(told, [])
        for _ in range(3):
            self.successResultOf(catalog.look(LOOKUP))
        self.assertEqual([repository.tag_names for repository in told], [("1.0",)])
        self.store.publish(NAME, "2.0")
        self.store.etags = False
        for _ in range(3):
            self.successResultOf(catalog.look(LOOKUP))
        self.assertEqual([repository.tag_names for repository in told], [("1.0",), ("1.0", "2.0")])


class LargestTests(SynchronousTestCase):
    """The largest documents."""

    def test_largest_repository(self) -> None:
        """A repository's document of nearly the largest size still has room in memory."""
        store = FakeStore()
        store.publish(NAME, "1.0")
        polled = direct(store)
        entry = next(iter(polled.known(LOOKUP).tags.values()))
        body = encode_repository(Repository(NAME, {f"t{number:06}": entry for number in range(100_000)}))
        store.objects[KEY] = body
        store.objects[tags_key(NAME)] = encode_tags(NAME, [])
        store.set_lists({list_of(NAME): {NAME: revision(body)}})
        polled.run_poll()
        self.assertEqual(len(polled.known(LOOKUP).tags), 100_000)
        self.assertIsNotNone(polled.recall(LOOKUP))
