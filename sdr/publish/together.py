"""Publishing several images together: what has to be done for each of them is done for all of them at once.

First come all blobs, then all manifests, the tags one after the other in the order of the images, and then the derived
documents, each written once for all. So the order of :class:`sdr.tree.keys.Stage` holds for each image as if it were
alone. Of the first that fails no tag is moved, nor of any after it, unless a collection takes away what it needs when
the tags have moved; those before it are published.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from sdr.publish.expecting import Expected
from sdr.publish.index import Index
from sdr.publish.jobs import Jobs, Stopped
from sdr.publish.marks import Guard
from sdr.publish.member import Member, Wanted
from sdr.publish.progress import Report
from sdr.publish.refused import Refused
from sdr.publish.touched import Touched
from sdr.publish.turns import Turns, Work
from sdr.publish.writing import Accounts, Total
from sdr.stores.interface import Store


class Together:
    """Images that are published together.

    :param wanted: no two of them under the same tag of one repository.
    :param if_tag: what each tag must be before it is moved.
    :param sleep: waits for so many seconds.
    """

    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        report: Report,
        wanted: Sequence[Wanted],
        if_tag: Expected | None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store, self._jobs, self._report, self._if_tag = store, jobs, report, if_tag
        self._turns = Turns(jobs, len(wanted))
        self._all: list[Member] = []
        #: The numbers of those of which something could not be written again.
        self._lost: set[int] = set()
        seen: dict[tuple[str, int], None] = {}
        total = Total()
        for number, each in enumerate(wanted):
            member = Member(store, report, self._turns.of(number), each, if_tag, seen.keys(), total)
            self._all.append(member)
            seen |= dict.fromkeys(member.objects)
        accounts = Accounts([(member.wanted.name, member.writing) for member in self._all])
        self._guard = Guard(store, jobs, report, sleep=sleep)
        self._index = Index(store, jobs, accounts, sleep=sleep)

    @property
    def members(self) -> list[Member]:
        """Those before the first that has failed."""
        return self._all[: self._turns.end]

    @property
    def failure(self) -> Exception | None:
        """What has become of the first that has failed."""
        return self._turns.failure

    def check(self, *, objects: bool) -> None:
        """Look at all that is there, and whether anything is to be refused: nothing is written.

        :param objects: whether to look at blobs and manifests too.
        """
        works: list[Work] = []
        # Of several images at once fewer requests count, of one alone fewer of them one after the other.
        is_alone = len(self._all) == 1
        touched = _touched(self._all, lambda member: member.wanted.tags)
        of_index = self._index.looks(touched)
        for member in self._all:
            try:
                looks = [*member.naming.looks(), *of_index.pop(member.wanted.name, [])]
            except Refused as error:
                self._turns.fail(member.number, error)
                break
            works += [(member.number, look) for look in (*(member.looks() if objects and is_alone else ()), *looks)]
        self._turns.run(works)
        # What only a later one needs is nothing that an earlier one fails for.
        self._turns_of(lambda member: self._index.check(member.wanted.name, member.touched(member.wanted.tags)))
        self._turns_of(lambda member: member.naming.check())
        if objects and not is_alone:
            self._turns.run([(member.number, look) for member in self.members for look in self._looks(member)])
        if self.members and self._if_tag is not None and not self._store.conditional_writes:
            self._report.say(
                "this store has no conditional writes: --if-tag does not see a publisher at the same moment"
            )

    def _looks(self, member: Member) -> list[Callable[[], None]]:
        is_new = not self._index.is_documented(member.wanted.name)
        return member.looks(is_new=is_new and self._store.creates_once)

    def write(self) -> None:
        """Write the blobs and the manifests that are not there."""
        self._turns.run([(member.number, put) for member in self.members for put in member.blobs()])
        self._turns.run([(member.number, member.put_manifests) for member in self.members if not member.leans])
        # What leads to what another brings along comes after it.
        for member in self.members:
            if member.leans:
                self._turns.run([(member.number, member.put_manifests)])

    def name(self) -> None:
        """Let the tags name the manifests, which are there, and bring the derived documents level.

        :raise StoreError: if that fails for all of them.
        """
        members = self.members
        if not members:
            return
        if not all(member.naming.stand for member in members):
            self._keep(members)
        moved = self._move()
        keys = [key for member in moved for key in member.naming.keys]
        # Somebody may have begun to remove what nothing named until now, or the tags as they were.
        while moved and self._keep(members, keys):
            self._turns_of(lambda member: member.naming.move_again())
        # What may not be whole is told of nowhere.
        end = min(self._lost, default=len(self._all))
        self._level([member for member in moved if member.number < end])

    def _keep(self, members: Sequence[Member], keys: Sequence[str] = ()) -> bool:
        """See to it that no collection takes away what these need; see :meth:`sdr.publish.marks.Guard.keep`."""
        needed: dict[str, Callable[[], None]] = {}
        for member in members:
            # What several of them need is written for the first.
            needed = {key: partial(self._write_again, member, put) for key, put in member.needed().items()} | needed
        return self._guard.keep(needed, keys)

    def _write_again(self, member: Member, put: Callable[[], None]) -> None:
        """Write what a collection endangers, unless it is for one that has failed, and that no tag names by now."""
        number = member.number
        if number in self._lost or (number >= self._turns.end and not member.naming.named):
            return
        try:
            put()
        except Stopped:
            raise
        except Exception as error:
            self._lost.add(number)
            self._turns.fail(number, error)

    def _move(self) -> list[Member]:
        """Move the tags in their order, up to the first that fails; return those of which any has moved."""
        before = self._turns.end
        self._turns_of(lambda member: member.naming.move())
        moved = self.members
        if self._turns.end < before and isinstance(self.failure, Refused):
            moved += self._all[self._turns.end : self._turns.end + 1]
        return [member for member in moved if member.naming.named]

    def _level(self, moved: Sequence[Member]) -> None:
        if moved:
            self._index.level_all(_touched(moved, lambda member: member.naming.named))

    def _turns_of(self, do: Callable[[Member], None]) -> None:
        """Do something for each in order, up to the first that fails."""
        for member in self.members:
            try:
                do(member)
            except Stopped:
                raise
            except Exception as error:
                self._turns.fail(member.number, error)
                return


def _touched(members: Iterable[Member], tags: Callable[[Member], Sequence[str]]) -> dict[str, Touched]:
    """Return what has to be looked at of each repository.

    :param tags: returns those of one image.
    """
    found: dict[str, Touched] = {}
    for member in members:
        found[member.wanted.name] = member.touched(tags(member)).beside(found.get(member.wanted.name))
    return found
