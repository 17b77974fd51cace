"""The marks of a collection: what is being removed from the tree, written down for publishers to heed.

A mark is ``marked`` while its candidates still stand, ``sweeping`` while they are deleted, and ``swept`` afterwards: it
stays for a while, so that a publisher which found something there before it was deleted can know.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol, Self

from sdr.tree.documents import BadDocument
from sdr.tree.keys import GC_PREFIX

SCHEMA = 1


class State(Enum):
    """How far a collection is."""

    MARKED = "marked"
    SWEEPING = "sweeping"
    SWEPT = "swept"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An object as it was when it was marked; written again since, it is none any more.

    :param version: as the store tells it.
    :param modified: in seconds since the epoch, by the store's clock.
    """

    version: str
    modified: float

    def is_still(self, other: "Candidate") -> bool:
        """Tell whether an object is as it was; some stores tell its time finer in one place than in another."""
        if self.version != other.version:
            return False
        whole = self.modified.is_integer() or other.modified.is_integer()
        return int(self.modified) == int(other.modified) if whole else self.modified == other.modified


class Written(Protocol):
    """What a store tells of an object: :class:`sdr.stores.interface.Stat`."""

    @property
    def version(self) -> str:
        """Opaque."""
        ...

    @property
    def modified(self) -> float:
        """In seconds since the epoch."""
        ...


def candidate(found: Written | None) -> Candidate:
    """Return an object as a mark names it.

    :param found: ``None`` where only the parts of an upload that was given up are there.
    """
    return Candidate(found.version, found.modified) if found else Candidate("", 0.0)


@dataclass(frozen=True, slots=True)
class Mark:
    """One collection under way, or over.

    :param since: when its state began, in seconds since the epoch.
    :param untagged: whether manifests that no tag leads to are among its candidates.
    :param candidates: by key.
    """

    state: State
    since: float
    untagged: bool
    candidates: Mapping[str, Candidate]

    def now(self, state: State, since: float) -> Self:
        """Return the mark in its next state."""
        return replace(self, state=state, since=since)


def mark_key(run: str) -> str:
    """Return where the mark of a collection is.

    :param run: what tells it from others, in letters, digits and hyphens.
    """
    return f"{GC_PREFIX}{run}.json"


def beat_key(key: str) -> str:
    """Return where the sweep of a mark shows its signs of life."""
    return key.removesuffix(".json") + ".beat"


def is_mark(key: str) -> bool:
    """Tell whether this is the key of a mark."""
    return key.startswith(GC_PREFIX) and key.endswith(".json")


def encode_mark(mark: Mark) -> bytes:
    """Write a mark."""
    candidates = {key: [each.version, each.modified] for key, each in sorted(mark.candidates.items())}
    document = {
        "schema": SCHEMA,
        "state": mark.state.value,
        "since": mark.since,
        "untagged": mark.untagged,
        "candidates": candidates,
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def decode_mark(data: bytes) -> Mark:
    """Read a mark.

    :raise BadDocument: if it is none.
    """
    try:
        match json.loads(data.decode()):
            case {
                "schema": 1,
                "state": str(state),
                "since": int(since) | float(since),
                "untagged": bool(untagged),
                "candidates": dict(candidates),
            }:
                found = {str(key): _candidate(value) for key, value in candidates.items()}
                return Mark(State(state), float(since), untagged, found)
    except (ValueError, RecursionError) as error:
        raise BadDocument("not the mark of a collection") from error
    raise BadDocument("not the mark of a collection")


def _candidate(value: object) -> Candidate:
    match value:
        case [str(version), int(modified) | float(modified)]:
            return Candidate(version, float(modified))
    raise BadDocument("a candidate is malformed")
