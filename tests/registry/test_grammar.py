"""Tests of the grammar of names, tags and digests."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.registry.grammar import NAME_LENGTH, Digest, is_name, is_tag, parse_reference
from tests.texts import DIGESTS, NAMES, TAGS

GOOD_NAMES = ["a", "acme/app", "a.b", "a_b", "a__b", "a---b", "0/1/2/3/4", "manifests", "a/blobs/b", "tags/list"]
BAD_NAMES = [
    *["", "/", "/a", "a/", "a//b", "A", "a/B", "é", "a b", "a\n", "a/b\n", "a\0", "."],
    *["..", "a/..", "a/../b", "./a", "_a", "a_", "a___b", "a._b", "a..b", "-a", "a-", "a:b", "a@b", "v2/_repositories"],
]
GOOD_TAGS = ["latest", "1.0", "_", "A", "a-b.c_d", "0" * 128]
BAD_TAGS = ["", ".", "-", ".a", "-a", "a/b", "a:b", "a b", "a\n", "é", "a" * 129, "a\0"]
BAD_DIGESTS = [
    *["", "sha256", "sha256:", ":" + "0" * 64, "sha256:" + "0" * 63, "sha256:" + "0" * 65, "sha256:" + "A" * 64],
    *[
        "sha512:" + "0" * 64,
        "SHA256:" + "0" * 64,
        "md5:" + "0" * 32,
        "sha256:" + "0" * 64 + "\n",
        "sha256:" + "0" * 63 + "g",
    ],
]


class NameTests(SynchronousTestCase):
    """Names of repositories."""

    def test_table(self) -> None:
        """What the specification allows is a name, what it does not is none."""
        self.assertEqual([name for name in GOOD_NAMES if not is_name(name)], [])
        self.assertEqual([name for name in BAD_NAMES if is_name(name)], [])

    def test_length(self) -> None:
        """A name has 255 characters at most."""
        self.assertTrue(is_name("a" * NAME_LENGTH))
        self.assertFalse(is_name("a" * (NAME_LENGTH + 1)))

    @given(NAMES)
    def test_grown_names(self, name: str) -> None:
        """Whatever grows by the specification's own rules is a name."""
        self.assertTrue(is_name(name))

    @given(st.text())
    def test_no_name_leaves_its_folder(self, text: str) -> None:
        """No name has a part that a file system or the tree would read as something else."""
        if is_name(text):
            parts = text.split("/")
            self.assertFalse({"", ".", ".."} & set(parts))
            self.assertFalse([part for part in parts if part.startswith(("_", "."))])

    def test_hostile_length_is_quick(self) -> None:
        """A long text that almost fits is refused at once, not after exponential backtracking."""
        self.assertFalse(is_name("a-" * 126 + "!"))
        self.assertFalse(is_name("a-" * 10_000_000))


class TagTests(SynchronousTestCase):
    """Tags."""

    def test_table(self) -> None:
        """What the specification allows is a tag, what it does not is none."""
        self.assertEqual([tag for tag in GOOD_TAGS if not is_tag(tag)], [])
        self.assertEqual([tag for tag in BAD_TAGS if is_tag(tag)], [])

    @given(TAGS)
    def test_grown_tags(self, tag: str) -> None:
        """Whatever grows by the specification's own rules is a tag, and reads as a reference."""
        self.assertTrue(is_tag(tag))
        self.assertEqual(parse_reference(tag), tag)


class DigestTests(SynchronousTestCase):
    """Digests."""

    @given(DIGESTS)
    def test_text_and_back(self, digest: Digest) -> None:
        """A digest is read from its text as it was, also as a reference."""
        self.assertEqual(Digest.parse(str(digest)), digest)
        self.assertEqual(parse_reference(str(digest)), digest)

    def test_of(self) -> None:
        """The digest of bytes is the algorithm's hash of them."""
        self.assertEqual(str(Digest.of(b"abc", "sha512")), f"sha512:{hashlib.sha512(b'abc').hexdigest()}")

    def test_malformed(self) -> None:
        """What is no digest of a registered algorithm is refused."""
        for text in BAD_DIGESTS:
            self.assertRaises(ValueError, Digest.parse, text)

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """A text is a tag, a digest, or refused with ValueError; never anything else."""
        try:
            reference = parse_reference(text)
        except ValueError:
            return
        self.assertEqual(str(reference), text)
