"""Tests of which documents are looked at again."""

from collections.abc import Callable, Sequence

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.rounds import Rounds
from sdr.tree.keys import list_of


def in_turn(steps: Sequence[Callable[[], bool]]) -> list[bool]:
    """Take steps one after the other."""
    return [step() for step in steps]


class RoundsTests(SynchronousTestCase):
    """Rounds of bringing documents level."""

    def test_what_was_written_is_looked_at_again(self) -> None:
        """First come all, then those that were written, with their lists, and in the end none."""
        rounds = Rounds(["a", "b", "c"])
        self.assertEqual(rounds.lists, rounds.prefixes)
        taken: list[str] = []

        def step(name: str, *wrote: str) -> bool:
            taken.append(name)
            return name in wrote

        self.assertTrue(rounds.take_repositories(lambda name: step(name, "b"), in_turn))
        self.assertFalse(rounds.take_lists(lambda prefix, names: False, in_turn))
        self.assertEqual((taken, rounds.repositories, rounds.lists), (["a", "b", "c"], {"b"}, set()))
        taken.clear()
        self.assertTrue(rounds.take_repositories(lambda name: step(name, name), in_turn))
        self.assertEqual((taken, rounds.lists), (["b"], {list_of("b")}))
        self.assertTrue(rounds.take_lists(lambda prefix, names: names == ["b"], in_turn))
        self.assertEqual(rounds.lists, {list_of("b")})
        self.assertFalse(rounds.take_repositories(lambda name: False, in_turn))
        self.assertFalse(rounds.take_lists(lambda prefix, names: False, in_turn))
        self.assertEqual((rounds.repositories, rounds.lists), (set(), set()))

    def test_leaving(self) -> None:
        """Of a repository that is to be in no list only the list is looked at."""
        rounds = Rounds(["a"], ["a"])
        self.assertEqual((rounds.repositories, rounds.lists), (set(), {list_of("a")}))
