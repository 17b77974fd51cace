"""`twistd sdr`: where an endpoint begins; only here is the reactor named."""

import gc
import os
import random
import signal
import sys
from typing import Any, cast

from twisted.application.service import IService
from twisted.internet.stdio import StandardIO
from twisted.logger import ILogObserver, globalLogBeginner

from sdr.endpoint.assembly.parent import Parent
from sdr.endpoint.assembly.whole import Whole
from sdr.endpoint.assembly.worker import Line
from sdr.endpoint.options import Options
from sdr.endpoint.sockets import BadAddress
from sdr.endpoint.tls.certificates import BadCertificate
from sdr.endpoint.workers.worker_process import HEARS, SAYS

__all__ = ["Options", "makeService", "work"]


def makeService(options: Options, reactor: Any = None) -> IService:
    """Put an endpoint together: nothing is listened on, asked or polled before the service starts.

    :param reactor: the global one if not given; Twisted's own caller gives none.
    :raise SystemExit: if a certificate or an address cannot be used; its text is one line.
    """
    if reactor is None:
        from twisted.internet import reactor
    kind = Whole if options.settings.workers == 1 else Parent
    try:
        services = cast(IService, _Endpoint(options, reactor).services)
    except (BadAddress, BadCertificate) as error:
        raise SystemExit(f"sdr: {error}") from error
    reactor.callWhenRunning(_spare_the_collector)
    return services


def _spare_the_collector() -> None:
    """Take what there is by the start out of the garbage collector's way: it stays, and requests would wait."""
    gc.collect()
    gc.freeze()


def work() -> None:
    """Be a worker of the process that has started this one, until it says otherwise or is gone."""
    from twisted.internet import reactor

    :ivar settings: what it goes by now; SIGHUP may bring others.
    """

    def __init__(self, options: Options, reactor: Any) -> None:
        self.settings = settings = options.settings
        self._reactor = reactor
        self._metrics = Metrics(_cdn_hosts(settings), [each for each in Outcome if each is not Outcome.DONE])
        saved = None if settings.state_dir is None else SavedCatalog(settings.state_dir)
        tree = self._source(settings.store)
        self._catalog = catalog = Catalog(
            tree,
            reactor,
            settings.poll,
            self._in_thread,
            browse=settings.browse,
            keep_bodies=settings.inline,
            on_repository=None if saved is None else saved.note,
            on_manifest=None if saved is None else saved.manifests.note,
            looked=self._metrics.looked,
        )
        self._watch = CatalogWatch(catalog, reactor)
        old = None if settings.v1_store is None else self._source(settings.v1_store)
        v1 = V1Catalog(tree, old, reactor, settings.poll, self._in_thread, self._metrics.looked)
        searches = Searches(catalog.names, reactor, settings.poll, self._in_thread)
        self._polling = PollingService(
            catalog, Poll(catalog, self._in_thread), reactor, settings.poll, random.random, self._in_thread, saved,
            self._watch.polled,
        )  # fmt: skip
        self._questions = Questions(Knowledge(catalog, v1, searches), _rules(settings))
        self._connections = Connections(settings.limits, reactor, self._metrics.refused)
        self._access_log = None
        if settings.access_log is not None:
            self._access_log = AccessLog(settings.access_log, FORMS[settings.access_log_format])
        self._accounting = Accounting(None if settings.admin is None else self._metrics, self._access_log, _FILES)
        self._certificates: CertificateService | None = None
        root = self._root()
        addresses = [
            (address, self._gate(self._site(root)))
            for address in read_addresses(reactor, "--listen", settings.listen, os.environ)
        ]
        if settings.tls is not None:
            addresses += self._tls(settings.tls, root)
        self._listening = ListeningService("listening", addresses, self._greeting)
        self._supervision = SupervisionService(reactor, sender(os.environ), watchdog_seconds(os.environ), self._status)
        self._draining = Draining(
            reactor, [self._listening], self._connections, lambda: self.settings.drain, self._end,
            lambda count: self._supervision.stopping(f"draining; connections: {count}"),
        )  # fmt: skip
        self._reloading = Reloading(
            list(self._reload_steps(options)), self._supervision.reloading, self._supervision.reloaded
        )
        self.services = MultiService()
        for service in self._in_order(v1):
            service.setServiceParent(self.services)

    def _in_order(self, v1: V1Catalog) -> Iterator[Any]:
        """Return the services; the last one stops first."""
        if self._access_log is not None:
            yield AccessLogService(self._access_log)
        yield self._polling
        yield V1Service(v1)
        if self._certificates is not None:
            yield self._certificates
        if self.settings.admin is not None:
            yield self._admin(self.settings.admin)
        yield self._listening
        yield SignalService(
            self._reactor,
            {
                signal.SIGTERM: self._draining.terminate,
                signal.SIGINT: self._draining.terminate,
                signal.SIGHUP: self._reloading.reload,
                signal.SIGUSR1: self._reopen,
            },
        )
        # What listens is ready before anybody is told so.
        yield self._supervision

    # What is served.

    def _root(self) -> Root:
        settings, stall = self.settings, self.settings.limits.write_seconds
        root = Root(self._questions)
        if isinstance(settings.cdn, str):
            root.putChild(_child(OWN_TREE), TreeFiles(settings.cdn, self._in_thread, self._reactor, stall))
        if isinstance(settings.v1_store, str) and settings.v1_cdn is None:
            files = TreeFiles(settings.v1_store, self._in_thread, self._reactor, stall, OLD_TREE, old_headers_of)
            root.putChild(_child(OLD_TREE), files)
        if settings.acme is not None:
            root.putChild(WELL_KNOWN, Challenges(settings.acme, self._in_thread))
        return root

    def _site(self, root: Resource, *, http2: bool = False) -> EndpointSite:
        return EndpointSite(
            root, self._reactor, self._connections, self.settings.trusted, self._accounting, http2=http2
        )

    def _gate(self, factory: IProtocolFactory) -> IProtocolFactory:
        return cast(IProtocolFactory, Gate(factory, self._connections, self._reactor, self.settings.trusted))

    def _tls(self, tls: TLSSettings, root: Resource) -> list[tuple[Address, IProtocolFactory]]:
        speaks = PyOpenSSL(
            self._reactor, HTTP2 if tls.http2 else HTTP1, self._handshaken, self.settings.limits.handshake_seconds
        )
        shelf = first_shelf(tls.places, speaks.check)
        self._certificates = CertificateService(tls.places, shelf, speaks, self._reactor, self._in_thread)
        factory = self._gate(speaks.wrap(self._site(root, http2=tls.http2)))
        return [(address, factory) for address in read_addresses(self._reactor, "--tls", tls.listen, os.environ)]

    def _handshaken(self, handshake: Handshake) -> None:
        if handshake.outcome is Outcome.DONE:
            self._metrics.handshaken(handshake.version)
        else:
            self._metrics.handshake_failed(handshake.outcome)

    def _admin(self, admin: AdminSettings) -> ListeningService:
        gauges = Gauges(self._watch, self._connections, self.settings.limits.connections, self._served_certificates)
        root = admin_root(self._ready, registry_of(self._metrics, gauges), self._hosts)
        connections = Connections(_ADMIN_LIMITS, self._reactor)
        factory = Gate(EndpointSite(root, self._reactor, connections), connections, self._reactor)
        addresses = read_addresses(self._reactor, "--admin", admin.listen, os.environ)
        return ListeningService(
            "admin",
            [(address, cast(IProtocolFactory, factory)) for address in addresses],
            lambda where: f"health and metrics on {', '.join(where)}",
        )

    # How it is.

    def _ready(self) -> Readiness:
        admin = self.settings.admin
        return readiness(
            self._watch.standing(),
            listening=self._listening.listens,
            draining=self._draining.draining,
            now=self._reactor.seconds(),
            max_age=None if admin is None else admin.ready_max_age,
        )

    def _status(self) -> str:
        count, state = self._catalog.snapshot.count, self._catalog.state.value
        return f"catalog {state}; repositories: {count}, connections: {self._connections.open()}"

    def _served_certificates(self) -> Sequence[Certificate]:
        return () if self._certificates is None else self._certificates.certificates()

    def _hosts(self) -> tuple[str, ...]:
        return hosts(self.settings.public_url, _cdns(self.settings))

    def _greeting(self, where: Sequence[str]) -> str:
        settings = self.settings
        cdn = settings.cdn.text if isinstance(settings.cdn, BaseURL) else f"this endpoint's /tree/ ({settings.cdn})"
        hint = " (through the CDN, which may cache a 404: give --store)" if settings.store_is_cdn else ""
        old = "" if settings.v1_store is None else f"; old store {_text(settings.v1_store)}"
        return f"listening on {', '.join(where)}; CDN {cdn}; store {_text(settings.store)}{hint}{old}"

    # What signals do.

    def _reload_steps(self, options: Options) -> Iterator[Step]:
        def read() -> dict[str, Any]:
            values = options.read_again()
            read_settings(values)
            return values

        yield Reconfiguring(dict(options.first_values), read, self._in_thread, self._take_on, (BadConfig, BadSetting))
        if self._certificates is not None:
            yield self._certificates.reload
        yield self._polling.poll_now

    def _take_on(self, values: dict[str, Any], _: Changes) -> None:
        self.settings = settings = read_settings(values)
        self._questions.rules = _rules(settings)
        self._catalog.browse = settings.browse
        self._metrics.lead_to(_cdn_hosts(settings))

    def _reopen(self) -> None:
        if self._access_log is not None:
            self._access_log.reopen()

    def _end(self) -> None:
        with suppress(ReactorNotRunning):  # a second signal: it is ending already
            self._reactor.stop()

    # What everything stands on.

    def _in_thread(self, call: Callable[[], R], /) -> Deferred[R]:
        return cast("Deferred[R]", deferToThreadPool(self._reactor, self._reactor.getThreadPool(), call))

    def _source(self, store: BaseURL | str) -> ListingSource:
        if isinstance(store, str):
            return DirectorySource(store, self._in_thread, self._reactor)
        pool = HTTPConnectionPool(self._reactor)
        pool.maxPersistentPerHost = LOOKS_AT_ONCE
        # Two lines of log for each connection, so for each look; Twisted has no public switch (Scrapy does the same).
        pool._factory.noisy = False
        agent = Agent(self._reactor, connectTimeout=LOOK_SECONDS, pool=pool)
        return HTTPSource(store.text, agent, self._reactor, pool.closeCachedConnections)


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
        public_host=None if public is None else host_of(public.text),
        old_cdn=old_cdn,
    )


def _cdns(settings: Settings) -> list[BaseURL]:
    return [each for each in (settings.cdn, settings.v1_cdn) if isinstance(each, BaseURL)]


def _cdn_hosts(settings: Settings) -> list[str]:
    return [host_of(each.text) for each in _cdns(settings)]


def _child(path: str) -> bytes:
    return path.strip("/").encode()


def _text(place: BaseURL | str) -> str:
    return place.text if isinstance(place, BaseURL) else place
