"""Hypothesis strategies for what the registry's grammar allows."""

from hypothesis import strategies as st

from sdr.registry.grammar import Digest
from sdr.registry.media_types import INDEX_TYPES, MANIFEST_TYPES
from sdr.tree.documents import ManifestEntry

#: Grown piece by piece as the specification writes the grammar, and not with the expression that the code uses.
WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=6)
SEPARATORS = st.sampled_from([".", "_", "__", "-", "--", "---"])


@st.composite
def _components(draw: st.DrawFn) -> str:
    text = draw(WORDS)
    for separator, word in draw(st.lists(st.tuples(SEPARATORS, WORDS), max_size=2)):
        text += separator + word
    return text


NAMES = st.lists(_components(), min_size=1, max_size=4).map("/".join)

_FIRST = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
TAGS = st.builds(str.__add__, st.sampled_from(_FIRST), st.text(f"{_FIRST}.-", max_size=127))

DIGESTS = st.builds(Digest.of, st.binary(max_size=8), st.sampled_from(["sha256", "sha512"]))

#: What `json.loads` can return.
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)

ENTRIES = st.builds(
    ManifestEntry, DIGESTS, st.sampled_from(sorted(MANIFEST_TYPES | INDEX_TYPES)), st.integers(0, 4 * 1024 * 1024)
)
