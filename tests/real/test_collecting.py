"""Removing and collecting on real stores, down to the segments of large objects."""

from sdr.publish.collection import Collection
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Silent
from sdr.publish.removal import Removal
from sdr.publish.tagging import Tagging
from sdr.stores.interface import Stat, Store
from sdr.stores.opening import open_store
from tests import images
from tests.publish.publishing import publish
from tests.real import collecting
from tests.real.programs import folder
from tests.real.swift import swift


def layout(text: str, size: int = 1000) -> str:
    """Write an image with a layer of so many bytes and one that all share, and return its SOURCE."""
    made = images.Layout()
    archives = images.layer_tar({"a": b"shared"}), images.layer_tar({"b": text.encode() * size})
    made.tag(made.image(layers=[made.add(archive, images.OCI_LAYER) for archive in archives], annotations={"of": text}))
    return f"oci:{made.write(folder() / 'layout')}"


class CollectingTests(collecting.CollectingTestCase):
    """A store from the first publish to nothing."""

    place = "collecting"

    def live(self, store: Store) -> None:
        """Publish, tag, untag, remove and collect; only what is of no use goes, and all of that."""
        first, second = layout("first"), layout("second")
        publish(store, first, "acme/app", "1")
        publish(store, second, "acme/app", "2")
        before = self.keys(store)
        self.assertEqual(self.collect(store), ())
        Tagging(store, Jobs(8), Silent()).tag("acme/app", "2", "stable")
        removal = Removal(store, Jobs(8), Silent())
        removal.untag("acme/app", "1")
        self.assertEqual(self.collect(store), ())
        self.assertEqual(self.check(store).findings, ())
        published = publish(store, first, "acme/app", "1")
        removal = Removal(store, Jobs(8), Silent())
        removal.remove("acme/app", published.digest, force=True)
        deleted = self.collect(store)
        # Its config and its layer; the other layer is the other image's too.
        self.assertEqual((len(deleted), before - self.keys(store)), (2, set(deleted)))
        self.assertEqual(self.check(store).findings, ())
        # What was swept is published again, in spite of the mark that tells of it.
        publish(store, first, "acme/app", "1")
        self.assertEqual(self.keys(store), before)
        self.assertEqual(self.check(store).findings, ())
        Removal(store, Jobs(8), Silent()).remove("acme/app", None)
        self.collect(store)
        Collection(store, Jobs(8), Silent()).collect(0)
        self.assertEqual(self.keys(store, "blobs/") | self.keys(store, "_gc/") | self.keys(store, "v2/acme"), set())

    def test_swift_by_s3(self) -> None:
        """In Swift by its S3 API."""
        server = swift()
        server.make_container("collecting-s3")
        self.live(open_store("s3://collecting-s3", server.s3_environment))

    def test_swift(self) -> None:
        """In Swift, with every layer in segments: they go with their objects, and what was abandoned goes too."""
        store = self.segmented()
        self.live(store)
        self.assertEqual(self.segments("blobs"), [])
        # An upload that was given up leaves segments, and no object.
        publish(store, layout("third", 2000), "acme/app", "3")
        large = next(stat.key for stat in store.list("blobs/") if isinstance(stat, Stat) and stat.size > 5000)
        self.assertEqual(swift().ask("DELETE", f"collecting/{large}"), 204)
        self.assertEqual(list(store.abandoned()), [large])
        Removal(store, Jobs(8), Silent()).remove("acme/app", None)
        self.assertIn(large, self.collect(store))
        self.assertEqual(self.segments("blobs"), [])
