"""Tests of OCI layouts that are refused, and of choosing in them."""

import json
import os
from typing import Any

from sdr.publish.image import BadSource
from sdr.stores.directory import DirectoryStore
from tests.directories import new_directory
from tests.images import DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Descriptor, Layout, to_json
from tests.publish.publishing import NAME, PublishingTestCase


def two_platforms() -> tuple[Layout, list[Descriptor]]:
    """Return a layout with an index of two images."""
    layout = Layout()
    images = [layout.image({"a": each.encode()}, platform=f"linux/{each}") for each in ("amd64", "arm64")]
    layout.tag(layout.index(images), "1.0")
    return layout, images


class ChoosingTests(PublishingTestCase):
    """Which image of a layout is meant."""

    def test_by_name(self) -> None:
        """Several images are chosen by name; without one they are listed."""
        layout = Layout()
        images = {name: layout.tag(layout.image({"a": name.encode()}), name) for name in ("1.0", "2.0")}
        source = self.oci(layout)
        for name, image in images.items():
            self.assertEqual(str(self.publish(f"{source}:{name}").digest), image["digest"])
        self.refused(source, "2 images", "1.0, 2.0")
        self.refused(f"{source}:3.0", "no 3.0", "1.0, 2.0")

    def test_unnamed(self) -> None:
        """Images without a name are listed, and chosen, by number."""
        layout = Layout()
        images = [layout.tag(layout.image({"a": each})) for each in (b"a", b"b")]
        source = self.oci(layout)
        self.refused(source, "@0, @1")
        self.assertEqual(str(self.publish(f"{source}:@1").digest), images[1]["digest"])
        for wrong in ("@2", "@-1", "@", "@x", f"@{'9' * 5000}", "@²"):
            self.refused(f"{source}:{wrong}", "there is no")

    def test_by_digest(self) -> None:
        """Any manifest of a layout can be named by its digest, children too."""
        layout, images = two_platforms()
        source = self.oci(layout)
        self.assertEqual(str(self.publish(f"{source}:@{images[1]['digest']}").digest), images[1]["digest"])
        self.refused(f"{source}:@sha256:{'0' * 64}", "is not in it")
        self.refused(f"{source}:@sha256:x", "not a sha256 or sha512 digest")

    def test_the_same_twice(self) -> None:
        """One image under two names needs no choice."""
        layout = Layout()
        image = layout.image()
        layout.tag(image, "1.0")
        layout.tag(image, "latest")
        self.publish(layout)

    def test_empty(self) -> None:
        """A layout without an image is refused."""
        self.refused(Layout(), "no image in it")

    def test_hostile_names(self) -> None:
        """A list of choices is one line whatever the names; the command escapes what is left."""
        layout = Layout()
        for content in (b"a", b"b"):
            layout.tag(layout.image({"a": content}), "x" * 1000)
        self.refused(layout, "2 images")


class PlatformTests(PublishingTestCase):
    """Publishing one child of an index."""

    def test_child(self) -> None:
        """--platform publishes that child as it is, and nothing of the others."""
        layout, images = two_platforms()
        publication = self.publish(layout, platform="linux/arm64")
        self.assertEqual((str(publication.digest), publication.media_type), (images[1]["digest"], OCI_MANIFEST))
        tree = self.tree()
        self.assertEqual(len([key for key in tree if "/manifests/" in key]), 2)

    def test_nested_child(self) -> None:
        """The child may be in an index in an index, and need not tell its platform to the index."""
        layout = Layout()
        images = [layout.image(platform=f"linux/{each}") for each in ("amd64", "arm64")]
        for image in images:
            del image["platform"]
        layout.tag(layout.index([layout.index(images)]))
        self.assertEqual(str(self.publish(layout, platform="linux/arm64").digest), images[1]["digest"])

    def test_variants(self) -> None:
        """A variant that is not said is the usual one, else the only one there is."""
        layout = Layout()
        images = {each: layout.image(platform=each) for each in ("linux/arm/v6", "linux/arm/v7", "linux/arm64/v8")}
        layout.tag(layout.index([*images.values(), layout.image(platform="linux/riscv64/x")]))
        source = self.oci(layout)
        for asked, meant in (("linux/arm", "linux/arm/v7"), ("linux/arm/v6",) * 2, ("linux/arm64", "linux/arm64/v8")):
            self.assertEqual(str(self.publish(source, platform=asked).digest), images[meant]["digest"])
        self.publish(source, platform="linux/riscv64")
        self.refused(source, "linux/arm/v5", "it has", "linux/arm/v6", platform="linux/arm/v5")

    def test_several(self) -> None:
        """If several fit, they are listed with the digests by which one can be named."""
        layout = Layout()
        images = [layout.image({"a": each}, platform="windows/amd64") for each in (b"a", b"b")]
        layout.tag(layout.index(images))
        self.refused(layout, images[0]["digest"], images[1]["digest"], platform="windows/amd64")

    def test_one_image(self) -> None:
        """A single image is for the platform that its config names."""
        layout = Layout()
        layout.tag(layout.image(platform="linux/arm64"))
        self.publish(layout, platform="linux/arm64")
        self.refused(layout, "it has linux/arm64", platform="linux/amd64")

    def test_artifact(self) -> None:
        """An artifact is for no platform."""
        layout = Layout()
        layout.tag(layout.artifact())
        self.refused(layout, "no platform at all", platform="linux/amd64")

    def test_incomplete(self) -> None:
        """An index of which something is missing is refused with a line that names --platform and what is whole."""
        layout, images = two_platforms()
        layer = json.loads(layout.blobs[images[1]["digest"]])["layers"][0]["digest"]
        for missing in (layer, images[1]["digest"]):
            del layout.blobs[missing]
            self.refused(layout, missing, "for linux/arm64", "--platform, here linux/amd64")
        self.assertEqual(str(self.publish(layout, platform="linux/amd64").digest), images[0]["digest"])
        self.refused(layout, "is not in it", platform="linux/arm64")

    def test_incomplete_with_an_attestation(self) -> None:
        """What runs nowhere, as buildkit's attestations, is not among the platforms to choose."""
        layout = Layout()
        images = [layout.image(platform=f"linux/{each}") for each in ("amd64", "arm64")]
        unknown = {"os": "unknown", "architecture": "unknown"}
        layout.tag(layout.index([*images, {**layout.artifact(), "platform": unknown}]))
        del layout.blobs[images[1]["digest"]]
        error = self.assertRaises(BadSource, self.publish, layout)
        self.assertTrue(str(error).endswith("here linux/amd64"), error)

    def test_incomplete_image(self) -> None:
        """A single image of which something is missing is refused without that advice."""
        layout = Layout()
        image = layout.tag(layout.image())
        layer = json.loads(layout.blobs[image["digest"]])["layers"][0]["digest"]
        del layout.blobs[layer]
        error = self.assertRaises(BadSource, self.publish, layout)
        self.assertIn(layer, str(error))
        self.assertNotIn("--platform", str(error))


class RefusedTests(PublishingTestCase):
    """Layouts that are refused."""

    def test_every_blob_changed_cut_or_gone(self) -> None:
        """Whatever file of an image is changed, cut, longer or gone: it is refused and named, and no reader sees it."""
        pristine, _ = two_platforms()
        for digest, data in pristine.blobs.items():
            for bad in (
                bytes([data[0] ^ 1]) + data[1:],
                data[:-1] + bytes([data[-1] ^ 1]),
                data[:-1],
                data + b" ",
                b"",
            ):
                layout, _ = two_platforms()
                layout.blobs[digest] = bad
                # What is in the store already is not read again, so each begins with an empty one.
                self.store = DirectoryStore(new_directory(self))
                self.refused(layout, digest.partition(":")[2])
            layout, _ = two_platforms()
            del layout.blobs[digest]
            self.refused(layout, digest)

    def test_type_other_than_the_descriptor_says(self) -> None:
        """A manifest must be of the type that refers to it: clients compare the two."""
        layout = Layout()
        image = layout.image(docker=True)
        layout.tag(layout.index([{**image, "mediaType": OCI_MANIFEST}]))
        self.refused(layout, image["digest"].partition(":")[2], "its descriptor says")

    def test_no_manifest(self) -> None:
        """What index.json lists must be a manifest."""
        for data in (b"", b"{}", b"[" * 100_000, to_json({"schemaVersion": 1, "fsLayers": []}), b"\xff\xfe{\0}\0"):
            layout = Layout()
            layout.tag(layout.add(data, OCI_MANIFEST))
            self.refused(layout, "blobs/sha256/")

    def test_unknown_manifest(self) -> None:
        """A manifest whose type no client knows is refused."""
        layout = Layout()
        layout.tag(layout.add_json({"mediaType": "application/vnd.other", "config": {}, "layers": []}, OCI_MANIFEST))
        self.refused(layout, "application/vnd.other")

    def test_bad_index(self) -> None:
        """A layout whose index.json is missing or malformed is refused."""
        for data in (
            None,
            b"",
            b"[]",
            b"{",
            b"[" * 100_000,
            b'{"manifests":{}}',
            b" " * 5_000_000,
            to_json({"manifests": [1]}),
        ):
            source = self.oci(two_platforms()[0])
            index = self.path_of(source) / "index.json"
            index.unlink()
            if data is not None:
                index.write_bytes(data)
            self.refused(source, "index.json")

    def test_deep_nesting(self) -> None:
        """Indexes may nest, but not without end."""
        layout = Layout()
        child = layout.image()
        for _ in range(100):
            child = layout.index([child])
        layout.tag(child)
        self.refused(layout, "nested more than")

    def test_wide_nesting(self) -> None:
        """Indexes that refer to each other many times over are read once each."""
        layout = Layout()
        child = layout.image()
        for _ in range(12):
            child = layout.index([child] * 50)
        layout.tag(child)
        self.publish(layout)
        self.publish(layout, platform="linux/amd64")
        self.tree()

    def test_one_digest_two_sizes(self) -> None:
        """A descriptor that gives a wrong size is refused even if the content is right."""
        layout = Layout()
        config = layout.add(b"{}", OCI_CONFIG)
        manifest: dict[str, Any] = {"schemaVersion": 2, "config": {**config, "size": 3}, "layers": []}
        layout.tag(layout.add_json(manifest, OCI_MANIFEST))
        self.refused(layout, "2 bytes where its descriptor says 3")

    def test_one_child_two_descriptors(self) -> None:
        """A child that occurs twice must be what both of its descriptors say: a client may come by either."""
        for wrong in ({"size": 1}, {"mediaType": DOCKER_MANIFEST}):
            layout = Layout()
            child = layout.image()
            layout.tag(layout.index([child, {**child, **wrong}]))
            self.refused(layout, child["digest"].removeprefix("sha256:"), "its descriptor says")

    def test_symbolic_links(self) -> None:
        """A link inside the layout is followed, one that leads outside is refused."""
        layout, _ = two_platforms()
        source = self.oci(layout)
        blob = next((self.path_of(source) / "blobs" / "sha256").iterdir())
        inside = self.path_of(source) / "inside"
        blob.rename(inside)
        blob.symlink_to("../../inside")
        self.publish(source)
        inside.rename(self.folder / "outside")
        blob.unlink()
        blob.symlink_to(self.folder / "outside")
        self.refused(source, blob.name, "leads outside")

    def test_strange_files(self) -> None:
        """What is no regular file is refused, and nothing hangs on it."""
        layout, images = two_platforms()
        source = self.oci(layout)
        blob = self.path_of(source) / "blobs" / images[0]["digest"].replace(":", "/")
        blob.unlink()
        os.mkfifo(blob)
        self.refused(source, blob.name, "not a regular file")
        blob.unlink()
        blob.mkdir()
        self.refused(source, blob.name, "not a regular file")
        blob.rmdir()
        blob.symlink_to(blob.name)
        self.refused(source, blob.name)

    def test_no_layout(self) -> None:
        """Something that is not there, or no directory, is named, with the transport that would fit."""
        self.refused(f"oci:{self.folder}/gone", "gone", "No such file")
        file = self.folder / "file"
        file.write_bytes(b"")
        self.refused(f"oci:{file}", "not a directory", "oci-archive:")
        self.refused(f"oci-archive:{self.folder}", "not a file", "oci:")
        self.refused(f"oci:{self.folder}", "index.json")


class VerbatimTests(PublishingTestCase):
    """Bytes are never rewritten."""

    def test_odd_json(self) -> None:
        """White space, order and unknown members of a manifest are kept."""
        layout = Layout()
        config = layout.add(b"{}", OCI_CONFIG)
        data = (
            json.dumps({"layers": [], "config": config, "unknown": [1.0, None], "schemaVersion": 2}, indent=7).encode()
            + b"\n\n"
        )
        image = layout.add(data, OCI_MANIFEST)
        layout.tag(layout.add(b" \n" + to_json({"schemaVersion": 2, "manifests": [image]}), OCI_INDEX))
        self.publish(layout)
        self.assertEqual(self.tree()[f"v2/{NAME}/manifests/{image['digest']}"], data)
