"""What surrounds the answering, joined: polls, health and metrics, signals, reloads, and an orderly end."""

import os
import random
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol, cast

from prometheus_client.registry import Collector
from twisted.application.service import Service
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IProtocolFactory

from sdr.catalog.catalog import Catalog
from sdr.catalog.polling import Poll
from sdr.catalog.saved import SavedCatalog
from sdr.catalog.service import PollingService
from sdr.cdn.locations import BaseURL
from sdr.endpoint.admin.catalog_watch import CatalogWatch
from sdr.endpoint.admin.exposition import registry_of
from sdr.endpoint.admin.gauges import Expiring, Gauges, OpenConnections
from sdr.endpoint.admin.hosts import hosts
from sdr.endpoint.admin.readiness import Readiness, readiness
from sdr.endpoint.admin.web import admin_root
from sdr.endpoint.config import BadConfig
from sdr.endpoint.connections.connections import Connections
from sdr.endpoint.connections.gate import Gate
from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.destinations import cdns_of
from sdr.endpoint.life import draining
from sdr.endpoint.life.draining import Draining
from sdr.endpoint.life.log_file import LoggedServices, log_of
from sdr.endpoint.life.notify import sender, watchdog_seconds
from sdr.endpoint.life.reloading import Reconfiguring, Reloading, Step
from sdr.endpoint.life.signals import SignalService
from sdr.endpoint.life.supervision import SupervisionService
from sdr.endpoint.listening import ListeningService
from sdr.endpoint.options import Options
from sdr.endpoint.settings import BadSetting, Settings, read_settings
from sdr.endpoint.site import EndpointSite
from sdr.endpoint.sockets import read_addresses

#: Who watches an endpoint has a few connections of his own.
_ADMIN_LIMITS = Limits(connections=100, connections_per_address=100)


class Answering(Protocol):
    """Whatever answers, here or in workers."""

    @property
    def collector(self) -> Collector:
        """What it has counted."""

    @property
    def connections(self) -> "OpenAndDraining":
        """Its connections."""

    def listens(self) -> bool:
        """Tell whether it answers."""

    def certificates(self) -> Iterable[Expiring]:
        """Return those that it serves."""

    def take_on(self, settings: Settings, values: dict[str, Any]) -> None:
        """Go by other settings; the values are those that they were read from."""

    def reload_steps(self) -> Iterable[Step]:
        """Return what else a reload does."""

    def reopen(self) -> None:
        """Open the access log anew."""


class OpenAndDraining(OpenConnections, draining.Connections, Protocol):
    """Connections that are counted, and can be drained."""


class Overseeing:
    """What surrounds the answering.

    :param answering: who answers.
    :param listening: what is closed first at the end.
    :param polled: told after each poll.
    """

    def __init__(
        self,
        options: Options,
        reactor: Any,
        catalog: Catalog,
        saved: SavedCatalog | None,
        in_thread: Any,
        answering: Answering,
        listening: Sequence[draining.Listening],
        polled: Callable[[], object] = lambda: None,
    ) -> None:
        self.settings = options.settings
        self._first_values = dict(options.first_values)
        #: All that runs; whoever puts it together adds to it.
        self.services = LoggedServices(log_of(options.parent))
        self._reactor = reactor
        self._catalog = catalog
        self._answering = answering
        self._watch = CatalogWatch(catalog, reactor)

        def after_poll(kind: str) -> None:
            self._watch.polled(kind)
            polled()

        self.polling = PollingService(
            catalog,
            Poll(catalog, in_thread),
            reactor,
            self.settings.poll,
            random.random,
            in_thread,
            saved,
            after_poll,
        )
        #: Tells a service manager; started once all that listens does.
        self.supervision = SupervisionService(reactor, sender(os.environ), watchdog_seconds(os.environ), self._status)
        self._draining = Draining(
            reactor,
            listening,
            answering.connections,
            lambda: self.settings.drain,
            self._end,
            lambda count: self.supervision.stopping(f"draining; connections: {count}"),
        )
        steps = list(self._reload_steps(options, in_thread))
        self._reloading = Reloading(steps, self.supervision.reloading, self.supervision.reloaded)

    def admin(self) -> Iterator[Service]:
        """Return the listener for health and metrics, if there is one.

        :raise BadAddress: if its address cannot be read.
        """
        if self.settings.admin is None:
            return
        answering = self._answering
        gauges = Gauges(self._watch, answering.connections, self.settings.limits.connections, answering.certificates)
        root = admin_root(self._ready, registry_of(answering.collector, gauges), self._hosts)
        connections = Connections(_ADMIN_LIMITS, self._reactor)
        factory = Gate(EndpointSite(root, self._reactor, connections), connections, self._reactor)
        yield ListeningService(
            "admin",
            [
                (address, cast(IProtocolFactory, factory))
                for address in read_addresses(self._reactor, "--admin", self.settings.admin.listen, os.environ)
            ],
            lambda where: f"health and metrics on {', '.join(where)}",
        )

    def signals(self) -> Iterator[Service]:
        """Return what is started before anything listens: who sees it listen may send a signal."""
        yield self._reloading
        yield SignalService(
            self._reactor,
            {
                signal.SIGTERM: self._draining.terminate,
                signal.SIGINT: self._draining.terminate,
                signal.SIGHUP: self._reloading.reload,
                signal.SIGUSR1: self._reopen,
            },
        )

    def greeting(self, where: Sequence[str]) -> str:
        """Return the line that says what this endpoint is."""
        settings = self.settings
        cdn = settings.cdn.text if isinstance(settings.cdn, BaseURL) else f"this endpoint's /tree/ ({settings.cdn})"
        hint = " (through the CDN, which may cache a 404: give --store)" if settings.store_is_cdn else ""
        old = "" if settings.v1_store is None else f"; old store {_text(settings.v1_store)}"
        workers = "" if settings.workers == 1 else f"; workers: {settings.workers}"
        return f"listening on {', '.join(where)}; CDN {cdn}; store {_text(settings.store)}{hint}{old}{workers}"

    def _ready(self) -> Readiness:
        admin = self.settings.admin
        return readiness(
            self._watch.standing(),
            listening=self._answering.listens(),
            draining=self._draining.draining,
            now=self._reactor.seconds(),
            max_age=None if admin is None else admin.ready_max_age,
        )

    def _status(self) -> str:
        count, state = self._catalog.snapshot.count, self._catalog.state.value
        return f"catalog {state}; repositories: {count}, connections: {self._answering.connections.open()}"

    def _hosts(self) -> tuple[str, ...]:
        return hosts(self.settings.public_url, cdns_of(self.settings))

    def _reload_steps(self, options: Options, in_thread: Any) -> Iterator[Step]:
        def read() -> dict[str, Any]:
            values = options.read_again()
            self._settings_of(values)
            return values

        yield Reconfiguring(
            self._first_values,
            read,
            in_thread,
            lambda values, _: self._take_on(values),
            (BadConfig, BadSetting),
        )
        yield from self._answering.reload_steps()
        yield self.polling.poll_now

    def _settings_of(self, values: dict[str, Any]) -> Settings:
        if values["access-log"] == self._first_values["access-log"]:
            # It is open: whether it could be opened now, perhaps with less privileges, does not matter.
            values = {**values, "access-log": None}
        return read_settings(values)

    def _take_on(self, values: dict[str, Any]) -> None:
        self.settings = self._settings_of(values)
        self._answering.take_on(self.settings, values)

    def _reopen(self) -> None:
        if self.services.log is not None:
            self.services.log.reopen()
        self._answering.reopen()

    def _end(self) -> None:
        with suppress(ReactorNotRunning):  # a second signal: it is ending already
            self._reactor.stop()


def _text(place: BaseURL | str) -> str:
    return place.text if isinstance(place, BaseURL) else place
