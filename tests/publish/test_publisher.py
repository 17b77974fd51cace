"""Tests of the tree that publishing makes."""

import json
from pathlib import Path

from sdr.registry.media_types import DOCKER_LIST, OCI_INDEX, OCI_MANIFEST
from sdr.stores.interface import StoreError
from tests.images import Layout, digest_of
from tests.publish.publishing import NAME, PublishingTestCase
from tests.publish.trees import snapshot


class TreeTests(PublishingTestCase):
    """Each kind of image, as files."""

    def assert_verbatim(self, layout: Layout, tag: str = "1.0") -> dict[str, bytes]:
        """Require that everything the layout has is in the tree byte for byte, and nothing else."""
        source = layout.entries[0]["digest"]
        tree = self.tree()
        self.assertEqual(tree[f"v2/{NAME}/manifests/{tag}"], layout.blobs[source])
        for digest, data in layout.blobs.items():
            places = [f"blobs/{digest.replace(':', '/')}", f"v2/{NAME}/manifests/{digest}"]
            self.assertEqual([tree[place] for place in places if place in tree], [data])
        return tree

    def test_one_platform(self) -> None:
        """One image makes exactly the files of docs/tree.md."""
        layout = Layout()
        image = layout.tag(layout.image())
        publication = self.publish(layout)
        tree = self.assert_verbatim(layout)
        manifest = json.loads(layout.blobs[image["digest"]])
        self.assertEqual(
            set(tree),
            {
                f"blobs/{manifest['config']['digest'].replace(':', '/')}",
                f"blobs/{manifest['layers'][0]['digest'].replace(':', '/')}",
                f"v2/{NAME}/manifests/{image['digest']}",
                f"v2/{NAME}/manifests/1.0",
                f"v2/{NAME}/tags/list",
                f"v2/{NAME}/_repository.json",
                "v2/_repositories/5f8.ndjson",
                "v2/_repositories.json",
            },
        )
        self.assertEqual(json.loads(tree[f"v2/{NAME}/tags/list"]), {"name": NAME, "tags": ["1.0"]})
        self.assertEqual(
            json.loads(tree[f"v2/{NAME}/_repository.json"]),
            {"schema": 1, "name": NAME, "tags": {"1.0": [image["digest"], OCI_MANIFEST, image["size"]]}},
        )
        self.assertEqual(str(publication), f"{NAME}:1.0@{image['digest']}")
        self.assertEqual(set(publication.account.written), set(tree))
        self.assertEqual(publication.account.written_bytes, sum(map(len, tree.values())))

    def test_several_platforms(self) -> None:
        """An index brings its children, and what they share is written once."""
        layout = Layout()
        layout.tag(layout.index([layout.image(platform=f"linux/{each}") for each in ("amd64", "arm64", "arm/v7")]))
        publication = self.publish(layout)
        self.assert_verbatim(layout)
        self.assertEqual(publication.media_type, OCI_INDEX)
        self.assertEqual(len(publication.account.written), len(set(publication.account.written)))

    def test_nested(self) -> None:
        """Indexes may hold indexes, and one child may hang in two of them."""
        layout = Layout()
        shared = layout.image()
        inner = layout.index([shared, layout.image(platform="linux/arm64")])
        layout.tag(layout.index([inner, shared, layout.index([inner])]))
        self.publish(layout)
        self.assert_verbatim(layout)

    def test_docker_types(self) -> None:
        """Docker's own types stay what they are."""
        layout = Layout()
        layout.tag(layout.index([layout.image(docker=True)], docker=True))
        self.assertEqual(self.publish(layout).media_type, DOCKER_LIST)
        self.assert_verbatim(layout)

    def test_compressions(self) -> None:
        """Layers stay as they are compressed, or not; so does a manifest without layers."""
        layout = Layout()
        images = [layout.image(compression=each) for each in ("", "gzip", "zstd")]
        layout.tag(layout.index([*images, layout.image(layers=[])]))
        self.publish(layout)
        self.assert_verbatim(layout)

    def test_sha512(self) -> None:
        """Content addressed by SHA-512 keeps that address, the tag's own manifest too."""
        layout = Layout()
        image = layout.image(algorithm="sha512")
        layout.tag(layout.index([image, layout.image()], algorithm="sha512"))
        self.publish(layout)
        tree = self.assert_verbatim(layout)
        self.assertIn(f"v2/{NAME}/manifests/{image['digest']}", tree)
        self.assertTrue(image["digest"].startswith("sha512:"))

    def test_one_manifest_two_digests(self) -> None:
        """What is stored by both algorithms is listed under the digest by which it was published."""
        layout = Layout()
        image = layout.image(algorithm="sha512")
        other = layout.add(layout.blobs[image["digest"]], OCI_MANIFEST)
        source = self.oci(layout)
        for digest, tag in (other["digest"], "a"), (image["digest"], "b"):
            self.publish(f"{source}:@{digest}", tag=tag)
        tags = json.loads(self.tree()[f"v2/{NAME}/_repository.json"])["tags"]
        self.assertEqual({tag: entry[0] for tag, entry in tags.items()}, {"a": other["digest"], "b": image["digest"]})

    def test_untyped(self) -> None:
        """Manifests without mediaType get theirs by shape, in the catalog and not in their bytes."""
        layout = Layout()
        layout.tag(layout.index([layout.image(typed=False)], typed=False))
        self.assertEqual(self.publish(layout).media_type, OCI_INDEX)
        self.assert_verbatim(layout)

    def test_foreign_layers(self) -> None:
        """A foreign layer is referred to and not published; it need not be in the source."""
        layout = Layout()
        foreign = layout.foreign_layer()
        layout.tag(layout.image(layers=[foreign, layout.layer({"a": b"a"})]))
        self.publish(layout)
        self.assertNotIn(f"blobs/{foreign['digest'].replace(':', '/')}", self.assert_verbatim(layout))

    def test_unknown_children(self) -> None:
        """What an index holds beside manifests is published as a blob: containerd asks for it there."""
        layout = Layout()
        other = layout.add(b"whatever", "application/vnd.example.thing")
        layout.tag(layout.index([layout.image(), other]))
        self.publish(layout)
        self.assertIn(f"blobs/{other['digest'].replace(':', '/')}", self.assert_verbatim(layout))

    def test_several_repositories(self) -> None:
        """Blobs are shared by all repositories; every list knows its own."""
        layout = Layout()
        layout.tag(layout.image())
        names = [f"acme/app{number}" for number in range(20)]
        for name in names:
            self.publish(layout, name=name)
        tree = self.tree()
        self.assertEqual(len([key for key in tree if key.startswith("blobs/")]), 2)
        listed = [json.loads(line)[0] for key in tree if key.endswith(".ndjson") for line in tree[key].splitlines()]
        self.assertEqual(sorted(listed), sorted(names))


class AgainTests(PublishingTestCase):
    """Publishing what is there already."""

    def setUp(self) -> None:
        """Publish an image."""
        super().setUp()
        self.layout = Layout()
        self.layout.tag(self.layout.index([self.layout.image()]))
        self.source = self.oci(self.layout)
        self.first = self.publish(self.source)

    def test_second_run(self) -> None:
        """The same again writes nothing, not even the same bytes."""
        before = {path: path.stat() for path in self.root.joinpath("v2").rglob("*")}
        second = self.publish(self.source)
        self.assertEqual(
            (second.digest, second.account.written, second.account.written_bytes), (self.first.digest, (), 0)
        )
        self.assertEqual(second.account.skipped, len(self.first.account.written))
        self.assertEqual(second.account.skipped_bytes, self.first.account.written_bytes)
        self.assertEqual({path: path.stat() for path in before}, before)

    def test_another_tag(self) -> None:
        """A second tag of the same image writes that tag and what is derived."""
        second = self.publish(self.source, tag="latest")
        self.assertEqual(
            sorted(second.account.written),
            sorted(
                [
                    f"v2/{NAME}/manifests/latest",
                    f"v2/{NAME}/tags/list",
                    f"v2/{NAME}/_repository.json",
                    "v2/_repositories/5f8.ndjson",
                    "v2/_repositories.json",
                ]
            ),
        )
        self.assertEqual(json.loads(self.tree()[f"v2/{NAME}/tags/list"])["tags"], ["1.0", "latest"])

    def test_moved_tag(self) -> None:
        """A tag moves; what it named before stays there by digest."""
        layout = Layout()
        image = layout.tag(layout.image({"a": b"other"}))
        self.publish(layout)
        tree = self.tree()
        self.assertIn(f"v2/{NAME}/manifests/{self.first.digest}", tree)
        self.assertEqual(tree[f"v2/{NAME}/manifests/1.0"], layout.blobs[image["digest"]])

    def test_what_has_another_size_is_mended(self) -> None:
        """A blob, or a manifest by digest, that something else has cut is written again."""
        for path in (*self.root.glob("blobs/*/*"), *self.root.glob(f"v2/{NAME}/manifests/*:*")):
            path.write_bytes(path.read_bytes()[:-1])
        self.publish(self.source)
        self.tree()

    def test_a_broken_document_is_told_before_the_tag_moves(self) -> None:
        """A derived document that cannot be merged is named with a way out, and nothing is written."""
        layout = Layout()
        layout.tag(layout.image({"a": b"other"}))
        source = self.oci(layout)
        for key in (
            f"v2/{NAME}/tags/list",
            f"v2/{NAME}/_repository.json",
            "v2/_repositories/5f8.ndjson",
            "v2/_repositories.json",
        ):
            path = self.root / key
            good = path.read_bytes()
            path.write_bytes(good[:-3])
            before = snapshot(self.root)
            error = self.assertRaises(StoreError, self.publish, source)
            self.assertIn(key, str(error))
            self.assertIn("sdr index", str(error))
            self.assertEqual(snapshot(self.root), before)
            path.write_bytes(good)

    def test_names_in_each_others_way(self) -> None:
        """A repository that needs a directory where a tag is a file is refused before anything is written."""
        before = snapshot(self.root)
        layout = Layout()
        layout.tag(layout.image({"a": b"other"}))
        error = self.assertRaises(StoreError, self.publish, layout, name=f"{NAME}/manifests/1.0")
        self.assertIn("a directory cannot hold both", str(error))
        self.assertEqual(snapshot(self.root), before)

    def test_names_in_each_others_way_turned_round(self) -> None:
        """So is a tag that needs a file where a repository is a directory."""
        self.publish(self.source, name=f"{NAME}/manifests/x")
        before = snapshot(self.root)
        error = self.assertRaises(StoreError, self.publish, self.source, tag="x")
        self.assertIn("a directory cannot hold both", str(error))
        self.assertEqual(snapshot(self.root), before)


class ReferrersTests(PublishingTestCase):
    """Artifacts that are attached to something."""

    def referrers(self, subject: str) -> list[dict[str, object]]:
        """Return what is listed for a subject."""
        document = json.loads(self.tree()[f"v2/{NAME}/referrers/{subject}"])
        self.assertEqual((document["schemaVersion"], document["mediaType"]), (2, OCI_INDEX))
        found: list[dict[str, object]] = document["manifests"]
        return found

    def test_referrers(self) -> None:
        """An artifact with a subject is listed as the specification says; a second one joins it."""
        layout = Layout()
        image = layout.image()
        first = layout.artifact(b"sbom", subject=image, annotations={"org.example.a": "b"})
        second = layout.artifact(b"signature", subject=image, artifact_type=None)
        for artifact, tag in (first, "sbom"), (second, "signature"), (first, "sbom"):
            layout.entries = []
            layout.tag(artifact)
            self.publish(layout, tag=tag)
        expected = [
            {
                "mediaType": OCI_MANIFEST,
                "digest": first["digest"],
                "size": first["size"],
                "artifactType": "application/vnd.example.sbom.v1",
                "annotations": {"org.example.a": "b"},
            },
            {
                "mediaType": OCI_MANIFEST,
                "digest": second["digest"],
                "size": second["size"],
                "artifactType": "application/vnd.oci.empty.v1+json",
            },
        ]
        self.assertEqual(self.referrers(image["digest"]), sorted(expected, key=lambda entry: entry["digest"]))

    def test_children_with_a_subject(self) -> None:
        """What hangs in an index and has a subject is listed too; several at once."""
        layout = Layout()
        image = layout.image()
        artifacts = [layout.artifact(b"%d" % number, subject=image) for number in range(3)]
        layout.tag(layout.index([image, *artifacts]))
        self.publish(layout)
        self.assertEqual(
            [entry["digest"] for entry in self.referrers(image["digest"])],
            sorted(artifact["digest"] for artifact in artifacts),
        )

    def test_an_index_with_a_subject(self) -> None:
        """An index may have a subject; without a type of its own it is listed without one."""
        layout = Layout()
        image = layout.image()
        subject = {member: image[member] for member in ("mediaType", "digest", "size")}
        layout.tag(layout.index([], subject=subject))
        self.publish(layout)
        self.assertNotIn("artifactType", self.referrers(image["digest"])[0])

    def test_strange_annotations(self) -> None:
        """Annotations may hold whatever JSON can escape."""
        layout = Layout()
        image = layout.image()
        layout.tag(layout.artifact(subject=image, annotations={"a": "\ud800\n\0é"}))
        self.publish(layout)
        self.assertEqual(self.referrers(image["digest"])[0]["annotations"], {"a": "\ud800\n\0é"})


class SourceOfTruthTests(PublishingTestCase):
    """What the catalog says when another publisher moves the tag meanwhile."""

    def test_the_tag_decides(self) -> None:
        """The document describes what the tag's own object is, also by its SHA-512 address."""
        layout = Layout()
        other = layout.tag(layout.image({"a": b"other"}, algorithm="sha512"))
        self.publish(layout)
        mine = Layout()
        mine.tag(mine.image())
        tag = self.root / f"v2/{NAME}/manifests/1.0"

        class Moving(type(self.store)):  # type: ignore[misc]
            """A store in which somebody else moves the tag right after it was written."""

            def put(self, key: str, *arguments: object, **options: object) -> object:
                stat = super().put(key, *arguments, **options)
                if Path(self.root, key) == tag:
                    tag.write_bytes(layout.blobs[other["digest"]])
                return stat

        self.store = Moving(self.root)
        self.publish(mine)
        self.assertEqual(json.loads(self.tree()[f"v2/{NAME}/_repository.json"])["tags"]["1.0"][0], other["digest"])
        self.assertEqual(digest_of(tag.read_bytes(), "sha512"), other["digest"])
