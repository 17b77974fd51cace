"""Tests of the marks of collections."""

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.tree.documents import BadDocument
from sdr.tree.marks import Candidate, Mark, State, candidate, decode_mark, encode_mark, mark_key

CANDIDATES = st.builds(Candidate, st.text(), st.floats(0, 1e11))
MARKS = st.builds(
    Mark, st.sampled_from(State), st.floats(0, 1e11), st.booleans(), st.dictionaries(st.text(), CANDIDATES)
)


class MarkTests(SynchronousTestCase):
    """From values to bytes and back."""

    @given(MARKS)
    def test_round_trip(self, mark: Mark) -> None:
        """What is written is read again."""
        self.assertEqual(decode_mark(encode_mark(mark)), mark)

    def test_form(self) -> None:
        """A mark is the document that docs/tree.md shows."""
        mark = Mark(State.MARKED, 5.0, True, {"blobs/sha256/00": Candidate("v", 2.5)})
        self.assertEqual(
            json.loads(encode_mark(mark)),
            {
                "schema": 1,
                "state": "marked",
                "since": 5.0,
                "untagged": True,
                "candidates": {"blobs/sha256/00": ["v", 2.5]},
            },
        )
        self.assertEqual(mark_key("1-2"), "_gc/1-2.json")

    def test_malformed(self) -> None:
        """What is no mark is refused: what it would protect is not known."""
        whole = json.loads(encode_mark(Mark(State.SWEPT, 5.0, True, {"a": Candidate("v", 2.5)})))
        changes: tuple[dict[str, object], ...] = (
            {"schema": 2},
            {"state": "else"},
            {"since": "now"},
            {"untagged": 1},
            {"candidates": []},
            {"candidates": {"a": ["v"]}},
            {"candidates": {"a": 1}},
        )
        for change in changes:
            self.assertRaises(BadDocument, decode_mark, json.dumps({**whole, **change}).encode())
        for data in (b"", b"?", b"[]", b"\xff", b"[" * 100_000):
            self.assertRaises(BadDocument, decode_mark, data)

    def test_next_state(self) -> None:
        """A mark keeps its candidates from one state to the next."""
        mark = Mark(State.MARKED, 5.0, False, {"a": Candidate("v", 2.5)})
        self.assertEqual(mark.now(State.SWEPT, 6.0), Mark(State.SWEPT, 6.0, False, mark.candidates))

    def test_parts_only(self) -> None:
        """What is there in parts only is a candidate like no object."""
        self.assertEqual(candidate(None), Candidate("", 0.0))
