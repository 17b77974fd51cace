"""Tests of ranges, as values and over HTTP."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.ranges import Part, Unsatisfiable, read_range
from tests.endpoint.serving import BLOB, BLOB_DIGEST, BLOB_PATH, TreeCase


class RangeTests(TreeCase):
    """Parts of a file (RFC 9110, section 14)."""

    def test_parts(self) -> None:
        """One range of bytes is sent as such, with where it stands in the whole."""
        size = len(BLOB)
        for text, start, end in (
            ("bytes=0-0", 0, 1),
            ("bytes=10-19", 10, 20),
            ("bytes=0-", 0, size),
            (f"bytes={size - 1}-", size - 1, size),
            (f"bytes=5-{size + 100}", 5, size),
            ("bytes=-7", size - 7, size),
            (f"bytes=-{size + 7}", 0, size),
        ):
            got = self.ask(BLOB_PATH, Range=text)
            self.assertEqual((got.status, got.body == BLOB[start:end]), (206, True), text)
            self.assertEqual(got.headers["content-range"], f"bytes {start}-{end - 1}/{size}")
            self.assertEqual(got.headers["content-length"], str(end - start))

    def test_beyond_the_end(self) -> None:
        """A range that is not in the file is 416, and the client is told the size."""
        for text in (f"bytes={len(BLOB)}-", "bytes=-0"):
            got = self.ask(BLOB_PATH, Range=text)
            self.assertEqual((got.status, got.headers["content-range"]), (416, f"bytes */{len(BLOB)}"))

    def test_whole_file_instead(self) -> None:
        """Several ranges, other units and nonsense get the whole file, as they may."""
        for text in ("bytes=0-1,3-4", "lines=1-2", "bytes=5-2", "bytes=x", "bytes=" + "9" * 30 + "-"):
            self.assertEqual(self.ask(BLOB_PATH, Range=text).status, 200, text)

    def test_if_range(self) -> None:
        """A client that has a part of something else gets the whole file."""
        self.assertEqual(self.ask(BLOB_PATH, Range="bytes=1-2", If_Range='"other"').status, 200)
        self.assertEqual(self.ask(BLOB_PATH, Range="bytes=1-2", If_Range=f'"{BLOB_DIGEST}"').status, 206)

    @given(st.text(max_size=30) | st.from_regex(r"\Abytes=[0-9]{0,3}-[0-9]{0,3}\Z"), st.integers(0, 1000))
    def test_within_the_file(self, text: str, size: int) -> None:
        """A range is never more than the file, whatever is asked."""
        try:
            part = read_range(text, size)
        except Unsatisfiable:
            return
        if part is not None:
            self.assertTrue(0 <= part.start < part.end <= size, part)


class PartTests(SynchronousTestCase):
    """Ranges as values."""

    def test_empty_file(self) -> None:
        """An empty file has no parts."""
        self.assertRaises(Unsatisfiable, read_range, "bytes=0-", 0)
        self.assertEqual(read_range("bytes=0-", 1), Part(0, 1))
