"""Tests of reproducible compression."""

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.sources.compression import Gzip


class GzipTests(SynchronousTestCase):
    """Compression that is the same every time."""

    def test_pieces_do_not_matter(self) -> None:
        """The same bytes in other pieces, and at another time, compress to the same."""

        def packed(*pieces: bytes) -> bytes:
            gzip = Gzip()
            return b"".join([*map(gzip.compress, pieces), gzip.flush()])

        self.assertEqual(packed(b"a" * 100_000), packed(b"a" * 99_999, b"", b"a"))
