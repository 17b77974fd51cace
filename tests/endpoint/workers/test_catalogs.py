"""Tests of how a worker's catalog follows its parent's."""

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.catalog import Catalog, State
from sdr.catalog.snapshot import Listing, Snapshot
from sdr.endpoint.workers.catalogs import LIST, STANDING, Following, Told
from sdr.endpoint.workers.messages import Frames, Message
from sdr.tree.documents import encode_list, revision
from sdr.tree.keys import list_of
from tests.catalog.polled import at_once
from tests.catalog.store import FakeStore, StoreSource
from tests.texts import NAMES

REPOSITORIES = st.dictionaries(NAMES, st.sampled_from(["a" * 16, "b" * 16]), max_size=6)
STATES = st.sampled_from([State.LOADED, State.FAILING, State.STARTING, State.NONE])


def snapshot_of(repositories: Mapping[str, str]) -> Snapshot:
    """Return a snapshot as a poll would have it."""
    lists: dict[str, dict[str, str]] = {}
    for name, found in repositories.items():
        lists.setdefault(list_of(name), {})[name] = found
    listings = {}
    for prefix, listing in lists.items():
        data = encode_list(listing)
        listings[prefix] = Listing(revision(data), data)
    return Snapshot({prefix: listing.revision for prefix, listing in listings.items()}, listings)


class Worker:
    """A worker's catalog, and what it was told."""

    def __init__(self, *, browse: bool = False) -> None:
        self.clock = Clock()
        self.catalog = Catalog(StoreSource(FakeStore()), self.clock, 30.0, at_once, browse=browse)
        self.following = Following(self.catalog)
        self.told = Told()
        self.heard: list[Message] = []

    def tell(self, snapshot: Snapshot, state: State) -> list[Message]:
        """Tell it through a pipe, and return what that took."""
        said = list(self.told.news(snapshot, state))
        for message in Frames().feed(b"".join(each.encode() for each in said)):
            self.following.take(message)
        self.clock.advance(0)
        return said


class FollowingTests(SynchronousTestCase):
    """A worker's catalog."""

    @settings(max_examples=50)
    @given(st.lists(st.tuples(REPOSITORIES, STATES), max_size=6), st.booleans())
    def test_level(self, steps: list[tuple[dict[str, str], State]], browse: bool) -> None:
        """After each change the worker knows what the parent knows, in the same state."""
        worker = Worker(browse=browse)
        for repositories, state in steps:
            snapshot = snapshot_of(repositories)
            worker.tell(snapshot, state)
            self.assertIs(worker.catalog.state, state)
            expected = {} if state is State.NONE else repositories
            self.assertEqual(list(worker.catalog.names()), sorted(expected))
            for name in repositories:
                self.assertEqual(worker.catalog.snapshot.revision_of(name), expected.get(name))

    def test_only_what_is_new(self) -> None:
        """A list that has not changed is not sent again, and nothing is where nothing is new."""
        worker = Worker()
        first = {"acme/app": "a" * 16, "acme/other": "a" * 16}
        snapshot = snapshot_of(first)
        self.assertEqual([each.kind for each in worker.tell(snapshot, State.LOADED)], [LIST, LIST, STANDING])
        self.assertEqual(worker.tell(snapshot, State.LOADED), [])
        (standing,) = worker.tell(snapshot, State.FAILING)
        self.assertIsNone(standing.fields["wanted"])
        changed = worker.tell(snapshot_of({**first, "acme/app": "b" * 16}), State.LOADED)
        self.assertEqual([each.fields.get("prefix") for each in changed], [list_of("acme/app"), None])

    def test_nothing_is_no_news(self) -> None:
        """That the parent knows nothing yet does not take from a worker what it has read of the saved copy."""
        worker = Worker()
        worker.catalog.restore(snapshot_of({"acme/app": "a" * 16}), ())
        worker.tell(Snapshot(), State.STARTING)
        self.assertEqual(list(worker.catalog.names()), ["acme/app"])
        worker.tell(snapshot_of({"acme/other": "a" * 16}), State.LOADED)
        self.assertEqual(list(worker.catalog.names()), ["acme/other"])

    def test_in_order(self) -> None:
        """What is asked for in between is done when all before it is known, and before what comes later."""
        worker = Worker(browse=True)
        seen: list[int] = []

        async def note() -> None:
            seen.append(worker.catalog.snapshot.count)

        for names in (["acme/app"], ["acme/app", "acme/other"]):
            for message in worker.told.news(snapshot_of(dict.fromkeys(names, "a" * 16)), State.LOADED):
                worker.following.take(message)
            worker.following.then(note)
        worker.clock.advance(0)
        self.assertEqual(seen, [1, 2])

    def test_fault(self) -> None:
        """What cannot be followed is logged, and what comes after it is followed."""
        worker = Worker()
        worker.following.take(Message(STANDING, {"state": "nonsense", "wanted": None}))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        worker.tell(snapshot_of({"acme/app": "a" * 16}), State.LOADED)
        self.assertEqual(list(worker.catalog.names()), ["acme/app"])
