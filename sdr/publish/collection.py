"""``sdr gc``: removing what nothing refers to, beside publishers that go on.

In two passes. The first writes down the candidates. The second, at least ``--older-than`` later, says that it sweeps,
reads all manifests anew, and deletes the candidates that are still of no use to any and were not written again since.
Publishers read these marks (:class:`sdr.publish.marks.Guard`): that, and no clock, is what makes it safe. The mark of a
collection that is over stays until one that ends ``--older-than`` later, for a publisher that began before it.
"""

import secrets
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass

from sdr.publish.index import Index, Touched
from sdr.publish.jobs import Jobs
from sdr.publish.marks import DEAD, LOOK, Marks, Sweep
from sdr.publish.progress import Report
from sdr.publish.refused import Refused
from sdr.publish.survey import Survey
from sdr.publish.writing import Writing
from sdr.stores.interface import Stat, Store
from sdr.tree.marks import Mark, State, candidate, mark_key


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection has done.

    :param marked: the keys that have been marked now.
    :param deleted: the keys that were deleted (that would be, in a dry run).
    :param freed: in bytes.
    :param until: when the first of all that is marked may be deleted, in seconds since the epoch.
    """

    marked: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    freed: int = 0
    until: float | None = None


class Collection:
    """Collects the garbage of one store.

    :param now: the time in seconds since the epoch.
    :param sleep: waits for so many seconds.
    """

    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        report: Report,
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store, self._jobs, self._report, self._now, self._sleep = store, jobs, report, now, sleep
        self._marks = Marks(store)
        self._index = Index(store, Writing(store, jobs, report), sleep=sleep)

    def collect(self, older_than: float, *, untagged: bool = False, dry_run: bool = False) -> Collected:
        """Sweep what was marked long enough ago, and mark what is of no use now.

        :param older_than: seconds between marking and sweeping; longer than any publish takes.
        :param untagged: whether a manifest by digest is of use only if a tag leads to it.
        :param dry_run: tell, and change nothing.
        :raise sdr.publish.refused.Refused: if somebody else is deleting.
        :raise sdr.stores.interface.StoreError: if the store fails, or a manifest cannot be read: what that one refers
            to is not known.
        """
        marks = self._abandoned_or_still()
        due = {
            key: mark
            for key, mark in marks.items()
            if mark.state is State.SWEEPING or (mark.state is State.MARKED and mark.since + older_than <= self._now())
        }
        deleted: dict[str, int] = {}
        for key, mark in sorted(due.items()):
            # Manifests that were marked with --untagged are left alone by a later call without.
            deleted |= self._sweep(key, mark, untagged=untagged and mark.untagged, dry_run=dry_run)
        for key, mark in marks.items():
            if mark.state is State.SWEPT and mark.since + older_than <= self._now() and not dry_run:
                self._marks.remove(key)
        waiting = [mark for key, mark in marks.items() if mark.state is State.MARKED and key not in due]
        marked = self._mark(waiting, deleted, untagged=untagged, dry_run=dry_run)
        since = [*(mark.since for mark in waiting), *([self._now()] if marked else [])]
        until = min(since) + older_than if since else None
        return Collected(marked, tuple(deleted), sum(deleted.values()), until)

    def _abandoned_or_still(self) -> dict[str, Mark]:
        """Return the marks; of those that say that somebody is deleting, the ones whose owner shows no sign of life."""
        marks = self._marks.read()
        waited = 0.0
        while sweeping := {key: mark for key, mark in marks.items() if mark.state is State.SWEEPING}:
            if waited >= DEAD:
                break
            self._jobs.go_on()
            self._sleep(LOOK)
            waited += LOOK
            marks = self._marks.read()
            if any(key in marks and marks[key].since != mark.since for key, mark in sweeping.items()):
                raise Refused(f"{self._store.location}: somebody else is deleting here; wait until that has ended")
        return marks

    def _mark(
        self, waiting: Iterable[Mark], deleted: Container[str], *, untagged: bool, dry_run: bool
    ) -> tuple[str, ...]:
        """Write down what is of no use now and was not yet, and return that."""
        known = {each: its for mark in waiting for each, its in mark.candidates.items()}
        unused = Survey(self._store, self._jobs).unused(lambda key, stat: untagged)
        found = {key: candidate(stat) for key, stat in unused.items() if key not in deleted}
        found = {key: its for key, its in found.items() if known.get(key) != its}
        if found and not dry_run:
            now = self._now()
            key = mark_key(f"{int(now)}-{secrets.token_hex(4)}")
            self._marks.write(key, Mark(State.MARKED, now, untagged, found))
        return tuple(sorted(found))

    def _sweep(self, mark_at: str, mark: Mark, *, untagged: bool, dry_run: bool) -> dict[str, int]:
        """Delete what is still of no use; return the sizes in bytes by key."""
        if dry_run:
            doomed = self._doomed(Survey(self._store, self._jobs), mark, untagged)
            return {key: stat.size if stat else 0 for key, stat in doomed.items()}
        deleted: dict[str, int] = {}
        with Sweep(self._marks, mark_at, mark, self._now):
            survey = Survey(self._store, self._jobs)
            doomed = self._doomed(survey, mark, untagged)
            for name, manifests in survey.attached(doomed).items():
                detached = frozenset(manifests)
                self._index.level_repository(name, Touched(detached=detached, subjects=frozenset(manifests.values())))
            for key in survey.parents_first(doomed):
                self._jobs.go_on()
                # Looked at once more: listings may lag, and this may have taken long.
                if mark.candidates.get(key) == candidate(self._store.head(key)):
                    self._store.delete(key)
                    stat = doomed[key]
                    deleted[key] = stat.size if stat else 0
        return deleted

    def _doomed(self, survey: Survey, mark: Mark, untagged: bool) -> dict[str, Stat | None]:
        """Return those candidates of which there still is no use, and that were not written again."""

        def unchanged(key: str, stat: Stat | None) -> bool:
            return mark.candidates.get(key) == candidate(stat)

        unused = survey.unused(lambda key, stat: untagged and unchanged(key, stat))
        return {key: stat for key, stat in unused.items() if unchanged(key, stat)}
