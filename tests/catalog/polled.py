"""A catalog that polls a fake store, put together as the endpoint does it but in a clock's time."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.logger import LogLevel, formatEvent

from sdr.catalog.catalog import Catalog
from sdr.catalog.http_source import HTTPSource
from sdr.catalog.lookups import ObjectLookup
from sdr.catalog.polling import Poll
from sdr.catalog.saved import SavedCatalog
from sdr.catalog.service import PollingService
from sdr.catalog.sources import Source
from tests.catalog.store import FakeStore, StoreResource, StoreSource
from tests.catalog.wire import Wire

R = TypeVar("R")

URL = "http://store.example.com"


def at_once(call: Callable[[], R], /) -> Deferred[R]:
    """Run a blocking call here and now, in the place of a thread."""
    done: Deferred[R] = execute(call)
    return done


def come_round(clock: Clock) -> None:
    """Let the reactor come round once, for what is due by now and not for what is asked for meanwhile."""
    for call in clock.getDelayedCalls():
        func, arguments = cast(Any, call).func, cast(Any, call).args
        call.cancel()
        func(*arguments)


class Polled:
    """A catalog, its poll and its service over a source; polls are exactly 30 s apart when all is well."""

    def __init__(
        self,
        source: Source,
        clock: Clock,
        *,
        in_thread: Callable[..., Any] = at_once,
        saved: SavedCatalog | None = None,
        browse: bool = False,
        keep_bodies: bool = False,
    ) -> None:
        self.clock = clock
        #: How looks and polls have ended, as they are counted.
        self.looked: list[str] = []
        self.polled: list[str] = []
        self.catalog = Catalog(
            source,
            clock,
            30.0,
            in_thread,
            browse=browse,
            keep_bodies=keep_bodies,
            on_repository=None if saved is None else saved.note,
            on_manifest=None if saved is None else saved.manifests.note,
            looked=self.looked.append,
        )
        self.poll = Poll(self.catalog, in_thread)
        self.service = PollingService(
            self.catalog, self.poll, clock, 30.0, lambda: 0.0, in_thread, saved, self.polled.append
        )

    def run_poll(self) -> None:
        """Poll once, without the service; for sources that answer at once."""
        failures: list[object] = []
        Deferred.fromCoroutine(self.poll.run()).addErrback(failures.append)
        if failures:
            raise AssertionError(failures)

    def recall(self, lookup: ObjectLookup[Any]) -> Any:
        """Return what the catalog knows without a look."""
        return self.catalog.recall(lookup)

    def known(self, lookup: ObjectLookup[Any]) -> Any:
        """Return what the catalog knows, after a look if one is due; ``None`` if that has not ended yet."""
        known = self.catalog.recall(lookup)
        if known is not None:
            return known
        results: list[Any] = []
        self.catalog.look(lookup).addCallback(results.append)
        return results[0] if results else None

    def advance(self, seconds: float) -> None:
        """Let time pass in small steps, as it does."""
        for _ in range(round(seconds * 2)):
            self.clock.advance(0.5)


def direct(store: FakeStore, **more: Any) -> Polled:
    """Return a catalog that reads a store without HTTP, polled once."""
    polled = Polled(StoreSource(store), more.pop("clock", None) or Clock(), **more)
    polled.run_poll()
    return polled


def over_http(resource: StoreResource, clock: Clock, **more: Any) -> tuple[Polled, RequestTraversalAgent]:
    """Return a catalog that reads a store over HTTP in memory, and the agent that must be flushed."""
    agent = RequestTraversalAgent(resource)
    return Polled(HTTPSource(URL, agent, clock), clock, **more), agent


def over_wire(wire: Wire, **more: Any) -> Polled:
    """Return a catalog that reads a store over a wire."""
    source = HTTPSource(URL, wire.agent, wire.clock, wire.pool.closeCachedConnections)
    return Polled(source, wire.clock, **more)


def texts(events: Sequence[Any], level: Any = None) -> list[str]:
    """Return what sdr logged, as a person reads it.

    :param level: of this level only; else what is at least informational.
    """
    levels = (LogLevel.info, LogLevel.warn, LogLevel.error, LogLevel.critical) if level is None else (level,)
    ours = [event for event in events if str(event.get("log_namespace", "")).startswith("sdr.")]
    return [formatEvent(event) for event in ours if event["log_level"] in levels]
