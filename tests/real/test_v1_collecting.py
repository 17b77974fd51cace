"""Checking, removing and collecting what protocol v1 has on real stores, segments of large layers too."""

from sdr.publish.jobs import Jobs
from sdr.publish.progress import Silent
from sdr.publish.removal import Removal
from sdr.stores.interface import Store
from tests import images
from tests.publish.checked import layered
from tests.publish.v1_trees import publish_v1
from tests.real import collecting
from tests.real.programs import folder

NAME = "acme/app"


def layout(text: str) -> str:
    """Write an image with a layer that all share and one of its own, and return its SOURCE."""
    made = images.Layout()
    layered(made, "image", ({"a": b"shared" * 100}, ""), ({"b": text.encode() * 1000}, ""))
    return f"oci:{made.write(folder() / 'layout')}"


class CollectingTests(collecting.CollectingTestCase):
    """Images of protocol v1 from the first publish to nothing; in a directory a layer is its blob by another name."""

    place = "v1-collecting"

    def live(self, store: Store) -> None:
        """Publish, untag, collect, remove and collect; only what is of no use goes, and all of that."""
        publish_v1(store, layout("first"), NAME, "1")
        second = publish_v1(store, layout("second"), NAME, "2")
        checked = self.check(store)
        self.assertEqual((checked.findings, checked.notes), ((), ()))
        before = self.keys(store, "images/")
        self.collect(store)
        self.assertEqual(self.keys(store, "images/"), before)
        Removal(store, Jobs(8), Silent()).untag(NAME, "2")
        self.collect(store)
        gone = before - self.keys(store, "images/")
        self.assertEqual({key.split("/")[1] for key in gone}, {second.id})
        self.assertEqual(self.check(store).findings, ())
        # The blobs go without the layers of protocol v1, whatever the store shares between them.
        for key in self.keys(store, "v2/"):
            store.delete(key)
        # A directory's files with two names take a run more.
        self.collect(store, 3)
        self.assertEqual(self.keys(store, "blobs/"), set())
        self.assertEqual(self.check(store).findings, ())
        Removal(store, Jobs(8), Silent()).remove(NAME, None)
        self.collect(store, 3)
        self.assertEqual(self.keys(store, "images/") | self.keys(store, "repositories/"), set())

    def test_swift(self) -> None:
        """In Swift, with every layer in segments: they go with their objects."""
        self.live(self.segmented())
        self.assertEqual(self.segments(""), [])
