"""Tests of reading manifests."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.registry.manifests import MANIFEST_LIMIT, MalformedManifest, parse_manifest
from sdr.registry.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.images import OCI_CONFIG, Layout, digest_of, to_json
from tests.texts import JSON_VALUES

DESCRIPTOR = {"mediaType": OCI_CONFIG, "digest": digest_of(b"{}"), "size": 2}
IMAGE: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": DESCRIPTOR, "layers": [DESCRIPTOR]}
INDEX: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": OCI_INDEX,
    "manifests": [{**DESCRIPTOR, "mediaType": OCI_MANIFEST}],
}


def without(document: dict[str, Any], member: str) -> dict[str, Any]:
    """Return a document without one member."""
    return {key: value for key, value in document.items() if key != member}


class TypeTests(SynchronousTestCase):
    """What a manifest is, decided by its content."""

    def test_declared(self) -> None:
        """The mediaType member says what it is."""
        for document, media_type in (
            (IMAGE, OCI_MANIFEST),
            ({**IMAGE, "mediaType": DOCKER_MANIFEST}, DOCKER_MANIFEST),
            (INDEX, OCI_INDEX),
            ({**INDEX, "mediaType": DOCKER_LIST}, DOCKER_LIST),
        ):
            self.assertEqual(parse_manifest(to_json(document)).media_type, media_type)

    def test_by_shape(self) -> None:
        """Without the member, the shape says it: OCI's type, which is the one whose member may be left out."""
        self.assertEqual(parse_manifest(to_json(without(IMAGE, "mediaType"))).media_type, OCI_MANIFEST)
        self.assertEqual(parse_manifest(to_json(without(INDEX, "mediaType"))).media_type, OCI_INDEX)

    def test_null_lists(self) -> None:
        """A list that is null is empty: programs in Go write an empty one so."""
        self.assertEqual(parse_manifest(to_json({**IMAGE, "layers": None})).blobs[1:], ())
        self.assertEqual(parse_manifest(to_json({**INDEX, "manifests": None})).children, ())

    def test_refused(self) -> None:
        """What no client could use is refused, with a message and never with another exception."""
        documents: tuple[Any, ...] = (
            [],
            None,
            "text",
            {},
            {"schemaVersion": 1, "name": "a", "fsLayers": []},
            {**IMAGE, "manifests": []},
            {**IMAGE, "mediaType": OCI_INDEX},
            {**INDEX, "mediaType": OCI_MANIFEST},
            {**IMAGE, "mediaType": "application/json"},
            {**IMAGE, "mediaType": []},
            {**IMAGE, "mediaType": {}},
            without(IMAGE, "config"),
            without(IMAGE, "layers"),
            {**IMAGE, "layers": {}},
            {**IMAGE, "layers": [None]},
            {**IMAGE, "config": without(DESCRIPTOR, "digest")},
            {**IMAGE, "config": {**DESCRIPTOR, "digest": "sha256:../../x"}},
            {**IMAGE, "config": {**DESCRIPTOR, "size": -1}},
            {**IMAGE, "config": {**DESCRIPTOR, "size": True}},
            {**IMAGE, "config": {**DESCRIPTOR, "size": 2.0}},
            {**IMAGE, "config": {**DESCRIPTOR, "platform": "linux"}},
            {**IMAGE, "annotations": {"a": 1}},
            {**IMAGE, "artifactType": 1},
            {**IMAGE, "subject": "sha256:"},
        )
        for document in documents:
            self.assertRaises(MalformedManifest, parse_manifest, to_json(document))

    def test_refused_bytes(self) -> None:
        """What other parsers would not read as JSON, or not alike, is refused."""
        text = json.dumps(IMAGE)
        for data in (
            b"",
            b"\xff",
            text.encode("utf-16"),
            text.encode("utf-8-sig"),
            text.encode()[:-1],
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b'{"schemaVersion":' + b"9" * 10_000 + b"}",
            text.encode() + b" " * MANIFEST_LIMIT,
        ):
            self.assertRaises(MalformedManifest, parse_manifest, data)

    @given(JSON_VALUES)
    def test_any_json(self, value: object) -> None:
        """Any JSON is read or refused."""
        self._read_or_refuse(value)

    @given(st.sampled_from([IMAGE, INDEX]), st.sampled_from([*IMAGE, *INDEX, "subject", "annotations"]), JSON_VALUES)
    def test_any_member(self, document: dict[str, Any], member: str, value: object) -> None:
        """Any JSON in any place of a manifest is read or refused."""
        self._read_or_refuse({**document, member: value})

    @given(st.binary())
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes are refused in the same way; random ones are no manifest."""
        self.assertRaises(MalformedManifest, parse_manifest, data)

    def _read_or_refuse(self, value: object) -> None:
        try:
            manifest = parse_manifest(json.dumps(value).encode())
        except MalformedManifest as error:
            self.assertTrue(str(error))
        else:
            self.assertIn(manifest.media_type, {OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST})


class ReferenceTests(SynchronousTestCase):
    """What a manifest refers to."""

    def test_image(self) -> None:
        """An image refers to its config and then its layers, foreign ones marked as such."""
        layout = Layout()
        layers = [layout.layer({"a": b"a"}), layout.foreign_layer()]
        image = parse_manifest(layout.blobs[layout.image(layers=layers)["digest"]])
        self.assertEqual([str(blob.digest) for blob in image.blobs[1:]], [layer["digest"] for layer in layers])
        self.assertEqual([blob.is_foreign for blob in image.blobs], [False, False, True])
        self.assertEqual(image.children, ())

    def test_index(self) -> None:
        """An index refers to its children, with their platforms."""
        layout = Layout()
        child = layout.image(platform="linux/arm/v7")
        index = parse_manifest(layout.blobs[layout.index([child, layout.index([child])])["digest"]])
        self.assertEqual(index.blobs, ())
        self.assertEqual([found.is_manifest for found in index.children], [True, True])
        self.assertEqual(index.children[0].platform, {"os": "linux", "architecture": "arm", "variant": "v7"})

    def test_artifact_type(self) -> None:
        """The artifact's type is its own member, else the config's type, and nothing for an index without one."""
        layout = Layout()
        subject = layout.image()
        typed = parse_manifest(layout.blobs[layout.artifact(subject=subject)["digest"]])
        untyped = parse_manifest(layout.blobs[layout.artifact(subject=subject, artifact_type=None)["digest"]])
        index = parse_manifest(layout.blobs[layout.index([])["digest"]])
        self.assertEqual(typed.artifact_type, "application/vnd.example.sbom.v1")
        self.assertEqual(untyped.artifact_type, "application/vnd.oci.empty.v1+json")
        self.assertIsNone(index.artifact_type)
        assert typed.subject is not None
        self.assertEqual(str(typed.subject.digest), subject["digest"])
