"""How the catalog stands: what polls have brought, and what came of the last ones; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

#: Why a poll may fail: no connection; no answer in time; another status than one has; too large; malformed;
#: implausible; the list of lists was read and one of the lists was not.
POLL_FAILURES = ("unreachable", "timeout", "status", "too_large", "malformed", "implausible", "lists", "other")


@dataclass(frozen=True, slots=True)
class Standing:
    """How the catalog stands at one time.

    :param state: starting, loaded, failing or none, as docs/operations.md has them.
    :param repositories: how many are listed.
    :param polled_at: the time of the last poll that read the catalog, or saw that there is none.
    :param failing: polls that failed since the last good one.
    :param trouble: why the last one did, or empty.
    :param polls: polls that have ended, the good ones too.
    :param failures: how many failed, by why.
    """

    state: str
    repositories: int
    polled_at: float | None = None
    failing: int = 0
    trouble: str = ""
    polls: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)


class CatalogHealth(Protocol):
    """Whoever can tell how the catalog stands."""

    def standing(self) -> Standing:
        """Tell how it stands now."""
        ...
