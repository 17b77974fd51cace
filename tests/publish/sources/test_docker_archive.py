"""Tests of older docker-archives, which get a manifest made."""

import gzip
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from sdr.registry.media_types import DOCKER_CONFIG, DOCKER_LAYER_GZIP, DOCKER_MANIFEST
from tests.images import (
    CREATED,
    DOCKER_FOREIGN_LAYER,
    Layout,
    compress,
    config_json,
    digest_of,
    file_member,
    hardlink_member,
    layer_tar,
    old_docker_archive,
    platform_of,
    symlink_member,
    tar,
    to_json,
)
from tests.publish.publishing import NAME, PublishingTestCase

LAYERS = [layer_tar({"a": b"a" * 200_000}), layer_tar({"b": b"b"})]


def one_image(layers: Sequence[bytes], diff_ids: Sequence[str] | None = None, **entry: Any) -> bytes:
    """Return an archive of one image whose layers are stored as they are given."""
    config = config_json("linux/amd64", diff_ids if diff_ids is not None else [digest_of(layer) for layer in layers])
    paths = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": ["app:1.0"], "Layers": paths, **entry}]
    members = [file_member("config.json", config), file_member("manifest.json", to_json(manifest))]
    return tar([*members, *(file_member(path, layer) for path, layer in zip(paths, layers, strict=True))])


class MadeManifestTests(PublishingTestCase):
    """The manifest that an older archive gets."""

    def check(self, source: str, layers: Sequence[bytes]) -> list[str]:
        """Publish, require a whole image of these plain layers, and return the digests of its layers."""
        publication = self.publish(source)
        tree = self.tree()
        manifest = json.loads(tree[f"v2/{NAME}/manifests/1.0"])
        self.assertEqual((publication.media_type, manifest["mediaType"]), (DOCKER_MANIFEST, DOCKER_MANIFEST))
        self.assertEqual(manifest["config"]["mediaType"], DOCKER_CONFIG)
        self.assertEqual({layer["mediaType"] for layer in manifest["layers"]} - {DOCKER_LAYER_GZIP}, set())
        digests = [str(layer["digest"]) for layer in manifest["layers"]]
        stored = [tree[f"blobs/{digest.replace(':', '/')}"] for digest in digests]
        self.assertEqual([gzip.decompress(layer) for layer in stored], list(layers))
        config = json.loads(tree[f"blobs/{manifest['config']['digest'].replace(':', '/')}"])
        self.assertEqual(config["rootfs"]["diff_ids"], [digest_of(layer) for layer in layers])
        return digests

    def test_plain_layers(self) -> None:
        """Plain layers are compressed, always to the same bytes: publishing again writes nothing."""
        source = self.archive(tar(old_docker_archive({"app:1.0": LAYERS})))
        digests = self.check(source, LAYERS)
        self.assertEqual(self.publish(source).account.written, ())
        # Neither a name nor a time is in the header (RFC 1952: FLG at 3, MTIME at 4).
        data = self.tree()[f"blobs/{digests[0].replace(':', '/')}"]
        self.assertEqual(data[3:8], b"\0\0\0\0\0")

    def test_compressed_archive(self) -> None:
        """The archive itself may be compressed, which changes nothing."""
        data = tar(old_docker_archive({"app:1.0": LAYERS}))
        first = self.publish(self.archive(data))
        for compression in ("gzip", "bzip2", "xz", "zstd"):
            second = self.publish(self.archive(compress(data, compression)))
            self.assertEqual((second.digest, second.account.written), (first.digest, ()))

    def test_compressed_layers(self) -> None:
        """Layers in gzip stay as they are; others are compressed anew, as skopeo does."""
        for compression in ("gzip", "bzip2", "xz", "zstd"):
            members = old_docker_archive({"app:1.0": LAYERS}, compression=compression)
            digests = self.check(self.archive(tar(members)), LAYERS)
            kept = [digest_of(compress(layer, compression)) for layer in LAYERS]
            self.assertEqual(digests == kept, compression == "gzip")

    def test_links(self) -> None:
        """A layer that occurs twice is a link inside the archive, followed and published once."""
        layers = [LAYERS[0], LAYERS[1], LAYERS[0]]
        members = old_docker_archive({"app:1.0": layers}, links=True)
        self.assertTrue([info for info, _ in members if info.issym()])
        digests = self.check(self.archive(tar(members)), layers)
        self.assertEqual(digests[0], digests[2])

    def test_hard_links_and_chains(self) -> None:
        """Hard links are followed too, and links to links."""
        config = config_json("linux/amd64", [digest_of(LAYERS[1])])
        members = [
            file_member("./x/y/real.tar", LAYERS[1]),
            hardlink_member("hard.tar", "x/y/real.tar"),
            symlink_member("x/soft.tar", "../hard.tar"),
            file_member("c.json", config),
            file_member("manifest.json", to_json([{"Config": "c.json", "RepoTags": None, "Layers": ["x/soft.tar"]}])),
        ]
        self.check(self.archive(tar(members)), [LAYERS[1]])

    def test_no_layers(self) -> None:
        """An image without layers is one; Go writes its empty lists as null."""
        self.check(self.archive(one_image([])), [])
        self.check(self.archive(one_image([], Layers=None)), [])

    def test_choosing(self) -> None:
        """Several images are chosen by name, the way docker abbreviates it, or by number."""
        members = old_docker_archive({"acme/a:1": [LAYERS[0]], "docker.io/library/b:latest": [LAYERS[1]]})
        source = self.archive(tar(members))
        digests = {ref: self.publish(f"{source}:{ref}").digest for ref in ("acme/a:1", "b", "b:latest", "@0", "@1")}
        self.assertEqual(digests["acme/a:1"], digests["@0"])
        self.assertEqual({digests["b"], digests["b:latest"]}, {digests["@1"]})
        self.refused(source, "2 images", "acme/a:1", "docker.io/library/b:latest")
        self.refused(f"{source}:c", "no c in it", "acme/a:1")
        self.refused(f"{source}:@2", "no @2 in it")

    def test_one_image_with_two_names(self) -> None:
        """One image that has two names needs no choice."""
        self.publish(self.archive(one_image(LAYERS, RepoTags=["a:1", "b:1"])))
        self.tree()

    def test_foreign_layers(self) -> None:
        """A foreign layer is referred to by where it is, and not published even though the archive holds it."""
        foreign = {
            "mediaType": DOCKER_FOREIGN_LAYER,
            "digest": digest_of(b"far"),
            "size": 3,
            "urls": ["https://far.invalid"],
        }
        source = self.archive(one_image(LAYERS, LayerSources={digest_of(LAYERS[0]): foreign}))
        self.publish(source)
        tree = self.tree()
        self.assertEqual(json.loads(tree[f"v2/{NAME}/manifests/1.0"])["layers"][0], foreign)
        self.assertEqual(len([key for key in tree if key.startswith("blobs/")]), 2)

    def test_platform(self) -> None:
        """--platform may be given, and then must be what the image is for."""
        source = self.archive(one_image(LAYERS))
        self.publish(source, platform="linux/amd64")
        self.refused(source, "linux/arm64", "linux/amd64", platform="linux/arm64")
        bare = [
            file_member("config.json", to_json({"rootfs": {"diff_ids": []}})),
            file_member("manifest.json", to_json([{"Config": "config.json"}])),
        ]
        self.refused(self.archive(tar(bare)), "the image is for no platform at all", platform="linux/arm64")


class RefusedTests(PublishingTestCase):
    """Older archives that are refused."""

    def test_wrong_layer(self) -> None:
        """A layer that is not what the config says is refused, plain or compressed."""
        for layer in (LAYERS[1], compress(LAYERS[1], "gzip"), compress(LAYERS[1], "zstd")):
            self.refused(self.archive(one_image([layer], [digest_of(LAYERS[0])])), "0/layer.tar", "config says")

    def test_wrong_number_of_layers(self) -> None:
        """The config must have as many diff_ids as there are layers."""
        self.refused(self.archive(one_image(LAYERS, [digest_of(LAYERS[0])])), "1 diff_ids for 2 layers")

    def test_broken_compression(self) -> None:
        """A compressed layer that is cut or damaged is refused."""
        for compression in ("gzip", "bzip2", "xz", "zstd"):
            packed = compress(LAYERS[0], compression)
            damaged = packed[: len(packed) // 2] + b"\xff\0\xff\0" + packed[len(packed) // 2 + 4 :]
            for data in (packed[: len(packed) // 2], packed[:-5], damaged):
                self.refused(self.archive(one_image([data], [digest_of(LAYERS[0])])), "0/layer.tar")

    def test_missing_parts(self) -> None:
        """A config or a layer that is not there is named."""
        self.refused(self.archive(one_image([], Config="other.json")), "other.json")
        self.refused(self.archive(one_image(LAYERS, Layers=["0/layer.tar", "gone.tar"])), "gone.tar")

    def test_config_with_another_digest(self) -> None:
        """A config that is called after a digest must have it."""
        name = f"{hashlib.sha256(b'other').hexdigest()}.json"
        members = [
            file_member(name, config_json("linux/amd64", [])),
            file_member("manifest.json", to_json([{"Config": name, "RepoTags": [], "Layers": []}])),
        ]
        self.refused(self.archive(tar(members)), name, "its digest is")

    def test_paths_that_leave_the_archive(self) -> None:
        """manifest.json cannot name a file outside of the archive."""
        for path in ("/etc/passwd", "../x", "a/../../x"):
            self.refused(self.archive(one_image([], Config=path)), "leads outside")
            self.refused(self.archive(one_image(LAYERS, Layers=["0/layer.tar", path])), "leads outside")

    def test_malformed_documents(self) -> None:
        """Documents that are not what they should be are refused, however hostile."""
        config = {"created": CREATED, **platform_of("linux/amd64"), "rootfs": {"diff_ids": []}}
        entry: dict[str, Any] = {"Config": "c.json", "RepoTags": None, "Layers": []}
        manifests: tuple[Any, ...] = ({}, 1, [1], [{}], [{**entry, "Layers": [1]}], [{**entry, "RepoTags": "a"}])
        manifests += ([{**entry, "LayerSources": [1]}], [{**entry, "LayerSources": {"a": 1}}], [])
        configs: tuple[Any, ...] = ([], 1, {}, {**config, "rootfs": []}, {**config, "rootfs": {"diff_ids": {"a": 1}}})
        cases = [(to_json(manifest), to_json(config)) for manifest in manifests]
        cases += [(to_json([entry]), to_json(each)) for each in configs]
        cases += [(data, to_json(config)) for data in (b"", b"\xff", b"[" * 100_000, b" " * 5_000_000)]
        cases += [(to_json([entry]), data) for data in (b"", b"[" * 100_000, b" " * 5_000_000)]
        for manifest, data in cases:
            members = [file_member("c.json", data), file_member("manifest.json", manifest)]
            self.refused(self.archive(tar(members)), ".json" if manifest != b"[]" else "no image")

    def test_digest(self) -> None:
        """An older archive has no digests to choose by, and says what there is instead."""
        source = self.archive(one_image(LAYERS))
        self.refused(f"{source}:@{digest_of(b'')}", "no digests", "@0")

    def test_before_docker_1_10(self) -> None:
        """The oldest form is named as what it is."""
        self.refused(self.archive(tar([file_member("repositories", b"{}")])), "docker before 1.10")

    def test_no_docker_archive(self) -> None:
        """An archive of something else is told apart."""
        self.refused(self.archive(layer_tar({"a": b""})), "no docker-archive")


class NewerArchiveTests(PublishingTestCase):
    """What docker save writes since version 25 is an OCI layout, and stays as it is."""

    def test_verbatim(self) -> None:
        """The archive's own index is published, by every way to name it."""
        layout = Layout()
        index = layout.tag(layout.index([layout.image(platform=f"linux/{each}") for each in ("amd64", "arm64")]))
        path = layout.write_docker_archive(self.folder / "new.tar", ["docker.io/library/app:1.0"])
        for ref in ("", ":app:1.0", ":docker.io/library/app:1.0", ":1.0", ":@0", f":@{index['digest']}"):
            self.assertEqual(str(self.publish(f"docker-archive:{path}{ref}").digest), index["digest"])
        self.assertEqual(self.tree()[f"v2/{NAME}/manifests/1.0"], layout.blobs[index["digest"]])

    def test_names_of_manifest_json(self) -> None:
        """Names that only manifest.json has count as well."""
        layout = Layout()
        images = [layout.tag(layout.image({"a": each})) for each in (b"a", b"b")]
        path = layout.write_docker_archive(self.folder / "new.tar", ["acme/a:1", "acme/b:1"])
        for entry in layout.entries:
            del entry["annotations"]
        more = {"manifest.json": tar_member(path.read_bytes(), "manifest.json")}
        source = f"docker-archive:{layout.write_tar(self.folder / 'other.tar', more=more)}"
        self.assertEqual(str(self.publish(f"{source}:acme/b:1").digest), images[1]["digest"])
        self.refused(source, "2 images", "acme/a:1", "acme/b:1")

    def test_an_empty_index_beside(self) -> None:
        """An index of nothing has no config to be named by, and is no hindrance."""
        layout = Layout()
        image = layout.tag(layout.image())
        path = layout.write_docker_archive(self.folder / "new.tar", ["acme/a:1"])
        more = {"manifest.json": tar_member(path.read_bytes(), "manifest.json")}
        empty = layout.tag(layout.index([]), "empty")
        source = f"docker-archive:{layout.write_tar(self.folder / 'other.tar', more=more)}"
        for ref, digest in (("acme/a:1", image["digest"]), ("empty", empty["digest"])):
            self.assertEqual(str(self.publish(f"{source}:{ref}").digest), digest)


def tar_member(data: bytes, name: str) -> bytes:
    """Return one file of an archive."""
    import io
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()
