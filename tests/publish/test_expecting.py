"""Tests of what may be demanded of a tag."""

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.expecting import Expected
from sdr.publish.refused import Refused
from sdr.registry.grammar import Digest


class ExpectedTests(SynchronousTestCase):
    """From text to a decision."""

    def test_parse(self) -> None:
        """It is "absent" or a digest."""
        digest = Digest.of(b"1", "sha512")
        self.assertEqual([Expected.parse(text).digest for text in ("absent", str(digest))], [None, digest])
        for text in ("", "ABSENT", "1.0", "sha256:0"):
            self.assertRaises(ValueError, Expected.parse, text)

    def test_require(self) -> None:
        """A tag that is not as expected is named, with what it is."""
        digests = [Digest.of(b"1", algorithm) for algorithm in ("sha256", "sha512")]
        Expected(None).require("a:1", None)
        for digest in digests:
            Expected(digest).require("a:1", b"1")
        cases: list[tuple[Digest | None, bytes | None, str]] = [
            (None, b"1", str(digests[0])),
            (digests[0], None, "not there"),
            (digests[1], b"2", str(digests[1])),
        ]
        for expected, data, words in cases:
            error = self.assertRaises(Refused, Expected(expected).require, "a:1", data)
            self.assertIn("a:1", str(error))
            self.assertIn(words, str(error))
