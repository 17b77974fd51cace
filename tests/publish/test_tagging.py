"""Tests of new tags for what is there."""

from sdr.publish.expecting import Expected
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Silent
from sdr.publish.refused import Refused
from sdr.publish.tagging import Tagging
from sdr.registry.grammar import Digest
from tests.publish.publishing import NAME, MemoryTestCase


class TaggingTests(MemoryTestCase):
    """New tags for what is there."""

    def tag(self, reference: str | Digest, new_tag: str, if_tag: Expected | None = None) -> tuple[str, ...]:
        """Tag, and return the keys whose copies a CDN may keep."""
        tagging = Tagging(self.store, Jobs(1), Silent(), sleep=lambda _: None)
        return tagging.tag(NAME, reference, new_tag, if_tag).cached

    def test_by_tag_and_by_digest(self) -> None:
        """A tag, or a digest, gets another tag; no blob is read or written for it."""
        self.publish("index", "1")
        blobs = {key: self.store.objects[key] for key in self.blobs()}
        for reference, tag in (("1", "stable"), (self.digests["index"], "again")):
            cached = self.tag(reference, tag)
            self.assertEqual(cached, (f"v2/{NAME}/manifests/{tag}", f"v2/{NAME}/tags/list"))
        tree = self.tree()
        self.assertEqual(tree[f"v2/{NAME}/manifests/again"], tree[f"v2/{NAME}/manifests/1"])
        self.assertEqual({key: self.store.objects[key] for key in self.blobs()}, blobs)
        self.assertEqual(self.tag("1", "stable"), ())

    def test_moves(self) -> None:
        """A tag that is there is moved, unless that was ruled out."""
        self.publish("image", "1")
        self.publish("other", "2")
        self.assertRaises(Refused, self.tag, "2", "1", Expected(None))
        self.tag("2", "1", Expected(self.digests["image"]))
        tree = self.tree()
        self.assertEqual(tree[f"v2/{NAME}/manifests/1"], tree[f"v2/{NAME}/manifests/2"])

    def test_nothing_there(self) -> None:
        """What is not there is told by its name."""
        for reference in ("1", self.digests["image"]):
            error = self.assertRaises(Refused, self.tag, reference, "2")
            self.assertIn(str(reference), str(error))
        self.assertEqual(self.store.objects, {})
