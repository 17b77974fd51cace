"""Tests of what is known of protocol v1: images and tags of the tree and of an old store, looked up and remembered."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.flights import LOOK_BURST, LOOKS_AT_ONCE
from sdr.catalog.lookups import ABSENT, UNKNOWN
from sdr.catalog.v1_catalog import V1_SECONDS, V1Catalog
from sdr.catalog.v1_lookups import (
    FoundImage,
    FoundTags,
    V1ImageLookup,
    V1IndexLookup,
    V1Lookup,
    V1TagLookup,
    V1TagsLookup,
)
from sdr.catalog.v1_store import INDEX_IDS, MANY_TAGS, REQUESTS_AT_ONCE
from sdr.tree.v1 import encode_images, encode_tag, encode_tags, images_key, tag_key, tags_key
from tests.catalog.polled import at_once, texts
from tests.catalog.v1_stores import BASE, HALF, TOP, MemorySource, image

R = TypeVar("R")

POLL = 30.0
NAME = "demo/hello"


class V1CatalogCase(SynchronousTestCase):
    """A catalog over a tree and an old store in memory."""

    def setUp(self) -> None:
        """Make them; the tree is empty."""
        self.clock = Clock()
        self.tree, self.old = MemorySource({}), MemorySource()
        self.v1 = V1Catalog(self.tree, self.old, self.clock, POLL, at_once)

    def known(self, lookup: V1Lookup[Any]) -> Any:
        """Return what is known, after a look if one is due."""
        known = self.v1.recall(lookup)
        return self.successResultOf(self.v1.look(lookup)) if known is None else known

    def publish(self, name: str, tag: str, image_id: str) -> None:
        """Write an image and its tag into the tree."""
        self.tree.objects |= image(image_id)
        self.tree.objects[tag_key(name, tag)] = encode_tag(image_id)
        self.tree.objects[tags_key(name)] = encode_tags({tag: image_id})
        self.tree.objects[images_key(name)] = encode_images({tag: image_id})


class TreeTests(V1CatalogCase):
    """The tree's own images."""

    def test_image(self) -> None:
        """An image has its bytes, and the length of its layer."""
        self.publish("app", "1.0", TOP)
        self.tree.objects[f"images/{TOP}/layer"] = bytes(12345)
        self.assertEqual(self.known(V1ImageLookup(TOP)), FoundImage(b'{"id":"%s"}' % TOP.encode(), 12345))
        self.assertEqual(len(self.tree.asked), 2, "nothing else is asked for")

    def test_not_whole(self) -> None:
        """An image without a json or layer is not there."""
        for part in ("json", "layer"):
            self.publish("app", "1.0", TOP)
            del self.tree.objects[f"images/{TOP}/{part}"]
            self.assertIs(self.known(V1ImageLookup(TOP)), ABSENT)
            self.clock.advance(6)

    def test_another_image(self) -> None:
        """A json that is not this image's is not sent, and that is said once."""
        for data in (b'{"id":"%s"}' % BASE.encode(), b"[]", b"{", b"\xff", b"{}"):
            self.setUp()
            self.tree.objects |= {f"images/{TOP}/json": data, f"images/{TOP}/layer": b""}
            with capturedLogs() as captured:
                self.assertIs(self.known(V1ImageLookup(TOP)), ABSENT)
            self.assertEqual(len(texts(captured)), 1, data)
            self.clock.advance(6)
            with capturedLogs() as captured:
                self.assertIs(self.known(V1ImageLookup(TOP)), ABSENT)
            self.assertEqual(texts(captured), [])

    def test_repository(self) -> None:
        """Tags and the list of images come from their objects; `app` and `library/app` are one."""
        self.publish("app", "1.0", TOP)
        self.assertEqual(self.known(V1TagsLookup("app")), FoundTags.of({"1.0": TOP}))
        self.assertEqual(self.known(V1TagLookup("app", "1.0")), TOP)
        self.assertEqual(json.loads(self.known(V1IndexLookup("app"))), [{"id": TOP}])
        self.assertIn("GET repositories/library/app/tags", self.tree.asked)
        self.assertEqual([asked for asked in self.tree.asked if asked.startswith("LIST")], [])

    def test_absent(self) -> None:
        """What is not there is absent, though S3 says 403."""
        for lookup in (V1TagsLookup("app"), V1TagLookup("app", "1"), V1IndexLookup("app"), V1ImageLookup(TOP)):
            self.assertIs(self.known(lookup), ABSENT)

    def test_no_list_of_images(self) -> None:
        """A repository that has tags and no list of images has an empty one: the tags are the truth."""
        self.publish("a/b", "1.0", TOP)
        del self.tree.objects[images_key("a/b")]
        self.assertEqual(self.known(V1IndexLookup("a/b")), b"[]")

    def test_many_tags(self) -> None:
        """Tags are written as they are sent once for all who ask, and away from the reactor where they are many."""
        calls: list[Callable[[], Any]] = []

        def in_thread(call: Callable[[], R], /) -> Deferred[R]:
            calls.append(call)
            return at_once(call)

        self.v1 = V1Catalog(self.tree, None, self.clock, POLL, in_thread)
        for number, away in ((MANY_TAGS - 1, 0), (MANY_TAGS, 1)):
            tags = {str(tag): TOP for tag in range(number)}
            self.tree.objects[tags_key("app")] = encode_tags(tags)
            found = self.known(V1TagsLookup("app"))
            self.assertEqual((found.ids, found.body), (tags, encode_tags(tags)))
            self.assertIs(self.known(V1TagsLookup("app")).body, found.body)
            self.assertEqual(len(calls), away)
            self.clock.advance(POLL)

    def test_malformed(self) -> None:
        """An object that is not what it should be is as good as not seen."""
        self.publish("app", "1.0", TOP)
        self.tree.objects |= {tags_key("app"): b"<html>", tag_key("app", "1.0"): b"?", images_key("app"): b"{}"}
        for lookup in (V1TagsLookup("app"), V1TagLookup("app", "1.0"), V1IndexLookup("app")):
            with capturedLogs() as captured:
                self.assertIs(self.known(lookup), UNKNOWN)
            self.assertIn("is not usable", texts(captured)[0])


class OldTests(V1CatalogCase):
    """A store of 2014."""

    def test_tags_by_listing(self) -> None:
        """Tags are found by listing, but not those whose image is half there."""
        self.assertEqual(self.known(V1TagsLookup(NAME, old=True)), FoundTags.of({"latest": TOP}))
        self.assertIs(self.known(V1TagsLookup("demo/conv", old=True)), ABSENT)
        self.assertIs(self.known(V1TagsLookup("demo/none", old=True)), ABSENT)

    def test_tag(self) -> None:
        """A tag needs no listing, and its image must be whole."""
        self.assertEqual(self.known(V1TagLookup(NAME, "latest", old=True)), TOP)
        self.assertIs(self.known(V1TagLookup(NAME, "half", old=True)), ABSENT)
        self.assertEqual([asked for asked in self.old.asked if asked.startswith("LIST")], [])

    def test_patched(self) -> None:
        """Where ActiveState's patch wrote the tags and the list of images, these are taken."""
        self.old.objects["repositories/demo/hello/tags"] = encode_tags({"1": TOP, "half": HALF})
        self.old.objects["repositories/demo/hello/images"] = b'[{"id": "%s", "Tag": "1"}]' % TOP.encode()
        self.assertEqual(self.known(V1TagsLookup(NAME, old=True)), FoundTags.of({"1": TOP}))
        self.assertEqual(json.loads(self.known(V1IndexLookup(NAME, old=True))), [{"id": TOP}])
        self.assertEqual([asked for asked in self.old.asked if asked.startswith("LIST")], [])

    def test_index(self) -> None:
        """The list of images is sent without its tags: docker would pull those, offered or not."""
        self.assertEqual(json.loads(self.known(V1IndexLookup(NAME, old=True))), [{"id": BASE}, {"id": TOP}])

    def test_index_of_half_images(self) -> None:
        """What is not whole is in no list of images; a repository that has nothing else has an empty one."""
        self.assertEqual(self.known(V1IndexLookup("demo/conv", old=True)), b"[]")
        self.old.objects["repositories/demo/hello/_index_images"] = json.dumps([{"id": HALF}, {"id": BASE}]).encode()
        self.assertEqual(json.loads(self.known(V1IndexLookup(NAME, old=True))), [{"id": BASE}])

    def test_long_index(self) -> None:
        """A list of very many images is empty: that is enough for every docker, and costs no look at each."""
        ids = [f"{number:064x}" for number in range(INDEX_IDS + 1)]
        self.old.objects["repositories/demo/hello/_index_images"] = json.dumps([{"id": each} for each in ids]).encode()
        self.assertEqual(self.known(V1IndexLookup(NAME, old=True)), b"[]")
        self.assertEqual([asked for asked in self.old.asked if asked.startswith("HEAD")], [])

    def test_whole_is_learnt_once(self) -> None:
        """Whether an image is whole is asked once, by whatever needs it first."""
        self.known(V1ImageLookup(TOP, old=True))
        asked = len(self.old.asked)
        self.assertEqual(self.known(V1TagLookup(NAME, "latest", old=True)), TOP)
        self.assertEqual(self.old.asked[asked:], ["GET repositories/demo/hello/tag_latest"])
        self.known(V1IndexLookup(NAME, old=True))
        asked = len(self.old.asked)
        self.assertIsInstance(self.known(V1ImageLookup(BASE, old=True)), FoundImage)
        self.assertEqual(self.old.asked[asked:], [f"GET images/{BASE}/json", f"HEAD images/{BASE}/layer"])

    def test_half_images(self) -> None:
        """An image that lacks a part, or that is being uploaded, is not there; and is, once it is whole."""
        lookup = V1ImageLookup(HALF, old=True)
        self.assertIs(self.known(lookup), ABSENT)
        del self.old.objects[f"images/{HALF}/_inprogress"]
        for part in ("json", "ancestry", "layer"):
            self.clock.advance(6)
            kept = self.old.objects.pop(f"images/{HALF}/{part}")
            self.assertIs(self.known(lookup), ABSENT, part)
            self.assertNotIn("half", self.known(V1TagsLookup(NAME, old=True)).ids)
            self.old.objects[f"images/{HALF}/{part}"] = kept
        self.clock.advance(POLL)
        self.assertIsInstance(self.known(lookup), FoundImage)
        self.assertEqual(self.known(V1TagsLookup(NAME, old=True)), FoundTags.of({"half": HALF, "latest": TOP}))

    def test_quoted_names(self) -> None:
        """A name with several parts stands where the registry of 2014 put it."""
        self.old.objects["repositories/a/b%2Fc/tag_1"] = TOP.encode()
        self.assertEqual(self.known(V1TagLookup("a/b/c", "1", old=True)), TOP)
        self.assertEqual(self.known(V1TagsLookup("a/b/c", old=True)), FoundTags.of({"1": TOP}))

    def test_ids_are_read_once(self) -> None:
        """A tag's object is read again when the listing says that it has changed, and not before."""
        self.known(V1TagsLookup(NAME, old=True))
        self.clock.advance(POLL)
        asked = len(self.old.asked)
        self.known(V1TagsLookup(NAME, old=True))
        again = self.old.asked[asked:]
        self.assertNotIn("GET repositories/demo/hello/tag_latest", again)
        self.assertNotIn(f"HEAD images/{TOP}/json", again, "what is whole stays whole")
        self.old.objects["repositories/demo/hello/tag_latest"] = BASE.encode()
        self.clock.advance(POLL)
        self.assertEqual(self.known(V1TagsLookup(NAME, old=True)), FoundTags.of({"latest": BASE}))

    def test_odd_tags(self) -> None:
        """An object that has no id in it, or no tag in its name, is no tag."""
        self.old.objects |= {
            f"repositories/demo/hello/tag_{tag}": data
            for tag, data in (
                ("bad", b"<html>"),
                ("-x", TOP.encode()),
                ("", TOP.encode()),
                ("quoted", b'"%s"\n' % BASE.encode()),
            )
        }
        self.assertEqual(self.known(V1TagsLookup(NAME, old=True)), FoundTags.of({"latest": TOP, "quoted": BASE}))

    def test_cannot_list(self) -> None:
        """A store that cannot list has no list of tags, and its single tags all the same."""
        self.old.lists = False
        self.assertIs(self.known(V1TagsLookup(NAME, old=True)), ABSENT)
        self.assertEqual(self.known(V1TagLookup(NAME, "latest", old=True)), TOP)
        self.assertIsInstance(self.known(V1IndexLookup(NAME, old=True)), bytes)

    def test_no_old_store(self) -> None:
        """Without an old store nothing is in it."""
        v1 = V1Catalog(self.tree, None, self.clock, POLL, at_once)
        self.assertIs(v1.recall(V1ImageLookup(TOP, old=True)), ABSENT)
        self.assertIs(self.successResultOf(v1.look(V1ImageLookup(TOP, old=True))), ABSENT)
        self.successResultOf(v1.stop())

    def test_requests_at_once(self) -> None:
        """However many tags there are, a few requests are under way at a time."""
        self.old.objects |= {f"repositories/demo/hello/tag_{number}": TOP.encode() for number in range(200)}
        looking: Deferred[Any] = self.v1.look(V1TagsLookup(NAME, old=True))
        self.assertEqual(len(self.successResultOf(looking).ids), 201)
        self.clock.advance(POLL)
        self.old.objects |= {f"repositories/demo/hello/tag_{number}": BASE.encode() for number in range(200)}
        self.old.held = []
        looking = self.v1.look(V1TagsLookup(NAME, old=True))
        while not looking.called:
            self.assertLessEqual(len(self.old.held), REQUESTS_AT_ONCE)
            held, self.old.held = self.old.held, []
            for each in held:
                each.callback(None)
        self.assertEqual(self.successResultOf(looking).ids["7"], BASE)


class RememberingTests(V1CatalogCase):
    """For how long things are known, and what strangers may cost."""

    def test_images_stay(self) -> None:
        """An image is looked at once."""
        self.publish("app", "1.0", TOP)
        for _ in range(3):
            self.known(V1ImageLookup(TOP))
            self.clock.advance(100_000)
        self.assertEqual(len(self.tree.asked), 2)

    def test_tags_move(self) -> None:
        """A tag that has moved is seen within a poll."""
        self.publish("app", "1.0", TOP)
        self.assertEqual(self.known(V1TagLookup("app", "1.0")), TOP)
        self.publish("app", "1.0", BASE)
        self.assertEqual(self.known(V1TagLookup("app", "1.0")), TOP)
        self.clock.advance(POLL)
        self.assertEqual(self.known(V1TagLookup("app", "1.0")), BASE)

    def test_new(self) -> None:
        """What was not there is looked for again after five seconds."""
        self.assertIs(self.known(V1TagLookup("app", "1.0")), ABSENT)
        self.publish("app", "1.0", TOP)
        self.clock.advance(4.9)
        self.assertIs(self.known(V1TagLookup("app", "1.0")), ABSENT)
        self.clock.advance(0.1)
        self.assertEqual(self.known(V1TagLookup("app", "1.0")), TOP)

    def test_store_down(self) -> None:
        """While the store is down, what was known stands; what was not is unknown, and said once a minute."""
        lookups: list[V1Lookup[Any]] = [V1TagsLookup(NAME, old=True), V1TagLookup(NAME, "latest", old=True)]
        before = [self.known(lookup) for lookup in lookups]
        self.clock.advance(POLL)
        self.old.down = True
        with capturedLogs() as captured:
            for _ in range(3):
                self.assertEqual([self.known(lookup) for lookup in lookups], before)
                self.assertIs(self.known(V1ImageLookup(TOP, old=True)), UNKNOWN)
                self.clock.advance(6)
        self.assertEqual(len(texts(captured)), 1)

    def test_half_seen(self) -> None:
        """What was only half seen is unknown, never absent."""
        self.old.faults = {f"images/{TOP}/layer"}
        for lookup in (
            V1ImageLookup(TOP, old=True),
            V1TagLookup(NAME, "latest", old=True),
            V1TagsLookup(NAME, old=True),
        ):
            self.assertIs(self.known(lookup), UNKNOWN)

    def test_one_look_for_all(self) -> None:
        """Who asks for the same at the same time waits for one look."""
        self.old.held = []
        looks = [self.v1.look(V1TagLookup(NAME, "latest", old=True)) for _ in range(5)]
        self.assertEqual(len(self.old.held), 1)
        held, self.old.held = self.old.held, None
        held[0].callback(None)
        self.assertEqual([self.successResultOf(look) for look in looks], [TOP] * 5)

    def test_deadline(self) -> None:
        """A look that does not end is given up, and what it has learnt stays learnt."""
        self.old.held = []
        looking = self.v1.look(V1TagsLookup(NAME, old=True))
        self.clock.advance(V1_SECONDS)
        self.assertIs(self.successResultOf(looking), UNKNOWN)
        self.old.held = None
        self.clock.advance(6)
        self.assertEqual(self.known(V1TagsLookup(NAME, old=True)), FoundTags.of({"latest": TOP}))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_budget(self) -> None:
        """Invented names do not spend what is there for known ones."""
        self.publish("app", "1.0", TOP)
        self.known(V1TagLookup("app", "1.0"))
        self.clock.advance(POLL)
        for number in range(int(LOOK_BURST)):
            self.known(V1TagLookup("app", f"x{number}"))
        asked = len(self.tree.asked)
        self.assertIs(self.known(V1TagLookup("app", "y")), UNKNOWN)
        self.assertEqual(len(self.tree.asked), asked)
        self.publish("app", "1.0", BASE)
        self.assertEqual(self.known(V1TagLookup("app", "1.0")), BASE)

    def test_looks_at_once(self) -> None:
        """Only so many looks are under way."""
        self.tree.held = []
        looks = [self.v1.look(V1TagLookup("app", f"x{number}")) for number in range(LOOKS_AT_ONCE + 1)]
        self.assertIs(self.successResultOf(looks[-1]), UNKNOWN)
        self.assertNoResult(looks[0])
        self.successResultOf(self.v1.stop())

    def test_stop(self) -> None:
        """Stopping gives up what is under way, lets go of the old store alone, and looks no more."""
        self.old.held = []
        looking: Deferred[Any] = self.v1.look(V1TagsLookup(NAME, old=True))
        self.successResultOf(self.v1.stop())
        self.assertIs(self.successResultOf(looking), UNKNOWN)
        self.assertEqual((self.old.stopped, self.tree.stopped), (True, False))
        self.assertIs(self.successResultOf(self.v1.look(V1TagLookup(NAME, "1", old=True))), UNKNOWN)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.old.held = None
        self.v1.start()
        self.assertEqual(self.known(V1TagLookup(NAME, "latest", old=True)), TOP)
