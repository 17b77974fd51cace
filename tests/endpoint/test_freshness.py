"""The promises of freshness, as a client sees them: requests over HTTP in memory, a store, and a clock."""

from typing import Any

from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.findings import MISSING_SECONDS, TRUSTED_POLLS
from sdr.catalog.flights import LOOK_BURST, LOOK_RATE
from sdr.catalog.knowledge import Knowledge
from sdr.cdn.locations import RemoteCDN
from sdr.endpoint.rules import Rules
from sdr.endpoint.web import Questions, Root
from sdr.registry.grammar import Digest
from sdr.tree.keys import LISTS_KEY, blob_key, manifest_key, repository_key
from tests.catalog.polled import Polled
from tests.catalog.store import FakeStore, Reply, StoreSource, manifest

CDN = "https://cdn.example.com/tree"
NAME = "acme/app"


class FreshnessTests(SynchronousTestCase):
    """An endpoint that runs, beside a publisher."""

    def setUp(self) -> None:
        """Start an endpoint with one repository."""
        self.clock = Clock()
        self.store = FakeStore(self.clock.seconds)
        self.first = self.store.publish(NAME, "1.0")
        self.polled = Polled(StoreSource(self.store), self.clock)
        questions = Questions(Knowledge(self.polled.catalog), Rules(RemoteCDN(CDN)))
        self.client = HTTPClient(RequestTraversalAgent(Root(questions)))
        self.polled.service.startService()
        self.addCleanup(self.polled.service.stopService)

    def ask(self, path: str) -> Any:
        """Return the response to a GET."""
        return self.successResultOf(self.client.get(f"http://registry.example.com/v2/{path}", allow_redirects=False))

    def assert_pulled(self, name: str, tag: str, digest: Digest) -> None:
        """Pull: the tag leads to the manifest of this digest, and blobs are to be had."""
        got = self.ask(f"{name}/manifests/{tag}")
        self.assertEqual(got.code, 307)
        self.assertEqual(got.headers.getRawHeaders("location"), [f"{CDN}/{manifest_key(name, digest)}"])
        got = self.ask(f"{name}/blobs/{digest}")
        self.assertEqual(got.headers.getRawHeaders("location"), [f"{CDN}/{blob_key(digest)}"])

    def assert_not_found(self, name: str, tag: str) -> None:
        """Ask for what is not there."""
        self.assertEqual(self.ask(f"{name}/manifests/{tag}").code, 404)

    def test_new_repository(self) -> None:
        """A repository that was published a moment ago is pulled at once."""
        self.clock.advance(1)
        polls = self.store.count(LISTS_KEY)
        self.assert_pulled("acme/new", "1.0", self.store.publish("acme/new", "1.0"))
        self.assertEqual(self.store.count(LISTS_KEY), polls)

    def test_new_repository_without_documents(self) -> None:
        """A repository whose documents are not written yet is pulled by its manifest's own object."""
        self.assert_pulled("acme/new", "1.0", self.store.publish("acme/new", "1.0", document=False))

    def test_new_repository_before_the_first_poll(self) -> None:
        """Until the first poll has ended, the store's own objects are gone by."""
        polled = Polled(StoreSource(self.store), self.clock)
        questions = Questions(Knowledge(polled.catalog), Rules(RemoteCDN(CDN)))
        self.client = HTTPClient(RequestTraversalAgent(Root(questions)))
        self.assert_pulled(NAME, "1.0", self.first)
        self.assert_not_found(NAME, "2.0")

    def test_new_tag(self) -> None:
        """A tag that was published a moment ago is pulled at once, though its repository is known without it."""
        self.assert_pulled(NAME, "1.0", self.first)
        self.clock.advance(1)
        self.assert_pulled(NAME, "2.0", self.store.publish(NAME, "2.0"))
        # By then the document itself has been fetched again.
        asked = self.store.count()
        self.assert_pulled(NAME, "2.0", Digest.of(manifest(f"{NAME}:2.0")))
        self.assertEqual(self.store.count(), asked)

    def test_asked_for_too_early(self) -> None:
        """Whoever asked before it was published finds it a few seconds after, blobs and all."""
        self.assert_not_found("acme/new", "1.0")
        self.clock.advance(MISSING_SECONDS - 1)
        self.assert_not_found("acme/new", "2.0")
        digest = self.store.publish("acme/new", "1.0")
        self.clock.advance(1)
        self.assert_pulled("acme/new", "1.0", digest)

    def test_moved_tag(self) -> None:
        """A moved tag is seen within one poll, by then at the latest and for good."""
        self.assert_pulled(NAME, "1.0", self.first)
        self.clock.advance(10)
        moved = self.store.publish(NAME, "1.0", manifest("moved"))
        self.clock.advance(30)
        self.assert_pulled(NAME, "1.0", moved)

    def test_moved_tag_without_a_hint(self) -> None:
        """A moved tag that the lists never tell of is seen within five polls."""
        self.assert_pulled(NAME, "1.0", self.first)
        moved = self.store.publish(NAME, "1.0", manifest("moved"), listed=False)
        for _ in range(TRUSTED_POLLS):
            self.clock.advance(30)
        self.assert_pulled(NAME, "1.0", moved)

    def test_moved_tag_of_its_own_object(self) -> None:
        """A moved tag that no document has is seen within one poll too."""
        self.assert_pulled("acme/new", "1.0", self.store.publish("acme/new", "1.0", document=False))
        moved = self.store.publish("acme/new", "1.0", manifest("moved"), document=False)
        self.clock.advance(30)
        self.assert_pulled("acme/new", "1.0", moved)

    def test_removed_tag(self) -> None:
        """A tag that was removed, and is in no document any more, is gone within one poll."""
        self.store.publish(NAME, "2.0")
        self.assert_pulled(NAME, "1.0", self.first)
        self.store.remove(NAME)
        self.store.publish(NAME, "2.0")
        self.clock.advance(30)
        self.assert_not_found(NAME, "1.0")

    def test_repositories_in_use_cost_little(self) -> None:
        """A repository in use and unchanged costs one look in five polls, however often it is pulled."""
        for _ in range(2 * TRUSTED_POLLS):
            for _ in range(20):
                self.assert_pulled(NAME, "1.0", self.first)
                self.clock.advance(1.5)
        self.assertEqual(self.store.count(repository_key(NAME)), 2)

    def test_stranger(self) -> None:
        """Ten thousand random names cost the store what was budgeted; nobody who is known to the catalog suffers."""
        self.assert_pulled(NAME, "1.0", self.first)
        asked = self.store.count()
        codes: dict[int, int] = {}
        for number in range(10_000):
            code = self.ask(f"acme/r{number}/manifests/1.0").code
            codes[code] = codes.get(code, 0) + 1
        # Two looks for each 404; all others are the CDN's to answer.
        self.assertEqual(self.store.count() - asked, int(LOOK_BURST))
        self.assertEqual(codes, {404: int(LOOK_BURST) // 2, 307: 10_000 - int(LOOK_BURST) // 2})
        self.assert_pulled(NAME, "1.0", self.first)

    def test_stranger_and_a_moved_tag(self) -> None:
        """A stranger who spends the budget for random names, without end, does not make a moved tag late."""
        self.assert_pulled(NAME, "1.0", self.first)
        moved = self.store.publish(NAME, "1.0", manifest("moved"))
        for second in range(30):
            for number in range(2 * int(LOOK_RATE)):
                self.ask(f"acme/r{second}-{number}/manifests/1.0")
            self.clock.advance(1)
        self.assert_pulled(NAME, "1.0", moved)

    def test_store_gone(self) -> None:
        """When the store fails, what is known is pulled as before, and all else is the CDN's to answer."""
        self.assert_pulled(NAME, "1.0", self.first)
        self.store.down = Reply(500)
        for _ in range(20):
            self.clock.advance(30)
            self.assert_pulled(NAME, "1.0", self.first)
        got = self.ask("acme/other/manifests/1.0")
        self.assertEqual(got.code, 307)
        self.assertEqual(got.headers.getRawHeaders("location"), [f"{CDN}/{manifest_key('acme/other', '1.0')}"])
