"""What looks have found, and for how long it may be gone by: bounded memories; pure, time is an argument."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from typing import Any, TypeVar, cast

from sdr.catalog.lookups import (
    ABSENT,
    UNKNOWN,
    FoundManifest,
    Lookup,
    ManifestLookup,
    Missing,
    RepositoryLookup,
    TagsLookup,
)
from sdr.catalog.memory import Memory
from sdr.catalog.v1_lookups import V1ImageLookup
from sdr.registry.grammar import Digest

T = TypeVar("T")

#: How long "it is not there" and "it could not be seen" are remembered, in seconds.
MISSING_SECONDS = 5.0
#: A repository in use is revalidated when its document is older than this many polls: a hint may have been lost.
TRUSTED_POLLS = 5
#: The memory for what was found, in bytes (roughly), and for what was not, in entries.
MEMORY_LIMIT, MISSING_LIMIT = 128 * 1024 * 1024, 20_000
_BARE_WEIGHT = 500


@dataclass(frozen=True, slots=True)
class Held:
    """Something found.

    :param etag: to ask the store with whether it still stands.
    :param weight: in memory, in bytes, roughly.
    :param revision: of a repository's document; else empty.
    :param listed: the revision that the lists gave the repository when this was asked for.
    :param at: when it was fetched or found unchanged, in seconds of the catalog's clock.
    :param until: when it must be looked at again; a repository's document is judged by :func:`is_current` instead.
    """

    finding: object
    etag: str
    weight: int
    revision: str = ""
    listed: str | None = None
    at: float = 0.0
    until: float = inf


def is_current(revision: str, listed_then: str | None, listed_now: str | None, age: float, poll: float) -> bool:
    """Tell whether a repository's document may be used without a look.

    :param revision: of the document itself.
    :param listed_then: the revision in the lists when it was fetched; lists may lag behind the document.
    :param listed_now: the revision in the lists now.
    :param age: seconds since it was fetched.
    :param poll: seconds between polls.
    """
    if listed_now == revision:
        return age < TRUSTED_POLLS * poll
    return listed_now == listed_then and age < poll


def weight(lookup: Lookup[Any], size: int) -> int:
    """Estimate what something found weighs in memory: read JSON is several times as large as its text.

    :param size: of the object, in bytes.
    """
    return _BARE_WEIGHT + (size if isinstance(lookup, ManifestLookup) else 6 * size)


class Findings:
    """What looks have found, and what they have not.

    :param poll: seconds between polls: how long what may change is remembered.
    :param keep_bodies: keep the bytes of manifests.
    :param limit: of the memory for what was found, in bytes.
    :ivar learnt: told of each lookup of which something new is known; not of what is forgotten to make room.
    """

    def __init__(self, poll: float, *, keep_bodies: bool, limit: int = MEMORY_LIMIT) -> None:
        self.learnt: Callable[[Lookup[Any]], object] = lambda _: None
        self._poll = poll
        self._keep_bodies = keep_bodies
        self._held: Memory[Lookup[Any], Held] = Memory(limit)
        self._missing: Memory[Lookup[Any], tuple[Missing, float]] = Memory(MISSING_LIMIT)
        self._absent: Memory[str, float] = Memory(MISSING_LIMIT)

    def held(self, lookup: Lookup[Any]) -> Held | None:
        """Return what was found, however long ago."""
        return self._held.get(lookup)

    def last(self, lookup: Lookup[T]) -> T | Missing:
        """Return what to go by where no look can be made: what was found last, or ``UNKNOWN``."""
        held = self._held.get(lookup)
        return UNKNOWN if held is None else cast(T, held.finding)

    def recall(self, lookup: Lookup[T], listed: str | None, now: float) -> T | Missing | None:
        """Return what is known; ``None`` if a look is due.

        :param listed: the revision that the lists give the repository now.
        """
        held = self._held.get(lookup)
        if held is not None and self._is_current(lookup, held, listed, now):
            return cast(T, held.finding)
        missing = self._missing.get(lookup)
        if missing is not None and now < missing[1]:
            return missing[0] if held is None else cast(T, held.finding)
        return None

    def recalled_until(self, lookup: Lookup[Any], listed: str | None, now: float) -> float:
        """Return when :meth:`recall` will say something else, if nothing is learnt or forgotten before."""
        held = self._held.get(lookup)
        if held is not None and self._is_current(lookup, held, listed, now):
            if isinstance(lookup, RepositoryLookup):
                return held.at + self._poll * (TRUSTED_POLLS if listed == held.revision else 1)
            return held.until
        missing = self._missing.get(lookup)
        return missing[1] if missing is not None and now < missing[1] else inf

    def is_absent(self, name: str, now: float) -> bool:
        """Tell whether moments ago a repository's document and another of its objects were not there."""
        until = self._absent.get(name)
        return until is not None and now < until

    def absent_until(self, name: str, now: float) -> float:
        """Return when :meth:`is_absent` will say something else, if nothing is learnt before."""
        until = self._absent.get(name)
        return until if until is not None and now < until else inf

    def keep(self, lookup: Lookup[Any], held: Held, now: float) -> None:
        """Remember something found, for as long as its kind allows."""
        held = replace(held, at=now, until=now + self._poll)
        match lookup:
            case ManifestLookup(_, Digest()) | V1ImageLookup():
                held = replace(held, until=inf)
            case ManifestLookup(name, _):
                self._make_old(RepositoryLookup(name))
        if isinstance(held.finding, FoundManifest) and not self._keep_bodies:
            held = replace(held, finding=replace(held.finding, body=b""), weight=_BARE_WEIGHT)
        if isinstance(lookup, RepositoryLookup | ManifestLookup | TagsLookup):
            self._absent.forget(lookup.name)
        self._missing.forget(lookup)
        self._held.put(lookup, held, held.weight)
        self.learnt(lookup)

    def miss(self, lookup: Lookup[T], missing: Missing, now: float) -> T | Missing:
        """Remember for a moment that there was nothing to see, and return what to go by.

        What is absent is no longer held; what could not be seen still stands.
        """
        until = now + MISSING_SECONDS
        self._missing.put(lookup, (missing, until))
        self.learnt(lookup)
        if missing is UNKNOWN:
            return self.last(lookup)
        self._held.forget(lookup)
        if isinstance(lookup, ManifestLookup | TagsLookup):
            document = self._missing.get(RepositoryLookup(lookup.name))
            if document is not None and document[0] is ABSENT:
                self._absent.put(lookup.name, until)
        return missing

    def clear(self) -> None:
        """Forget everything."""
        self._held.clear()
        self._missing.clear()
        self._absent.clear()

    def _make_old(self, lookup: RepositoryLookup) -> None:
        """Have a repository's document fetched again: it lacks a tag that is there."""
        held = self._held.get(lookup)
        if held is not None:
            self._held.put(lookup, replace(held, at=-inf), held.weight)

    def _is_current(self, lookup: Lookup[Any], held: Held, listed: str | None, now: float) -> bool:
        if isinstance(lookup, RepositoryLookup):
            return is_current(held.revision, held.listed, listed, now - held.at, self._poll)
        return now < held.until
