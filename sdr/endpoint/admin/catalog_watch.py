"""Watching the polls of a catalog, to tell how it stands."""

from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from sdr.catalog.catalog import State
from sdr.catalog.snapshot import Snapshot
from sdr.endpoint.admin.standing import POLL_FAILURES, Standing


class Watched(Protocol):
    """A catalog, as far as its standing goes."""

    @property
    def state(self) -> State:
        """How far the lists can be trusted."""
        ...

    @property
    def snapshot(self) -> Snapshot:
        """The lists."""
        ...


class CatalogWatch:
    """Is told of the end of each poll, and remembers what came of it.

    :param clock: the catalog's own.
    """

    def __init__(self, catalog: Watched, clock: IReactorTime) -> None:
        self._catalog = catalog
        self._clock = clock
        self._polled_at: float | None = None
        self._polls = 0
        self._failing = 0
        self._trouble = ""
        self._failures = dict.fromkeys(POLL_FAILURES, 0)

    def polled(self, trouble: str) -> None:
        """Note that a poll has ended, once the catalog has what it brought.

        :param trouble: one of :data:`POLL_FAILURES`, or empty.
        """
        self._polls += 1
        self._trouble = trouble
        if not trouble or trouble == "lists":
            self._polled_at = self._clock.seconds()
        if trouble:
            self._failures[trouble if trouble in self._failures else "other"] += 1
            self._failing += 1
        else:
            self._failing = 0

    def standing(self) -> Standing:
        """Tell how the catalog stands now."""
        return Standing(
            self._catalog.state.value,
            self._catalog.snapshot.count,
            self._polled_at,
            self._failing,
            self._trouble,
            self._polls,
            dict(self._failures),
        )
