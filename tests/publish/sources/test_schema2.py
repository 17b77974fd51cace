"""Tests of making an OCI image one of docker's schema 2."""

import gzip
import io
import json
from contextlib import ExitStack
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.image import BadSource, Blob, Image
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Silent
from sdr.publish.sources.layout import Layout as LayoutReader
from sdr.publish.sources.schema2 import to_schema2
from sdr.registry.grammar import Digest
from sdr.registry.manifests import parse_manifest
from sdr.registry.media_types import DOCKER_CONFIG, DOCKER_LAYER_GZIP, DOCKER_LIST, DOCKER_MANIFEST
from tests.images import OCI_LAYER, Descriptor, Layout, compress, layer_tar, to_json

WHERE = "oci:images"
ROOTFS = "application/vnd.docker.image.rootfs."


class InMemory:
    """The files of a layout."""

    location = WHERE

    def __init__(self, layout: Layout) -> None:
        self._files = layout.files()

    def size(self, path: str) -> int | None:
        """Return a file's size."""
        data = self._files.get(path)
        return None if data is None else len(data)

    def open(self, path: str) -> Any:
        """Read a file."""
        return io.BytesIO(self._files[path])

    def close(self) -> None:
        """Nothing is open."""


def image_of(layout: Layout, root: Descriptor) -> Image:
    """Read an image from a layout."""
    reader = LayoutReader(InMemory(layout))
    return reader.image(reader.descriptor(Digest.parse(str(root["digest"]))))


def read(blob: Blob) -> bytes:
    """Read a blob; its digest and size are compared."""
    with blob.open() as file:
        return file.read()


class Schema2TestCase(SynchronousTestCase):
    """Converts images."""

    def convert(self, layout: Layout, root: Descriptor) -> Image:
        """Convert an image of a layout."""
        return self.converted(image_of(layout, root))

    def converted(self, image: Image) -> Image:
        """Convert an image, and require a whole one in schema 2 that comes back as it is when it is converted again."""
        open_files = ExitStack()
        self.addCleanup(open_files.close)
        found = to_schema2(image, WHERE, open_files, Jobs(2), Silent())
        self.require_whole(found)
        self.assertEqual(to_schema2(found, WHERE, open_files, Jobs(2), Silent()), found)
        return found

    def require_whole(self, image: Image) -> None:
        """Require that all is there that is referred to, as it is described, and nothing else, in schema 2's types."""
        manifests = {one.digest: one for one in image.manifests}
        blobs = {blob.digest: blob for blob in image.blobs}
        self.assertEqual((len(manifests), len(blobs)), (len(image.manifests), len(image.blobs)))
        reached: list[Digest] = []
        for number, one in enumerate(image.manifests):
            self.assertEqual((one.digest, one.manifest), (Digest.of(one.data), parse_manifest(one.data)))
            self.assertIn(one.manifest.media_type, (DOCKER_MANIFEST, DOCKER_LIST))
            for child in one.manifest.children:
                self.assertIn(manifests[child.digest], image.manifests[:number])
                found = manifests[child.digest]
                self.assertEqual((child.size, child.media_type), (len(found.data), found.manifest.media_type))
                self.assertTrue(child.platform["architecture"] and child.platform["os"])
            for blob in one.manifest.blobs:
                if not blob.is_foreign:
                    self.assertEqual(blob.size, len(read(blobs[blob.digest])))
                    reached.append(blob.digest)
            for layer in one.manifest.blobs[1:]:
                self.assertTrue(layer.media_type.startswith(ROOTFS), layer.media_type)
            reached += [child.digest for child in one.manifest.children]
        self.assertEqual({*reached, image.root.digest}, manifests.keys() | blobs.keys())

    def refused(self, layout: Layout, root: Descriptor, *said: str) -> None:
        """Require that it is refused with one line that names the source and the manifest."""
        error = self.assertRaises(BadSource, self.convert, layout, root)
        self.assertTrue(str(error).startswith(f"{WHERE}: "), str(error))
        self.assertNotIn("\n", str(error))
        for text in said:
            self.assertIn(text, str(error))


class ManifestTests(Schema2TestCase):
    """One image."""

    def test_types(self) -> None:
        """Types become docker's; config and layers are the same bytes, and annotations and the like are gone."""
        layout = Layout()
        annotated = layout.layer({"a": b"1"}) | {"annotations": {"a": "b"}}
        subject = layout.image()
        root = layout.image(
            layers=[annotated, layout.layer({"b": b"2"}, "")],
            annotations={"c": "d"},
            artifactType="application/x",
            subject={member: subject[member] for member in ("mediaType", "digest", "size")},
        )
        was = image_of(layout, root)
        now = self.converted(was)
        document = json.loads(now.root.data)
        self.assertEqual(list(document), ["schemaVersion", "mediaType", "config", "layers"])
        types = [one["mediaType"] for one in (document, document["config"], *document["layers"])]
        self.assertEqual(types, [DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER_GZIP, f"{ROOTFS}diff.tar"])
        self.assertEqual(now.blobs, was.blobs)
        self.assertEqual([list(layer) for layer in document["layers"]], [["mediaType", "size", "digest"]] * 2)

    def test_as_docker_writes_it(self) -> None:
        """The bytes are those that docker would have pushed: indented by three."""
        layout = Layout()
        root = layout.image()
        config, layer = (blob.digest for blob in image_of(layout, root).blobs)
        sizes = [len(layout.blobs[str(digest)]) for digest in (config, layer)]
        self.assertEqual(
            self.convert(layout, root).root.data.decode(),
            f"""{{
   "schemaVersion": 2,
   "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
   "config": {{
      "mediaType": "application/vnd.docker.container.image.v1+json",
      "size": {sizes[0]},
      "digest": "{config}"
   }},
   "layers": [
      {{
         "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
         "size": {sizes[1]},
         "digest": "{layer}"
      }}
   ]
}}""",
        )

    def test_schema_2_already(self) -> None:
        """What is in schema 2 stays as it is, whatever its spacing."""
        layout = Layout()
        image = layout.image(docker=True)
        for root in (image, layout.index([image], docker=True)):
            was = image_of(layout, root)
            self.assertEqual(self.converted(was), was)

    def test_zstd(self) -> None:
        """Layers in zstd are packed anew, always to the same bytes, and one that occurs twice once."""
        layout = Layout()
        plain = layer_tar({"a": b"a" * 3_000_000})
        for media_type in (f"{OCI_LAYER}+zstd", f"{ROOTFS}diff.tar.zstd"):
            layer = layout.add(compress(plain, "zstd"), media_type)
            root = layout.image(layers=[layer, layout.layer({"b": b""}), layer], docker=media_type.startswith(ROOTFS))
            found = [self.convert(layout, root) for _ in range(2)]
            self.assertEqual(found[0].manifests, found[1].manifests)
            first, second, third = found[0].root.manifest.blobs[1:]
            self.assertEqual((first, first.media_type), (third, DOCKER_LAYER_GZIP))
            blobs = {blob.digest: blob for blob in found[0].blobs}
            self.assertEqual(gzip.decompress(read(blobs[first.digest])), plain)
            self.assertEqual([len(found[0].blobs), str(second.digest) in layout.blobs], [3, True])

    def test_broken_zstd(self) -> None:
        """A layer that is no zstd, or not what its digest says, is refused."""
        layout = Layout()
        self.refused(layout, layout.image(layers=[layout.add(b"?" * 100, f"{OCI_LAYER}+zstd")]), "broken zstd")
        layer = layout.add(compress(b"1" * 100, "zstd"), f"{OCI_LAYER}+zstd")
        root = layout.image(layers=[layer])
        layout.blobs[layer["digest"]] = compress(b"2" * 100, "zstd")
        self.refused(layout, root, "its digest is")

    def test_foreign_layers(self) -> None:
        """A layer that is elsewhere stays there, with its addresses."""
        for kind in ("", "+gzip"):
            layout = Layout()
            media_type = f"application/vnd.oci.image.layer.nondistributable.v1.tar{kind}"
            layer = layout.foreign_layer() | {"mediaType": media_type}
            now = self.convert(layout, layout.image(layers=[layer, layout.layer({"a": b""})]))
            found = json.loads(now.root.data)["layers"][0]
            self.assertEqual(found["urls"], layer["urls"])
            self.assertEqual(found["mediaType"], f"{ROOTFS}foreign.diff.tar{kind.replace('+', '.')}")

    def test_layers_without_counterpart(self) -> None:
        """Layers that docker could not read are refused, with the type."""
        for media_type in (
            f"{OCI_LAYER}+gzip+encrypted",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        ):
            layout = Layout()
            root = layout.image(layers=[layout.add(b"1", media_type)])
            self.refused(layout, root, str(root["digest"]), media_type)

    def test_artifacts(self) -> None:
        """What is no image is refused, with its type."""
        layout = Layout()
        self.refused(layout, layout.artifact(), "application/vnd.example.sbom.v1", "no image")
        signature = layout.image(layers=[layout.add(b"{}", "application/vnd.dev.cosign.simplesigning.v1+json")])
        self.refused(layout, signature, "no image")

    def test_no_layers(self) -> None:
        """An image may have no layer, also as Go writes that."""
        layout = Layout()
        config = layout.add(b"{}", "application/vnd.oci.image.config.v1+json")
        for layers in b"[]", b"null":
            root = layout.add(b'{"schemaVersion":2,"config":%s,"layers":%s}' % (to_json(config), layers), "?")
            self.assertEqual(json.loads(self.convert(layout, root).root.data)["layers"], [])


class IndexTests(Schema2TestCase):
    """Images for several platforms."""

    def platforms(self, image: Image) -> list[str]:
        """Return the platforms of a list, in its order."""
        entries = json.loads(image.root.data)["manifests"]
        return ["/".join(entry["platform"].values()) for entry in entries]

    def images(self, layout: Layout, *platforms: str) -> list[Descriptor]:
        """Make an image for each platform."""
        return [layout.image({"a": each.encode()}, platform=each) for each in platforms]

    def test_list(self) -> None:
        """An index becomes a list of the converted images, with their platforms as docker orders them."""
        layout = Layout()
        images = self.images(layout, "linux/amd64", "linux/arm/v7")
        images[0]["platform"] |= {"os.version": "1", "os.features": ["x"], "odd": 1}
        now = self.convert(layout, layout.index(images, annotations={"a": "b"}))
        document = json.loads(now.root.data)
        self.assertEqual(list(document), ["schemaVersion", "mediaType", "manifests"])
        self.assertEqual(
            [list(one) for one in document["manifests"]], [["mediaType", "size", "digest", "platform"]] * 2
        )
        self.assertEqual(
            [list(one["platform"].items()) for one in document["manifests"]],
            [
                [("architecture", "amd64"), ("os", "linux"), ("os.version", "1"), ("os.features", ["x"])],
                [("architecture", "arm"), ("os", "linux"), ("variant", "v7")],
            ],
        )

    def test_attestations(self) -> None:
        """What buildkit attaches is left out, with its blobs, as are other artifacts."""
        layout = Layout()
        images = self.images(layout, "linux/amd64", "linux/arm64")
        attached = {"vnd.docker.reference.type": "attestation-manifest"}
        statement = layout.layer({"a": b"in-toto"}) | {"mediaType": "application/vnd.in-toto+json"}
        attestation = layout.image(layers=[statement], platform="unknown/unknown")
        others = [
            attestation,
            layout.image(layers=[statement], command=["x"]) | {"annotations": attached},
            layout.image({"a": b"x"}, platform="unknown/unknown"),
            layout.artifact(subject=images[0]),
            layout.add(b"more", "application/octet-stream"),
        ]
        now = self.convert(layout, layout.index([images[0], *others, images[1]]))
        self.assertEqual(now.manifests, self.convert(layout, layout.index(images)).manifests)
        self.assertEqual((len(now.manifests), len(now.blobs)), (3, 4))
        self.refused(layout, layout.index(others), "only artifacts")
        self.refused(layout, layout.index([]), "only artifacts")

    def test_a_list_with_attestations(self) -> None:
        """So they are from docker's own lists, whose images stay as they are."""
        layout = Layout()
        images = [layout.image({"a": each}, docker=True) for each in (b"a", b"b")]
        unknown = layout.image({"c": b""}, platform="unknown/unknown")
        now = self.convert(layout, layout.index([*images, unknown], docker=True))
        self.assertEqual([str(one.digest) for one in now.manifests[:-1]], [image["digest"] for image in images])

    def test_nested(self) -> None:
        """Indexes in an index are lifted, once each: docker reads no list in a list."""
        layout = Layout()
        images = self.images(layout, "linux/amd64", "linux/arm64", "linux/s390x")
        inner = layout.index(images[1:])
        now = self.convert(layout, layout.index([images[0], layout.index([inner]), inner]))
        self.assertEqual(self.platforms(now), ["amd64/linux", "arm64/linux", "s390x/linux"])
        self.assertEqual(len(now.manifests), 4)

    def test_platform_of_the_config(self) -> None:
        """Where the index does not tell the platform, the config does; where nothing does, it is refused."""
        layout = Layout()
        (image,) = self.images(layout, "linux/arm/v6")
        del image["platform"]
        self.assertEqual(self.platforms(self.convert(layout, layout.index([image]))), ["arm/linux/v6"])
        for config in (b"{}", b"[]", b"?"):
            descriptor = layout.add(config, "application/vnd.oci.image.config.v1+json")
            image = layout.add_json({"schemaVersion": 2, "config": descriptor, "layers": []}, "?")
            image["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
            self.refused(layout, layout.index([image]), str(image["digest"]), "what platform")

    def test_a_list_without_platforms(self) -> None:
        """A list of docker's that does not tell platforms is given them: docker would find nothing in it."""
        layout = Layout()
        image = layout.image(docker=True, platform="linux/arm64")
        del image["platform"]
        now = self.convert(layout, layout.index([image], docker=True))
        self.assertEqual(self.platforms(now), ["arm64/linux"])
        self.assertEqual(str(now.manifests[0].digest), image["digest"])

    def test_same_but_for_annotations(self) -> None:
        """Two manifests that become one are there once, and listed for each platform."""
        layout = Layout()
        layers = [layout.layer({"a": b"1"})]
        images = [layout.image(layers=layers, annotations={"a": each}) for each in "12"]
        images[1]["platform"] = {"os": "linux", "architecture": "arm64"}
        now = self.convert(layout, layout.index(images))
        self.assertEqual((len(now.manifests), self.platforms(now)), (2, ["amd64/linux", "arm64/linux"]))


_LAYERS = st.tuples(st.sampled_from("abc"), st.sampled_from(["", "gzip", "zstd"]), st.booleans())


@st.composite
def _layouts(draw: st.DrawFn) -> tuple[Layout, Descriptor]:
    """Make an image, or an index with all that may be in one."""
    layout = Layout()

    def image() -> Descriptor:
        layers = [
            layout.layer({"f": letter.encode()}, compression, docker=docker)
            for letter, compression, docker in draw(st.lists(_LAYERS, max_size=3))
        ]
        if draw(st.booleans()):
            layers.append(layout.foreign_layer())
        platform = draw(st.sampled_from(["linux/amd64", "linux/arm/v7", "windows/amd64"]))
        more: dict[str, Any] = {"annotations": {"a": "b"}} if draw(st.booleans()) else {}
        return layout.image(layers=layers, platform=platform, docker=draw(st.booleans()), **more)

    def index(depth: int) -> Descriptor:
        kinds = draw(st.lists(st.sampled_from(["image", "unknown", "artifact", "index"]), max_size=3))
        children: list[Descriptor] = [image()]
        for kind in kinds:
            child = (
                layout.artifact() if kind == "artifact" else index(depth - 1) if kind == "index" and depth else image()
            )
            if kind == "unknown":
                child["platform"] = {"os": "unknown", "architecture": "unknown"}
            children.append(child)
        if draw(st.booleans()):
            children = [{member: value for member, value in one.items() if member != "platform"} for one in children]
        return layout.index(children, docker=draw(st.booleans()))

    return layout, image() if draw(st.booleans()) else index(2)


class PropertyTests(Schema2TestCase):
    """Whatever is in a layout."""

    @settings(max_examples=100, deadline=None)
    @given(_layouts())
    def test_whole_and_the_same(self, made: tuple[Layout, Descriptor]) -> None:
        """What comes out is whole, in schema 2, comes back unchanged, and is the same every time."""
        layout, root = made
        first, second = self.convert(layout, root), self.convert(layout, root)
        self.assertEqual(first.manifests, second.manifests)
        self.assertEqual([read(blob) for blob in first.blobs], [read(blob) for blob in second.blobs])
        self.assertLessEqual(self.configs(first), self.configs(image_of(layout, root)))

    def configs(self, image: Image) -> set[Digest]:
        """Return the digests of the configs: they are what docker calls an image."""
        return {one.manifest.blobs[0].digest for one in image.manifests if one.manifest.blobs}
