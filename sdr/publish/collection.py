"""``sdr gc``: removing what nothing refers to, beside publishers that go on.

In two passes. The first writes down the candidates. The second, at least ``--older-than`` later, says that it sweeps,
reads all manifests anew, and deletes the candidates that are still of no use to any and were not written again since.
Publishers read these marks (:class:`sdr.publish.marks.Guard`): that, and no clock, is what makes it safe. The mark of a
sweep that is over stays until a collection ``--older-than`` later, for a publisher that began before it.
"""

import secrets
import time
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass

from sdr.publish.index import Index
from sdr.publish.jobs import Jobs
from sdr.publish.marks import DEAD, LOOK, Found, Marks, Sweep
from sdr.publish.progress import Report
from sdr.publish.refused import Refused
from sdr.publish.survey import Survey
from sdr.publish.touched import Touched
from sdr.publish.v1.survey import Sparing, whole_images
from sdr.publish.writing import Writing
from sdr.stores.interface import Stat, Store
from sdr.tree.marks import Candidate, Mark, State, candidate, mark_key


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
        self._index = Index(store, jobs, Writing(store, jobs, report), sleep=sleep)

    def collect(self, older_than: float, *, untagged: bool = False, dry_run: bool = False) -> Collected:
        """Sweep what was marked long enough ago, and mark what is of no use now.

        :param older_than: seconds between marking and sweeping; longer than any publish takes.
        :param untagged: whether a manifest by digest is of use only if a tag leads to it.
        :param dry_run: tell, and change nothing.
        :raise sdr.publish.refused.Refused: if somebody else is deleting.
        :raise sdr.stores.interface.StoreError: if the store fails, or a manifest cannot be read: what that one refers
            to is not known.
        """
        marks = {key: found.mark for key, found in self._settled(dry_run=dry_run).items()}
        marked = {key: mark for key, mark in marks.items() if mark.state is State.MARKED}
        due = {key: mark for key, mark in marked.items() if mark.since + older_than <= self._now()}
        deleted = self._sweep(due, untagged=untagged, dry_run=dry_run) if due else {}
        for key, mark in marks.items():
            if mark.state is State.SWEPT and mark.since + older_than <= self._now() and not dry_run:
                self._marks.remove(key)
        waiting = [mark for key, mark in marked.items() if key not in due]
        newly = self._mark(waiting, deleted, untagged=untagged, dry_run=dry_run)
        since = [*(mark.since for mark in waiting), *([self._now()] if newly else [])]
        until = min(since) + older_than if since else None
        return Collected(newly, tuple(deleted), sum(deleted.values()), until)

    def _settled(self, *, dry_run: bool) -> dict[str, Found]:
        """Return the marks, once nobody is deleting; what somebody was who shows no sign of life any more is over."""
        marks = self._marks.read()
        sweeping = {key: found for key, found in marks.items() if found.mark.state is State.SWEEPING}
        waited = 0.0
        while sweeping and not dry_run:
            if waited >= DEAD:
                for key, found in sweeping.items():
                    # What it has not deleted is found, and marked, anew.
                    self._marks.end(key, found.mark, self._now())
                return self._marks.read()
            self._jobs.go_on()
            self._sleep(LOOK)
            waited += LOOK
            marks = self._marks.read()
            now = {key: found for key, found in marks.items() if found.mark.state is State.SWEEPING}
            if any(key in sweeping and found != sweeping[key] for key, found in now.items()):
                raise Refused(f"{self._store.location}: somebody else is deleting here; wait until that has ended")
            sweeping = now
        return marks

    def _mark(
        self, waiting: Iterable[Mark], deleted: Container[str], *, untagged: bool, dry_run: bool
    ) -> tuple[str, ...]:
        """Write down what is of no use now and was not yet, and return that."""
        known = {each: its for mark in waiting for each, its in mark.candidates.items()}
        unused = Survey(self._store, self._jobs).unused(lambda key, stat: untagged)
        found = {
            key: candidate(stat)
            for key, stat in unused.items()
            if key not in deleted and not (key in known and known[key].is_still(candidate(stat)))
        }
        if found and not dry_run:
            now = self._now()
            key = mark_key(f"{int(now)}-{secrets.token_hex(4)}")
            self._marks.write(key, Mark(State.MARKED, now, untagged, found))
        return tuple(sorted(found))

    def _sweep(self, due: Mapping[str, Mark], *, untagged: bool, dry_run: bool) -> dict[str, int]:
        """Delete what is still of no use; return the sizes in bytes by key.

        Under a mark of its own: another collection may be doing the same, and end at another time.
        """
        candidates = {key: its for mark in due.values() for key, its in mark.candidates.items()}
        if dry_run:
            doomed = self._doomed(Survey(self._store, self._jobs), candidates, untagged)
            return {key: stat.size if stat else 0 for key, stat in doomed.items()}
        deleted: dict[str, int] = {}
        own = mark_key(f"{int(self._now())}-{secrets.token_hex(4)}-sweep")
        mark = Mark(State.SWEEPING, self._now(), any(each.untagged for each in due.values()), candidates)
        with Sweep(self._marks, own, mark, self._now) as sweep:
            survey = Survey(self._store, self._jobs)
            doomed = self._doomed(survey, candidates, untagged)
            for name, manifests in survey.attached(doomed).items():
                detached = frozenset(manifests)
                self._index.level(name, Touched(detached=detached, subjects=frozenset(manifests.values())))
            sparing = Sparing(self._store, {key: candidates[key] for key in doomed})
            for key in survey.parents_first(doomed):
                self._jobs.go_on()
                sweep.go_on()
                # Looked at once more: listings may lag, and this may have taken long.
                if sparing.may_go(key):
                    self._store.delete(key)
                    stat = doomed[key]
                    deleted[key] = stat.size if stat else 0
        for key in due:
            self._marks.remove(key)
        return deleted

    def _doomed(self, survey: Survey, candidates: Mapping[str, Candidate], untagged: bool) -> dict[str, Stat | None]:
        """Return those candidates of which there still is no use, and that were not written again.

        Manifests that were marked with --untagged are left alone without it.
        """

        def unchanged(key: str, stat: Stat | None) -> bool:
            return key in candidates and candidates[key].is_still(candidate(stat))

        unused = survey.unused(lambda key, stat: untagged and unchanged(key, stat))
        return whole_images(unused, {key: stat for key, stat in unused.items() if unchanged(key, stat)})
