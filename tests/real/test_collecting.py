"""Removing and collecting on real stores, down to the segments of large objects."""

from collections.abc import Mapping

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.checking import Checker
from sdr.publish.collection import Collection
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Silent
from sdr.publish.removal import Removal
from sdr.publish.tagging import Tagging
from sdr.stores.interface import Stat, Store
from sdr.stores.opening import open_store
from sdr.stores.swift import SwiftStore
from sdr.stores.swift_credentials import login
from tests import images
from tests.directories import new_directory
from tests.publish.publishing import publish
from tests.real.programs import folder
from tests.real.s3 import moto
from tests.real.swift import swift


def layout(text: str, size: int = 1000) -> str:
    """Write an image with a layer of so many bytes and one that all share, and return its SOURCE."""
    made = images.Layout()
    archives = images.layer_tar({"a": b"shared"}), images.layer_tar({"b": text.encode() * size})
    made.tag(made.image(layers=[made.add(archive, images.OCI_LAYER) for archive in archives], annotations={"of": text}))
    return f"oci:{made.write(folder() / 'layout')}"


class CollectingTests(SynchronousTestCase):
    """A store from the first publish to nothing."""

    def keys(self, store: Store, prefix: str = "blobs/") -> set[str]:
        """Return what is there."""
        return {found.key for found in store.list(prefix) if isinstance(found, Stat)}

    def collect(self, store: Store) -> tuple[str, ...]:
        """Mark and sweep, and return what was deleted."""
        collection = Collection(store, Jobs(8), Silent())
        collection.collect(0)
        return collection.collect(0).deleted

    def assert_clean(self, store: Store) -> None:
        """Require that a check with all hashes finds nothing."""
        self.assertEqual(Checker(store, Jobs(8), Silent()).check(deep=True).findings, ())

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
        self.assert_clean(store)
        published = publish(store, first, "acme/app", "1")
        removal = Removal(store, Jobs(8), Silent())
        removal.remove("acme/app", published.digest, force=True)
        deleted = self.collect(store)
        # Its config and its layer; the other layer is the other image's too.
        self.assertEqual((len(deleted), before - self.keys(store)), (2, set(deleted)))
        self.assert_clean(store)
        # What was swept is published again, in spite of the mark that tells of it.
        publish(store, first, "acme/app", "1")
        self.assertEqual(self.keys(store), before)
        self.assert_clean(store)
        Removal(store, Jobs(8), Silent()).remove("acme/app", None)
        self.collect(store)
        Collection(store, Jobs(8), Silent()).collect(0)
        self.assertEqual(self.keys(store, "blobs/") | self.keys(store, "_gc/") | self.keys(store, "v2/acme"), set())

    def opened(self, text: str, environment: Mapping[str, str]) -> Store:
        """Open a store."""
        return open_store(text, environment)

    def test_directory(self) -> None:
        """In a directory."""
        self.live(self.opened(str(new_directory(self) / "store"), {}))

    def test_s3(self) -> None:
        """In S3."""
        server = moto()
        self.live(self.opened(f"s3://{server.make_bucket('collecting')}", server.environment))

    def test_swift_by_s3(self) -> None:
        """In Swift by its S3 API."""
        server = swift()
        server.make_container("collecting-s3")
        self.live(self.opened("s3://collecting-s3", server.s3_environment))

    def test_swift(self) -> None:
        """In Swift, with every layer in segments: they go with their objects, and what was abandoned goes too."""
        server = swift()
        server.make_container("collecting")
        text = "swift://collecting"
        store = SwiftStore(text, "collecting", "", login(server.environment), segment_size=400)
        self.live(store)
        self.assertEqual([name for name in server.objects("collecting") if "_segments/blobs" in name], [])
        # An upload that was given up leaves segments, and no object.
        publish(store, layout("third", 2000), "acme/app", "3")
        large = next(stat.key for stat in store.list("blobs/") if isinstance(stat, Stat) and stat.size > 5000)
        self.assertEqual(server.ask("DELETE", f"collecting/{large}"), 204)
        self.assertEqual(list(store.abandoned()), [large])
        Removal(store, Jobs(8), Silent()).remove("acme/app", None)
        self.assertIn(large, self.collect(store))
        self.assertEqual([name for name in server.objects("collecting") if "_segments/blobs" in name], [])
