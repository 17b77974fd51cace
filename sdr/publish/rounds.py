"""Which documents are to be looked at: those of all repositories that were touched, and again what was written."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from sdr.tree.keys import list_of

#: Takes steps at once; each tells whether it wrote anything.
AtOnce = Callable[[Sequence[Callable[[], bool]]], Sequence[bool]]


class Rounds:
    """The rounds of bringing documents level. What was level in one round has overwritten nobody's work in it.

    :param names: the repositories.
    :param leaving: those that are to be in no list; their own documents are not looked at.
    """

    def __init__(self, names: Iterable[str], leaving: Iterable[str] = ()) -> None:
        self._names = {*names}
        self._of_list: dict[str, list[str]] = {}
        for name in sorted(self._names):
            self._of_list.setdefault(list_of(name), []).append(name)
        self.repositories, self.lists = self._names - {*leaving}, {*self._of_list}

    @property
    def prefixes(self) -> set[str]:
        """All lists in which the repositories stand."""
        return {*self._of_list}

    def take_repositories(self, step: Callable[[str], bool], at_once: AtOnce) -> bool:
        """Take a step for each repository whose turn it is; tell whether any wrote anything."""
        names = sorted(self.repositories)
        wrote = at_once([partial(step, name) for name in names])
        self.repositories = {name for name, has in zip(names, wrote, strict=True) if has}
        self.lists |= {list_of(name) for name in self.repositories}
        return any(wrote)

    def take_lists(self, step: Callable[[str, list[str]], bool], at_once: AtOnce) -> bool:
        """Take a step for each list whose turn it is, with the repositories in it; tell whether any wrote anything."""
        prefixes = sorted(self.lists)
        wrote = at_once([partial(step, prefix, self._of_list[prefix]) for prefix in prefixes])
        self.lists = {prefix for prefix, has in zip(prefixes, wrote, strict=True) if has}
        return any(wrote)
