"""Tests of the list of what is published."""

from collections.abc import Callable, Iterable
from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.jobs import Jobs
from sdr.publish.listing import ListedTag, Listing
from sdr.stores.directory import DirectoryStore
from sdr.stores.interface import Bytes, NotThere, StoreError
from sdr.tree.headers import V1_TAG_HEADERS
from tests.directories import new_directory
from tests.images import FILES, Descriptor, Layout
from tests.publish.publishing import publish
from tests.publish.v1_trees import publish_v1
from tests.stores.memory import MemoryStore

NAME = "acme/app"


class ListingTestCase(SynchronousTestCase):
    """Has an empty store, whose clock stands."""

    def setUp(self) -> None:
        """Make it."""
        self.store = MemoryStore()
        self.store.now = lambda: 1000.0
        self.folder = new_directory(self, make=True)
        self.listing = Listing(self.store, Jobs(4))

    def publish(self, make: Callable[[Layout], Descriptor], tag: str = "1.0", name: str = NAME) -> Layout:
        """Publish what is made in a layout."""
        layout = Layout()
        layout.tag(make(layout))
        path = layout.write(self.folder / str(len(list(self.folder.iterdir()))))
        publish(self.store, f"oci:{path}", name, tag)
        return layout

    def listed(self, name: str = NAME) -> ListedTag:
        """Return the one tag of a repository."""
        (tag,) = self.listing.tags(name)
        return tag

    def error(self, of: Callable[[], object], *words: str) -> StoreError:
        """Require one line with these words."""
        error = self.assertRaises(StoreError, of)
        assert isinstance(error, StoreError)
        for word in words:
            self.assertIn(word, str(error))
        return error


class RepositoriesTests(ListingTestCase):
    """The repositories."""

    def test_sorted(self) -> None:
        """They come sorted, whatever the lists in which they stand."""
        names = [f"team{number}/app" for number in range(20)]
        for name in names:
            self.publish(Layout.image, name=name)
        self.assertEqual(self.listing.repositories(), tuple(sorted(names)))

    def test_nothing_published(self) -> None:
        """An empty store has none; a store that is not there is an error."""
        self.assertEqual(self.listing.repositories(), ())
        gone = Listing(DirectoryStore(self.folder / "gone"), Jobs(1))
        self.error(gone.repositories, str(self.folder / "gone"))

    def test_no_catalog(self) -> None:
        """Where repositories are there and the catalog is not, nobody is told that there are none."""
        self.publish(Layout.image)
        self.store.delete("v2/_repositories.json")
        self.error(self.listing.repositories, "v2/_repositories.json", "sdr index")

    def test_list_that_has_just_gone(self) -> None:
        """A list that was removed since the lists were read is an empty one."""
        self.publish(Layout.image)
        for key in [key for key in self.store.objects if key.endswith(".ndjson")]:
            self.store.delete(key)
        self.assertEqual(self.listing.repositories(), ())

    def test_malformed(self) -> None:
        """A document that is none of sdr's is named."""
        self.publish(Layout.image)
        for key in [key for key in self.store.objects if "_repositories" in key]:
            _, headers, stat = self.store.objects[key]
            self.store.objects[key] = b"nonsense", headers, stat
            self.error(self.listing.repositories, "_repositories", "sdr index")


class TagsTests(ListingTestCase):
    """The tags of a repository."""

    def test_image(self) -> None:
        """An image's size is that of its config and its layers, and its platform is the config's."""
        layout = self.publish(lambda layout: layout.image(platform="linux/arm/v7"))
        tag = self.listed()
        digest = layout.entries[0]["digest"]
        self.assertEqual((tag.tag, str(tag.digest), tag.modified), ("1.0", digest, 1000.0))
        self.assertEqual(tag.media_type, "application/vnd.oci.image.manifest.v1+json")
        self.assertEqual(tag.size, self.size_of(layout, [digest]))
        self.assertEqual([str(platform) for platform in tag.platforms], ["linux/arm/v7"])

    def test_several_platforms(self) -> None:
        """Of an index, the platforms are those of its entries, and a layer that they share counts once."""
        layout = self.publish(
            lambda layout: layout.index([layout.image(platform=each) for each in ("linux/arm64", "linux/amd64")])
        )
        tag = self.listed()
        self.assertEqual([str(platform) for platform in tag.platforms], ["linux/arm64", "linux/amd64"])
        manifests = [digest for digest, data in layout.blobs.items() if b"schemaVersion" in data]
        self.assertEqual(tag.size, self.size_of(layout, manifests))

    def test_index_in_an_index(self) -> None:
        """What is below an index is found however deep, and each platform named once."""
        self.publish(lambda layout: layout.index([layout.index([layout.image()]), layout.image({"a": b"other"})]))
        self.assertEqual([str(platform) for platform in self.listed().platforms], ["linux/amd64"])

    def test_no_platform(self) -> None:
        """An artifact has none, and the entry of an attestation names none."""
        self.publish(Layout.artifact, name="artifact")
        self.assertEqual(self.listed("artifact").platforms, ())
        self.publish(
            lambda layout: layout.index(
                [layout.image(), {**layout.artifact(), "platform": {"os": "unknown", "architecture": "unknown"}}]
            )
        )
        self.assertEqual([str(platform) for platform in self.listed().platforms], ["linux/amd64"])

    def test_foreign_layer(self) -> None:
        """A layer that is elsewhere does not count."""
        self.publish(lambda layout: layout.image(layers=[layout.layer(FILES)]))
        size = self.listed().size
        self.publish(lambda layout: layout.image(layers=[layout.layer(FILES), layout.foreign_layer(size=10**9)]))
        other = self.listed().size
        assert size is not None
        assert other is not None
        self.assertLess(other - size, 1000)

    def test_sorted(self) -> None:
        """Tags come sorted, with the time at which each was written."""
        for number, tag in enumerate(("b", "a", "c")):
            self.store.now = partial(float, number)
            self.publish(Layout.image, tag)
        self.assertEqual([(tag.tag, tag.modified) for tag in self.listing.tags(NAME)], [("a", 1), ("b", 0), ("c", 2)])

    def test_something_is_missing(self) -> None:
        """Without one of its manifests an image's size is not known; the rest of the list stands."""
        layout = self.publish(
            lambda layout: layout.index([layout.image(platform=each) for each in ("linux/arm64", "linux/amd64")])
        )
        digest = next(digest for digest, data in layout.blobs.items() if b'"layers":' in data and b"config" in data)
        self.store.delete(f"v2/{NAME}/manifests/{digest}")
        tag = self.listed()
        self.assertEqual((tag.size, len(tag.platforms)), (None, 2))

    def test_config_is_missing(self) -> None:
        """Without its config an image's platform is not known."""
        self.publish(Layout.image)
        for key in [key for key in self.store.objects if key.startswith("blobs/")]:
            self.store.delete(key)
        self.assertEqual(self.listed().platforms, ())

    def test_removed_meanwhile(self) -> None:
        """A tag that the repository's document still has, and the store no longer, is not listed."""
        self.publish(Layout.image)
        self.store.delete(f"v2/{NAME}/manifests/1.0")
        self.assertEqual(self.listing.tags(NAME), ())

    def test_no_such_repository(self) -> None:
        """A repository that is not there is named, and one whose name is longer is no help."""
        self.publish(Layout.image, name="acme/app")
        for name in "acme", "acme/app/more", "gone":
            self.assertIsInstance(self.error(partial(self.listing.tags, name), f" {name};"), NotThere)

    def test_no_document(self) -> None:
        """Where manifests are there and the document is not, nobody is told that there is no such repository."""
        self.publish(Layout.image)
        key = f"v2/{NAME}/_repository.json"
        data, headers, stat = self.store.objects.pop(key)
        self.error(lambda: self.listing.tags(NAME), key, "sdr index")
        self.store.objects[key] = data[:-9], headers, stat
        self.error(lambda: self.listing.tags(NAME), key, "sdr index")

    def size_of(self, layout: Layout, manifests: Iterable[str]) -> int:
        """Return the size of all content of a layout but these manifests."""
        return sum(len(data) for digest, data in layout.blobs.items() if digest not in manifests)


class V1Tests(ListingTestCase):
    """What is there for protocol v1, too."""

    def test_ids(self) -> None:
        """Of a tag that is there for protocol v1 the image's id is told, and none of others."""
        self.publish(Layout.image, tag="2")
        layout = Layout()
        layout.tag(layout.image())
        published = publish_v1(self.store, f"oci:{layout.write(self.folder / 'v1')}", NAME, "1")
        self.assertEqual([(each.tag, each.v1) for each in self.listing.tags(NAME)], [("1", published.id), ("2", None)])

    def test_names_of_one_part(self) -> None:
        """They are found where they are: below library."""
        layout = Layout()
        layout.tag(layout.image())
        published = publish_v1(self.store, f"oci:{layout.write(self.folder / 'v1')}", "app", "1")
        self.assertEqual([each.v1 for each in self.listing.tags("app")], [published.id])

    def test_malformed(self) -> None:
        """A tag that is no id is one line, with the way out."""
        self.publish(Layout.image, tag="1")
        key = f"repositories/{NAME}/tag_1"
        self.store.put(key, Bytes(b"?"), V1_TAG_HEADERS)
        self.error(lambda: self.listing.tags(NAME), key, "sdr v1")
