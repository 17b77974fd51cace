"""What a command has changed in a tree."""

from dataclasses import dataclass

from sdr.tree.headers import REVALIDATE, headers_of


@dataclass(frozen=True, slots=True)
class Changes:
    """What was written and removed.

    :param written: keys, in the order of writing; so is ``removed``.
    """

    written: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def cached(self) -> tuple[str, ...]:
        """The keys of which a CDN may go on serving an older copy: a minute, or a year where the key has a digest."""
        changed = dict.fromkeys((*self.removed, *self.written))
        found = ((key, headers_of(key)) for key in changed)
        return tuple(key for key, headers in found if headers is not None and headers.cache_control != REVALIDATE)
