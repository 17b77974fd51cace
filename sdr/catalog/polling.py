"""Polling the lists of repositories: what is asked, what of the answer is believed, and when it is asked again."""

from collections.abc import Mapping

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from sdr.catalog.catalog import Catalog, State
from sdr.catalog.snapshot import Listing, Snapshot, is_implausible
from sdr.catalog.sources import LARGE, FetchFailed, InThread
from sdr.tree.documents import BadDocument, decode_lists
from sdr.tree.keys import LISTS_KEY, list_key

#: The deadline of one exchange with the store, in seconds.
POLL_SECONDS = 10.0
#: The largest list, in bytes; ``_repositories.json`` has at most 4096 entries and stays far below it.
LIST_LIMIT = 16 * 1024 * 1024
#: Lists read at once.
LISTS_AT_ONCE = 8
#: How often the same implausible answer must come before it is believed.
BELIEVED_AFTER = 3


class Implausible(Exception):
    """The store's answer is well-formed, and still more likely a mishap than the truth.

    :param answer: what was answered, to tell whether it comes again.
    """

    def __init__(self, reason: str, answer: object) -> None:
        super().__init__(reason)
        self.answer = answer


class Poll:
    """Brings a catalog level with the store's lists. A failure of any kind leaves the catalog as it was.

    :param catalog: is told of new lists, and of failures.
    :param in_thread: runs a blocking call elsewhere: for reading large lists.
    """

    _log = Logger()

    def __init__(self, catalog: Catalog, in_thread: InThread) -> None:
        self._catalog = catalog
        self._in_thread = in_thread
        self._turns = catalog.turns
        self._etag = ""
        self._doubted: tuple[object] | None = None
        self._doubts = 0
        self._credulous = False
        #: Polls that failed since the last good one.
        self.failures = 0
        #: Why the last one did, in one of few words, or empty: as :class:`FetchFailed` has them, ``malformed``,
        #: ``implausible``, or ``lists`` where only one of the lists could not be read.
        self.kind = ""
        #: Seconds that the store asked to be left alone, or 0.
        self.retry_after = 0.0

    def believe(self) -> None:
        """Believe the next answer, however implausible: an operator says so."""
        self._credulous = True

    async def run(self) -> None:
        """Poll once; never raises for what a store may do."""
        self.retry_after = 0.0
        try:
            trouble = await self._poll()
            self.kind = "lists" if trouble else ""
        except (FetchFailed, BadDocument, Implausible) as error:
            trouble = self._keep(error)
            self.kind = _kind(error)
        finally:
            self._credulous = False
        if trouble:
            self._failed(trouble)
        elif self.failures:
            self._recovered()

    async def _poll(self) -> str:
        """Ask, and adopt what is good. Return what was wrong with the rest, or nothing.

        :raise FetchFailed: or one of its like, if nothing was adopted.
        """
        catalog = self._catalog
        old = catalog.snapshot
        got = await catalog.source.fetch(LISTS_KEY, limit=LIST_LIMIT, seconds=POLL_SECONDS, etag=self._etag)
        if got.status in (403, 404):
            self._no_catalog(old, got.status)
            return ""
        wanted = old.wanted if got.status == 304 else decode_lists(got.body)
        read, trouble = await self._read_lists(old.lagging(wanted))
        new = old.replaced(wanted, read)
        if is_implausible(old.count, new.count):
            if trouble:
                # Lists that could not be read are no evidence that the others are gone.
                raise FetchFailed(trouble, self.retry_after)
            self._weigh(f"repositories: {new.count}, before: {old.count}", tuple(sorted(wanted.items())))
        await catalog.prepare(new)
        self._adopt(old, new)
        # Only now: until an answer is adopted whole, the store must not say "unchanged" to us.
        self._etag = "" if trouble else got.etag
        return trouble

    async def _read_lists(self, prefixes: tuple[str, ...]) -> tuple[Mapping[str, Listing], str]:
        """Read lists, a few at once. Return those that are good, and what was wrong with one of the others."""
        read: dict[str, Listing] = {}
        troubles: list[str] = []
        left = iter(prefixes)

        async def read_on() -> None:
            for prefix in left:
                try:
                    read[prefix] = await self._read_list(prefix)
                except BadDocument as error:
                    troubles.append(f"{list_key(prefix)}: {error}")
                except FetchFailed as error:
                    troubles.append(f"{list_key(prefix)}: {error}")
                    self.retry_after = max(self.retry_after, error.retry_after)
                    # The store has trouble enough, and thousands of lists would each wait for their deadline.
                    return

        await gatherResults([Deferred.fromCoroutine(read_on()) for _ in range(LISTS_AT_ONCE)], consumeErrors=True)
        return read, troubles[0] if troubles else ""

    async def _read_list(self, prefix: str) -> Listing:
        # Many are asked for at once, and many come at once.
        await self._turns.turn()
        got = await self._catalog.source.fetch(list_key(prefix), limit=LIST_LIMIT, seconds=POLL_SECONDS)
        await self._turns.turn()
        if got.status != 200:
            raise BadDocument("it is not there")
        if len(got.body) < LARGE:
            return Listing.read(got.body, prefix)
        return await self._in_thread(lambda: Listing.read(got.body, prefix))

    def _adopt(self, old: Snapshot, new: Snapshot) -> None:
        catalog = self._catalog
        first = catalog.state in (State.STARTING, State.NONE)
        self._doubted, self._doubts = None, 0
        catalog.adopt(new)
        if first:
            self._log.info("the catalog is loaded; repositories: {count}", count=new.count)
        elif new.lists != old.lists:
            self._log.info(
                "the catalog has changed; repositories: {count}, before: {was}", count=new.count, was=old.count
            )

    def _no_catalog(self, old: Snapshot, status: int) -> None:
        if old.count:
            self._weigh(f"{LISTS_KEY} is gone (HTTP status {status})", None)
        if self._catalog.state is not State.NONE:
            self._log.warn(
                "{location} has no catalog ({key}: {what}): everything is redirected to the CDN until it has",
                location=self._catalog.source.location,
                key=LISTS_KEY,
                what="not there" if status == 404 else "absent, or not readable",
            )
        self._etag = ""
        self._catalog.forget()

    def _weigh(self, reason: str, answer: object) -> None:
        """Let an implausible answer pass when it came often enough, or an operator said so.

        :raise Implausible: otherwise.
        """
        if not self._credulous and (self._doubted != (answer,) or self._doubts + 1 < BELIEVED_AFTER):
            raise Implausible(reason, answer)
        self._log.warn("believing the store: {reason}", reason=reason)

    def _keep(self, error: FetchFailed | BadDocument | Implausible) -> str:
        """Have the catalog stand on what was known before. Return what was wrong."""
        if self._catalog.state is not State.NONE:
            self._catalog.state = State.FAILING
        match error:
            case FetchFailed():
                self.retry_after = error.retry_after
                return str(error)
            case Implausible():
                self._doubts = self._doubts + 1 if self._doubted == (error.answer,) else 1
                self._doubted = (error.answer,)
                trouble = f"{error}; send SIGHUP to believe it now"
                if self.failures and self._doubts == 1:
                    # It was down, and now says this: an operator must hear of what only he can decide.
                    self._say(trouble)
                return trouble
            case BadDocument():
                return f"{LISTS_KEY} is malformed: {error}"

    def _failed(self, trouble: str) -> None:
        if not self.failures:
            self._say(trouble)
        self.failures += 1

    def _say(self, trouble: str) -> None:
        self._log.warn(
            "polling {location} fails: {trouble}; keeping what was known before; repositories: {count}",
            location=self._catalog.source.location,
            trouble=trouble,
            count=self._catalog.snapshot.count,
        )

    def _recovered(self) -> None:
        self._log.info(
            "the store answers again, and has no catalog; failed polls: {failures}"
            if self._catalog.state is State.NONE
            else "the store is well again; failed polls: {failures}, repositories: {count}",
            failures=self.failures,
            count=self._catalog.snapshot.count,
        )
        self.failures = 0


def _kind(error: FetchFailed | BadDocument | Implausible) -> str:
    if isinstance(error, FetchFailed):
        return error.kind
    return "malformed" if isinstance(error, BadDocument) else "implausible"
