"""What an endpoint knows, joined: the catalog and protocol v1, each over its store."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.web.client import Agent, HTTPConnectionPool

from sdr.catalog.catalog import LOOK_SECONDS, Catalog
from sdr.catalog.flights import LOOKS_AT_ONCE
from sdr.catalog.http_source import HTTPSource
from sdr.catalog.knowledge import Knowledge
from sdr.catalog.lookups import FoundManifest
from sdr.catalog.searches import Searches
from sdr.catalog.sources import DirectorySource, InThread, ListingSource
from sdr.catalog.v1_catalog import V1Catalog
from sdr.cdn.locations import BaseURL
from sdr.endpoint.settings import Settings
from sdr.tree.documents import Repository

R = TypeVar("R")


class Knowing:
    """What is known, and how it is looked up.

    :param looked: told how each look at a store ended.
    :param on_repository: told of each repository's document that is new.
    :param on_manifest: told of each manifest that is new, where the endpoint sends them itself.
    """

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        looked: Callable[[str], object],
        on_repository: Callable[[Repository], None] | None = None,
        on_manifest: Callable[[str, FoundManifest], None] | None = None,
    ) -> None:
        in_thread = self.in_thread = in_thread_of(reactor)
        tree = _source(settings.store, reactor, in_thread)
        self.catalog = Catalog(
            tree,
            reactor,
            settings.poll,
            in_thread,
            browse=settings.browse,
            keep_bodies=settings.inline,
            on_repository=on_repository,
            on_manifest=on_manifest,
            looked=looked,
        )
        old = None if settings.v1_store is None else _source(settings.v1_store, reactor, in_thread)
        self.v1 = V1Catalog(tree, old, reactor, settings.poll, in_thread, looked)
        searches = Searches(self.catalog.names, reactor, settings.poll, in_thread)
        self.knowledge = Knowledge(self.catalog, self.v1, searches)


def in_thread_of(reactor: Any) -> InThread:
    """Return what runs a blocking call in the reactor's threads."""

    def in_thread(call: Callable[[], R], /) -> Deferred[R]:
        return cast("Deferred[R]", deferToThreadPool(reactor, reactor.getThreadPool(), call))

    return in_thread


def _source(store: BaseURL | str, reactor: Any, in_thread: InThread) -> ListingSource:
    if isinstance(store, str):
        return DirectorySource(store, in_thread, reactor)
    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = LOOKS_AT_ONCE
    # Two lines of log for each connection, so for each look; Twisted has no public switch (Scrapy does the same).
    pool._factory.noisy = False
    agent = Agent(reactor, connectTimeout=LOOK_SECONDS, pool=pool)
    return HTTPSource(store.text, agent, reactor, pool.closeCachedConnections)
