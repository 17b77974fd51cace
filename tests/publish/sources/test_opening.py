"""Tests of what a user writes for SOURCE."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.sources.opening import Source


class SourceTests(SynchronousTestCase):
    """SOURCE."""

    def test_read(self) -> None:
        """A path ends at the colon, as with skopeo; what follows is the REF, which may have colons."""
        self.assertEqual(Source.parse("oci:a/b"), Source("oci", "a/b", None))
        self.assertEqual(Source.parse("docker-archive:a.tar:x/y:1"), Source("docker-archive", "a.tar", "x/y:1"))
        self.assertEqual(Source.parse("oci-archive:a:@sha256:b"), Source("oci-archive", "a", "@sha256:b"))

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Any text is a source or refused with ValueError."""
        for each in (text, f"oci:{text}"):
            try:
                self.assertTrue(Source.parse(each).path)
            except ValueError as error:
                self.assertTrue(str(error))
