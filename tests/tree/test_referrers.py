"""Tests of referrers as they are sent."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.registry.grammar import Digest
from sdr.tree.documents import BadDocument, encode_referrers
from sdr.tree.referrers import Referrers

_TYPES = st.sampled_from([None, "", "application/x", "application/y+json", 1])
_DESCRIPTORS = st.builds(
    lambda digest, kind, more: (
        {"digest": str(Digest.of(digest)), "annotations": more} | ({} if kind is None else {"artifactType": kind})
    ),
    st.binary(max_size=3),
    _TYPES,
    st.dictionaries(st.text(), st.text()),
)


class ReferrersTests(SynchronousTestCase):
    """Whole and filtered indexes."""

    @given(st.lists(_DESCRIPTORS))
    def test_as_encoded(self, entries: list[dict[str, Any]]) -> None:
        """The index is that of the codec, byte for byte, and so is that of one type."""
        referrers = Referrers.read(encode_referrers(entries))
        self.assertEqual(referrers.index(), encode_referrers(entries))
        for kind in ("application/x", "application/y+json", "application/none", ""):
            chosen = [entry for entry in entries if entry.get("artifactType") == kind]
            self.assertEqual(referrers.index(kind), encode_referrers(chosen))

    def test_nothing(self) -> None:
        """Without any, it is an empty index."""
        self.assertEqual(Referrers().index(), encode_referrers([]))

    def test_malformed(self) -> None:
        """What is no index is refused."""
        for data in (b"", b"{}", b'{"manifests":[1]}'):
            with self.assertRaises(BadDocument):
                Referrers.read(data)
