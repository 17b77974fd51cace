"""`twistd sdr`: its options, and the one place where an endpoint is put together."""

import random
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, TypeVar, cast

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.threads import deferToThreadPool
from twisted.python.usage import Options as TwistedOptions
from twisted.python.usage import UsageError
from twisted.web.client import Agent, HTTPConnectionPool

from sdr.catalog.catalog import LOOK_SECONDS, Catalog
from sdr.catalog.flights import LOOKS_AT_ONCE
from sdr.catalog.http_source import HTTPSource
from sdr.catalog.knowledge import Knowledge
from sdr.catalog.polling import Poll
from sdr.catalog.saved import SavedCatalog
from sdr.catalog.searches import Searches
from sdr.catalog.service import PollingService, V1Service
from sdr.catalog.sources import DirectorySource, InThread, ListingSource
from sdr.catalog.v1_catalog import V1Catalog
from sdr.cdn.locations import CDN, OLD_TREE, OWN_TREE, BaseURL, OwnTree, RemoteCDN
from sdr.endpoint.files import TreeFiles, old_headers_of
from sdr.endpoint.listening import AnyAddress, ListeningService
from sdr.endpoint.rules import Rules
from sdr.endpoint.settings import DEFAULT_PORT, BadSetting, Settings, read_settings
from sdr.endpoint.signals import SignalService
from sdr.endpoint.site import EndpointSite
from sdr.endpoint.web import Questions, Root

R = TypeVar("R")


class Options(TwistedOptions):
    """The options of `twistd sdr`. What is wrong with them ends the program with one line on standard error."""

    synopsis = "[options]"
    longdesc = (
        "Answer docker pull from a static tree: this endpoint speaks the registry protocol and redirects to the files,"
        " which sdr publish has written into a store and which a CDN serves."
    )
    optParameters: ClassVar[list[list[Any]]] = [
        ["cdn", None, None, "The CDN's URL, or the directory of a tree, which is then served below /tree/. Required."],
        ["store", None, None, "Where the catalog is polled: the store's own URL, or a directory. [default: the CDN's]"],
        ["public-url", None, None, "The endpoint's own URL. [default: from each request's Host and connection]"],
        ["poll", None, "30", "Seconds between polls of the catalog."],
        ["state-dir", None, None, "A directory that keeps the last good catalog for the next start."],
        ["manifests", None, "redirect", "redirect: to the CDN. inline: the endpoint sends manifests itself."],
        [
            "v1-store",
            None,
            None,
            "A store that a docker-registry of 2014 wrote: its URL with its root, or a directory.",
        ],
        ["v1-cdn", None, None, "Where redirects to that store's layers point. [default: that store's URL]"],
        ["access-log", None, None, "A file for the access log in the combined format, or - for standard output."],
    ]
    optFlags: ClassVar[list[list[Any]]] = [
        [
            "browse",
            None,
            "Show which repositories there are: /v2/_catalog, docker search, and a list on the front page.",
        ],
    ]

    settings: Settings

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []

    def opt_listen(self, description: str) -> None:
        """Listen on a Twisted endpoint, such as tcp:5000:interface=127.0.0.1; may be repeated.

        [default: port 5000, IPv4 and IPv6]
        """
        self["listen"].append(description)

    def opt_version(self) -> NoReturn:
        """Show sdr's version, and exit."""
        from importlib.metadata import version

        print(f"sdr {version('sdr')}")
        raise SystemExit(0)

    def parseOptions(self, options: Any = None) -> None:
        """Read the command line; Twisted itself would print the whole usage for each mistake."""
        try:
            super().parseOptions(options)
        except UsageError as error:
            raise SystemExit(f"sdr: {str(error).rstrip('.')}; see twistd sdr --help") from error

    def postOptions(self) -> None:
        """Check the values."""
        try:
            self.settings = read_settings(
                cdn=self["cdn"],
                store=self["store"],
                public_url=self["public-url"],
                listen=self["listen"],
                poll=self["poll"],
                state_dir=self["state-dir"],
                manifests=self["manifests"],
                browse=bool(self["browse"]),
                access_log=self["access-log"],
                v1_store=self["v1-store"],
                v1_cdn=self["v1-cdn"],
            )
        except BadSetting as error:
            raise UsageError(str(error)) from error


def makeService(options: Options, reactor: Any = None) -> IService:
    """Put an endpoint together: nothing is listened on, read or asked before the service starts.

    :param reactor: the global one if not given; Twisted's own caller gives none.
    """
    if reactor is None:
        from twisted.internet import reactor
    settings = options.settings
    in_thread = _in_thread(reactor)
    saved = None if settings.state_dir is None else SavedCatalog(settings.state_dir)
    tree = _source(settings.store, reactor, in_thread)
    catalog = Catalog(
        tree,
        reactor,
        settings.poll,
        in_thread,
        browse=settings.browse,
        keep_bodies=settings.inline,
        on_repository=None if saved is None else saved.note,
        on_manifest=None if saved is None else saved.manifests.note,
    )
    old = None if settings.v1_store is None else _source(settings.v1_store, reactor, in_thread)
    v1 = V1Catalog(tree, old, reactor, settings.poll, in_thread)
    searches = Searches(catalog.names, reactor, settings.poll, in_thread)
    poll = Poll(catalog, in_thread)
    polling = PollingService(catalog, poll, reactor, settings.poll, random.random, in_thread, saved)
    services = MultiService()
    polling.setServiceParent(services)
    V1Service(v1).setServiceParent(services)
    SignalService(reactor, polling).setServiceParent(services)
    # Last, so that it stops first.
    ListeningService(
        EndpointSite(
            _root(settings, Knowledge(catalog, v1, searches), in_thread, reactor), reactor, settings.access_log
        ),
        _addresses(settings, reactor),
        _greeting(settings),
    ).setServiceParent(services)
    return cast(IService, services)


def _in_thread(reactor: Any) -> InThread:
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


def _root(settings: Settings, knowledge: Knowledge, in_thread: InThread, reactor: Any) -> Root:
    root = Root(Questions(knowledge, _rules(settings)))
    if isinstance(settings.cdn, str):
        root.putChild(OWN_TREE.strip("/").encode(), TreeFiles(settings.cdn, in_thread, reactor))
    if isinstance(settings.v1_store, str) and settings.v1_cdn is None:
        files = TreeFiles(settings.v1_store, in_thread, reactor, OLD_TREE, old_headers_of)
        root.putChild(OLD_TREE.strip("/").encode(), files)
    return root


def _rules(settings: Settings) -> Rules:
    public = settings.public_url
    public_url = None if public is None else public.text
    old_cdn: CDN | None = None
    if settings.v1_store is not None:
        old_cdn = OwnTree(public_url, OLD_TREE) if settings.v1_cdn is None else RemoteCDN(settings.v1_cdn.text)
    return Rules(
        RemoteCDN(settings.cdn.text) if isinstance(settings.cdn, BaseURL) else OwnTree(public_url),
        inline=settings.inline,
        browse=settings.browse,
        public_host=None if public is None else public.text.removeprefix(f"{public.scheme}://").partition("/")[0],
        old_cdn=old_cdn,
    )


def _addresses(settings: Settings, reactor: Any) -> list[tuple[IStreamServerEndpoint, str]]:
    if not settings.listen:
        return [(AnyAddress(reactor, DEFAULT_PORT), f"port {DEFAULT_PORT}")]
    return [(_address(reactor, description), description) for description in settings.listen]


def _address(reactor: Any, description: str) -> IStreamServerEndpoint:
    try:
        return cast(IStreamServerEndpoint, serverFromString(reactor, description))
    except Exception as error:
        # Whatever the parser of that kind of endpoint trips over: a number, an interface, a file that is not there.
        raise SystemExit(
            f"sdr: --listen {description}: {error}; it is a Twisted endpoint such as tcp:5000 or unix:/run/sdr.sock"
        ) from error


def _greeting(settings: Settings) -> str:
    cdn = settings.cdn.text if isinstance(settings.cdn, BaseURL) else f"this endpoint's /tree/ ({settings.cdn})"
    store = _text(settings.store)
    old = "" if settings.v1_store is None else f"; old store {_text(settings.v1_store)}"
    hint = " (through the CDN, which may cache a 404: give --store)" if settings.store_is_cdn else ""
    return f"CDN {cdn}; store {store}{hint}{old}"


def _text(place: BaseURL | str) -> str:
    return place.text if isinstance(place, BaseURL) else place
