"""Tests of tags: several at once, and guarded ones."""

import json
from collections.abc import Sequence

from sdr.publish.expecting import Expected
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Silent
from sdr.publish.publisher import Publication, Publisher
from sdr.publish.refused import Refused
from sdr.publish.sources.opening import Source, open_image
from sdr.stores.interface import ANY_VERSION, AnyVersion, Body, Bytes, Store
from sdr.tree.headers import Headers
from tests.publish.publishing import NAME, MemoryTestCase
from tests.publish.trees import snapshot_of
from tests.stores.memory import MemoryStore


class Hasty(MemoryStore):
    """A store in which somebody else moves a tag right before it is moved."""

    def put(self, key: str, body: Body, headers: Headers, *, replaces: str | AnyVersion | None = ANY_VERSION) -> str:
        """Write, a moment too late."""
        if key == f"v2/{NAME}/manifests/raced":
            super().put(key, Bytes(b"other"), headers)
        return super().put(key, body, headers, replaces=replaces)


class Removing(MemoryStore):
    """A store in which somebody removes a tag while the documents are being written."""

    def put(self, key: str, body: Body, headers: Headers, *, replaces: str | AnyVersion | None = ANY_VERSION) -> str:
        """Write, and remove."""
        version = super().put(key, body, headers, replaces=replaces)
        if key.endswith("_repository.json"):
            self.delete(f"v2/{NAME}/manifests/gone")
        return version


class TagsTests(MemoryTestCase):
    """Publishing under tags with conditions."""

    def publish_as(
        self, ref: str, tags: Sequence[str], if_tag: Expected | None = None, store: Store | None = None
    ) -> Publication:
        """Publish under several tags."""
        with open_image(Source.parse(f"oci:{self.path}:{ref}"), None, Jobs(1), Silent()) as image:
            publisher = Publisher(store or self.store, Jobs(1), Silent(), sleep=lambda _: None)
            return publisher.publish(image, NAME, tags, if_tag)

    def names(self) -> dict[str, str]:
        """Return what the repository's document says that each tag is."""
        document = json.loads(self.tree()[f"v2/{NAME}/_repository.json"])
        return {tag: entry[0] for tag, entry in document["tags"].items()}

    def test_several_tags(self) -> None:
        """An image may be published under several tags at once; each is written, and all of it told."""
        publication = self.publish_as("image", ["1.0", "1", "latest"])
        self.assertEqual(publication.tags, ("1.0", "1", "latest"))
        self.assertEqual(self.names(), dict.fromkeys(["1", "1.0", "latest"], str(self.digests["image"])))
        self.assertEqual(self.publish_as("image", ["1.0", "1", "latest"]).account.written, ())

    def test_absent(self) -> None:
        """With "absent" a tag is made but not moved; publishing the same again under it is no move."""
        absent = Expected.parse("absent")
        self.publish_as("image", ["1"], absent)
        self.publish_as("image", ["1"], absent)
        before = self.tree()
        error = self.assertRaises(Refused, self.publish_as, "other", ["2", "1"], absent)
        self.assertIn(f"{NAME}:1 is there already", str(error))
        # Not even a blob was written.
        self.assertEqual(self.tree(), before)

    def test_removed_meanwhile(self) -> None:
        """A tag that is removed while the documents are written is in none of them in the end."""
        self.store = Removing()
        self.publish_as("image", ["1", "gone"])
        self.assertEqual(self.names(), {"1": str(self.digests["image"])})

    def test_digest(self) -> None:
        """With a digest a tag is moved from there and from nowhere else."""
        image, other = (self.digests[ref] for ref in ("image", "other"))
        self.assertRaises(Refused, self.publish_as, "other", ["1"], Expected(image))
        self.publish_as("image", ["1"])
        error = self.assertRaises(Refused, self.publish_as, "index", ["1"], Expected(other))
        self.assertIn(str(image), str(error))
        self.publish_as("other", ["1"], Expected(image))
        self.assertEqual(self.names(), {"1": str(other)})

    def test_atomic(self) -> None:
        """A tag that somebody moves at the same moment is left to them; those before it are level."""
        self.store = Hasty()
        error = self.assertRaises(Refused, self.publish_as, "image", ["1", "raced"], Expected(None))
        self.assertIn("raced", str(error))
        tree = snapshot_of(self.store)
        self.assertEqual(tree[f"v2/{NAME}/manifests/raced"], b"other")
        self.assertEqual(json.loads(tree[f"v2/{NAME}/tags/list"])["tags"], ["1"])

    def test_without_conditional_writes(self) -> None:
        """Where nothing is atomic the guard is kept as well as can be."""
        self.store = MemoryStore(conditional_writes=False)
        absent = Expected.parse("absent")
        self.publish_as("image", ["1"], absent)
        self.assertRaises(Refused, self.publish_as, "other", ["1"], absent)
        self.assertEqual(self.names(), {"1": str(self.digests["image"])})
