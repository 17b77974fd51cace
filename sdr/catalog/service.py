"""The service that polls for as long as the endpoint runs."""

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sdr.catalog.catalog import Catalog, State
from sdr.catalog.polling import Poll
from sdr.catalog.saved import SavedCatalog
from sdr.catalog.sources import InThread
from sdr.catalog.v1_catalog import V1Catalog

#: After failures the interval grows up to this many times, and never beyond this many seconds.
BACKOFF_TIMES, BACKOFF_SECONDS = 8, 300.0

_log = Logger()


def delay(interval: float, failures: int, retry_after: float, chance: float) -> float:
    """Return the seconds until the next poll.

    :param interval: between polls when all is well.
    :param failures: polls that failed since the last good one.
    :param retry_after: what the store asked for.
    :param chance: from 0 to 1: endpoints that started together must not poll together.
    """
    longest = max(interval, min(interval * BACKOFF_TIMES, BACKOFF_SECONDS))
    backed_off = min(interval * 2.0 ** min(failures, 10), longest)
    return max(backed_off * (1.0 - 0.2 * chance), retry_after)


class PollingService(Service):
    """Polls at once, then again and again; keeps the last good copy on disk.

    :param interval: seconds between polls.
    :param chance: returns a number from 0 to 1, for the jitter.
    :param saved: where the last good copy is kept, if anywhere.
    :param polled: told of the end of each poll, in one of few words or none: see :attr:`Poll.kind`; ``other`` where it
        ended in an unexpected way.
    """

    name = "polling"
    _log = Logger()

    def __init__(
        self,
        catalog: Catalog,
        poll: Poll,
        clock: IReactorTime,
        interval: float,
        chance: Callable[[], float],
        in_thread: InThread,
        saved: SavedCatalog | None = None,
        polled: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._catalog = catalog
        self._polled = polled
        self._poll = poll
        self._clock = clock
        self._interval = interval
        self._chance = chance
        self._in_thread = in_thread
        self._saved = saved
        self._save_fails = False
        self._timer: IDelayedCall | None = None
        self._running: Deferred[None] | None = None
        self._again = False
        self._unread = saved

    def startService(self) -> None:
        """Start from the saved copy, and poll."""
        super().startService()
        self._go()

    def stopService(self) -> Deferred[None]:
        """Stop polling at once, in the middle of a poll too."""
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._catalog.stop()
        running, stopped = self._running, succeed(None)
        if running is not None:
            stopped = Deferred()
            running.addCallback(lambda _: stopped.callback(None))
            running.cancel()
        return stopped.addCallback(self._stopped)

    def _stopped(self, _: None) -> Deferred[None]:
        """Write what was learnt since the last poll, here and now: there is no later."""
        write = None if self._saved is None else self._changes(self._saved)
        if write is not None:
            try:
                write()
            except OSError as error:
                self._log.warn("the catalog cannot be saved: {error}", error=error)
        return self._catalog.source.stop()

    def poll_now(self) -> None:
        """Poll without waiting for the timer, and believe what the store says."""
        self._poll.believe()
        if self._timer is not None:
            self._timer.reset(0)
        else:
            self._again = True

    def _go(self) -> None:
        self._timer = None
        self._again = False
        self._running = Deferred.fromCoroutine(self._once())
        self._running.addErrback(self._surprised).addCallback(self._done)

    async def _once(self) -> None:
        if self._unread is not None:
            await restore(self._catalog, self._unread, self._in_thread)
            self._unread = None
        try:
            await self._poll.run()
        except Exception:
            if self.running:
                self._polled("other")
            raise
        self._polled(self._poll.kind)
        if self._saved is not None:
            await self._save(self._saved)

    def _surprised(self, failure: Failure) -> None:
        if self.running:
            self._log.failure("a poll ended in an unexpected way; polling goes on", failure)

    def _done(self, _: None) -> None:
        self._running = None
        if self.running:
            if self._again:
                self._poll.believe()
            wait = 0.0 if self._again else self._delay()
            self._timer = self._clock.callLater(wait, self._go)

    def _delay(self) -> float:
        # One bad list must not make every moved tag late: it backs off only where nothing could be polled.
        failures = 0 if self._catalog.state is State.LOADED else self._poll.failures
        return delay(self._interval, failures, self._poll.retry_after, self._chance())

    def _changes(self, saved: SavedCatalog) -> Callable[[], None] | None:
        # While polls fail too: documents have been learnt since the last good one, and the next start may need them.
        # But not over a copy that is still to be read.
        has_catalog = self._catalog.state in (State.LOADED, State.FAILING) and self._unread is None
        return saved.changes(self._catalog.snapshot) if has_catalog else None

    async def _save(self, saved: SavedCatalog) -> None:
        write = self._changes(saved)
        if write is None:
            return
        try:
            await self._in_thread(write)
        except OSError as error:
            if not self._save_fails:
                self._log.warn("the catalog cannot be saved: {error}", error=error)
            self._save_fails = True
        else:
            self._save_fails = False


async def restore(catalog: Catalog, saved: SavedCatalog, in_thread: InThread) -> None:
    """Start from the saved copy, read in a thread: there may be thousands of files. Looks wait for it."""
    catalog.hold()
    try:
        snapshot, repositories, manifests = await in_thread(saved.load_all)
    except OSError as error:
        _log.warn("the saved catalog cannot be read: {error}", error=error)
    else:
        catalog.restore(snapshot, repositories)
        catalog.restore_manifests(manifests)
        if snapshot.count:
            _log.info("starting from the saved catalog; repositories: {count}", count=snapshot.count)
        catalog.release()
        await catalog.prepare(snapshot)
    finally:
        catalog.release()


class V1Service(Service):
    """Ends the looks of protocol v1 with the endpoint."""

    name = "v1"

    def __init__(self, v1: V1Catalog) -> None:
        self._v1 = v1

    def startService(self) -> None:
        """Allow looks."""
        super().startService()
        self._v1.start()

    def stopService(self) -> Deferred[None]:
        """End those under way."""
        super().stopService()
        return self._v1.stop()
