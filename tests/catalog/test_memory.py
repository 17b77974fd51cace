"""Tests of the bounded memory."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.memory import Memory

LIMIT = 10


class MemoryTests(SynchronousTestCase):
    """Values by key, up to a weight."""

    def test_get(self) -> None:
        """What was put is there, and what was not is not."""
        memory: Memory[str, int] = Memory(LIMIT)
        memory.put("a", 1)
        self.assertEqual((memory.get("a"), memory.get("b"), len(memory)), (1, None, 1))

    def test_oldest_goes_first(self) -> None:
        """To make room, what was put longest ago goes first."""
        memory: Memory[int, int] = Memory(3)
        for key in range(5):
            memory.put(key, key)
        self.assertEqual([memory.get(key) for key in range(5)], [None, None, 2, 3, 4])

    def test_use_keeps(self) -> None:
        """What was used lately stays, though it was put first."""
        memory: Memory[int, int] = Memory(3)
        for key in range(3):
            memory.put(key, key)
        memory.get(0)
        memory.put(3, 3)
        self.assertEqual([memory.get(key) for key in range(4)], [0, None, 2, 3])

    def test_weights(self) -> None:
        """A heavy value makes as much room as it needs, and no more."""
        memory: Memory[str, int] = Memory(LIMIT)
        for key in "abcd":
            memory.put(key, 0, 2)
        memory.put("heavy", 0, 5)
        self.assertEqual([key for key in ("a", "b", "c", "d", "heavy") if memory.get(key) is None], ["a", "b"])

    def test_too_heavy(self) -> None:
        """A value heavier than the limit is not kept, nor is the one that it would have replaced; others stay."""
        memory: Memory[str, int] = Memory(LIMIT)
        memory.put("a", 1)
        memory.put("b", 1)
        memory.put("b", 2, LIMIT + 1)
        self.assertEqual((memory.get("a"), memory.get("b")), (1, None))

    def test_replace(self) -> None:
        """A value in another's place weighs once."""
        memory: Memory[str, int] = Memory(LIMIT)
        memory.put("other", 0, 1)
        for value in range(100):
            memory.put("a", value, 9)
        self.assertEqual((memory.get("a"), memory.get("other")), (99, 0))

    def test_forget(self) -> None:
        """What is forgotten is gone, and its room is free; to forget it again does nothing."""
        memory: Memory[str, int] = Memory(LIMIT)
        memory.put("a", 1, LIMIT)
        memory.forget("a")
        memory.forget("a")
        memory.put("b", 2, 1)
        memory.put("c", 3, LIMIT - 1)
        self.assertEqual((memory.get("a"), memory.get("b"), memory.get("c")), (None, 2, 3))

    def test_clear(self) -> None:
        """After a clearing everything is gone, and all room is free."""
        memory: Memory[str, int] = Memory(LIMIT)
        memory.put("a", 1, LIMIT)
        memory.clear()
        self.assertEqual(len(memory), 0)
        memory.put("b", 2, 1)
        memory.put("c", 3, LIMIT - 1)
        self.assertEqual((memory.get("b"), memory.get("c")), (2, 3))


class _Machine(RuleBasedStateMachine):
    """A memory beside a plain list of what was put, the least recently used first."""

    def __init__(self) -> None:
        super().__init__()
        self.memory: Memory[int, int] = Memory(LIMIT)
        self.model: list[tuple[int, int, int]] = []

    @rule(key=st.integers(0, 6), value=st.integers(), weight=st.integers(1, LIMIT + 2))
    def put(self, key: int, value: int, weight: int) -> None:
        """Keep a value."""
        self.memory.put(key, value, weight)
        self.model = [entry for entry in self.model if entry[0] != key]
        if weight <= LIMIT:
            self.model.append((key, value, weight))
        while sum(weight for _, _, weight in self.model) > LIMIT:
            del self.model[0]

    @rule(key=st.integers(0, 6))
    def get(self, key: int) -> None:
        """Use a value."""
        found = [entry for entry in self.model if entry[0] == key]
        assert self.memory.get(key) == (found[0][1] if found else None)
        self.model = [entry for entry in self.model if entry[0] != key] + found

    @rule(key=st.integers(0, 6))
    def forget(self, key: int) -> None:
        """Drop a value."""
        self.memory.forget(key)
        self.model = [entry for entry in self.model if entry[0] != key]

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        """Compare their sizes: the model never exceeds the limit."""
        assert len(self.memory) == len(self.model)


class MemoryPropertyTests(SynchronousTestCase):
    """Any sequence of uses."""

    def test_like_the_model(self) -> None:
        """Whatever is put, used and forgotten, the limit holds and what is there is what should be."""
        run_state_machine_as_test(_Machine)
