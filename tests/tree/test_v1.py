"""Tests of the tree of 2014: its keys and documents."""

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.tree import v1
from sdr.tree.documents import BadDocument
from sdr.tree.headers import IMMUTABLE, SHORT, headers_of
from tests.texts import NAMES, TAGS

IDS = st.text("0123456789abcdef", min_size=64, max_size=64)


class KeyTests(SynchronousTestCase):
    """Where things are."""

    @given(NAMES, TAGS)
    def test_repositories(self, name: str, tag: str) -> None:
        """A tag's key says whose it is; names with one part stand in ``library``."""
        key = v1.tag_key(name, tag)
        whole = name if "/" in name else f"library/{name}"
        self.assertEqual(v1.entry_of(key), v1.Entry(whole, tag, f"tag_{tag}"))
        for document in (v1.tags_key(name), v1.images_key(name)):
            self.assertEqual(v1.entry_of(document), v1.Entry(whole, None, document.rpartition("/")[2]))

    @given(IDS, st.sampled_from([*v1.PARTS, v1.IN_PROGRESS]))
    def test_images(self, image_id: str, part: str) -> None:
        """A key of an image says of which, and what."""
        self.assertEqual(v1.image_of(v1.image_key(image_id, part)), (image_id, part))

    def test_others(self) -> None:
        """Any other key is none of these."""
        for key in ("images", "images/xyz/json", "images/" + "a" * 64, "v2/images/" + "a" * 64 + "/json"):
            self.assertIsNone(v1.image_of(key))
        for key in ("repositories", "repositories/a", "repositories/a/tag_1", "repositories/a/b/", "v2/a/b/tags"):
            self.assertIsNone(v1.entry_of(key), key)

    def test_headers(self) -> None:
        """Images never change; what repositories have does."""
        image = "images/" + "a" * 64
        for key, content_type, cache_control in (
            (f"{image}/json", "application/json", IMMUTABLE),
            (f"{image}/ancestry", "application/json", IMMUTABLE),
            (f"{image}/layer", "application/octet-stream", IMMUTABLE),
            (v1.tag_key("a/b", "1"), "application/octet-stream", SHORT),
            (v1.tags_key("a/b"), "application/json", SHORT),
            (v1.images_key("app"), "application/json", SHORT),
        ):
            found = headers_of(key)
            assert found is not None, key
            self.assertEqual((found.content_type, found.cache_control), (content_type, cache_control), key)


class DocumentTests(SynchronousTestCase):
    """What is in them."""

    @given(st.dictionaries(TAGS, IDS, max_size=4), st.lists(IDS, min_size=1, max_size=4))
    def test_there_and_back(self, tags: dict[str, str], ids: list[str]) -> None:
        """What is written is read."""
        self.assertEqual(v1.decode_tags(v1.encode_tags(tags)), tags)
        self.assertEqual(v1.decode_ancestry(v1.encode_ancestry(ids)), tuple(ids))
        self.assertEqual(v1.decode_tag(v1.encode_tag(ids[0])), ids[0])
        images = v1.decode_images(v1.encode_images(tags, ids))
        self.assertEqual({image["Tag"]: image["id"] for image in images if "Tag" in image}, tags)
        self.assertLessEqual({*ids}, {image["id"] for image in images})

    def test_written_by_others(self) -> None:
        """What the registry of 2014 wrote is read, spaces, line ends and quotes of people's own tools included."""
        image = "a" * 64
        self.assertEqual(v1.decode_tag(f'"{image}"\n'.encode()), image)
        self.assertEqual(v1.decode_ancestry(f'["{image}", "{"b" * 64}"]'.encode()), (image, "b" * 64))
        self.assertEqual(v1.decode_images(f'[{{"id": "{image}", "checksum": ""}}]'.encode())[0]["id"], image)

    @given(st.binary(max_size=80) | st.sampled_from([b"{}", b"[]", b"[1]", b'["x"]', b'{"a": 1}', b"null", b"\xff"]))
    def test_malformed(self, data: bytes) -> None:
        """Whatever the bytes are, they are read or refused as a bad document."""
        for decode in (v1.decode_ancestry, v1.decode_tag, v1.decode_tags, v1.decode_images):
            try:
                decode(data)
            except BadDocument as error:
                self.assertTrue(str(error))
        for decode, bad in (
            (v1.decode_ancestry, b"[]"),
            (v1.decode_tag, b"x"),
            (v1.decode_tags, b"[]"),
            (v1.decode_images, b"{}"),
            (v1.decode_tags, json.dumps({"1": "x"}).encode()),
        ):
            self.assertRaises(BadDocument, decode, bad)
