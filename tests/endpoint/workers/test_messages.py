"""Tests of what a parent and its workers say to each other."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.workers.messages import Frames, Message

FIELDS = st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=9), st.none()), max_size=3)
MESSAGES = st.lists(st.builds(Message, st.text(max_size=8), FIELDS, st.binary(max_size=300)), max_size=5)


class FramesTests(SynchronousTestCase):
    """Messages through a pipe."""

    @given(MESSAGES, st.data())
    def test_any_pieces(self, messages: list[Message], data: st.DataObject) -> None:
        """Messages come out whole and in order, however the pipe cuts them."""
        raw = b"".join(message.encode() for message in messages)
        frames = Frames()
        heard: list[Message] = []
        while raw:
            size = data.draw(st.integers(1, len(raw)))
            heard += frames.feed(raw[:size])
            raw = raw[size:]
        self.assertEqual(heard, messages)
