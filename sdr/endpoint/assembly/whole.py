"""An endpoint in one process."""

import os
from collections.abc import Iterator
from typing import Any

from prometheus_client.registry import Collector

from sdr.catalog.saved import SavedCatalog
from sdr.catalog.service import V1Service
from sdr.endpoint.assembly.knowing import Knowing
from sdr.endpoint.assembly.overseeing import Overseeing
from sdr.endpoint.assembly.serving import Serving, metrics_of
from sdr.endpoint.connections.connections import Connections
from sdr.endpoint.life.reloading import Step
from sdr.endpoint.listening import ListeningService
from sdr.endpoint.options import Options
from sdr.endpoint.settings import Settings
from sdr.endpoint.sockets import read_addresses
from sdr.endpoint.tls.certificates import Certificate


class Whole:
    """Everything in one process.

    :raise BadAddress: if what is to be listened on cannot be read.
    :raise BadCertificate: if a certificate cannot be used.
    """

    def __init__(self, options: Options, reactor: Any) -> None:
        settings = options.settings
        metrics = metrics_of(settings)
        self.collector: Collector = metrics
        saved = None if settings.state_dir is None else SavedCatalog(settings.state_dir)
        knowing = Knowing(
            settings,
            reactor,
            metrics.looked,
            None if saved is None else saved.note,
            None if saved is None else saved.manifests.note,
        )
        self._serving = serving = Serving(settings, reactor, knowing, metrics)
        plain = serving.plain()
        addresses = [(each, plain) for each in read_addresses(reactor, "--listen", settings.listen, os.environ)]
        if settings.tls is not None:
            secure = serving.secure()
            addresses += [(each, secure) for each in read_addresses(reactor, "--tls", settings.tls.listen, os.environ)]
        self._listening = ListeningService("listening", addresses, lambda where: overseeing.greeting(where))
        overseeing = Overseeing(options, reactor, knowing.catalog, saved, knowing.in_thread, self, [self._listening])
        self.services = overseeing.services
        # The last one stops first.
        for service in (
            overseeing.polling,
            V1Service(knowing.v1),
            *serving.services(),
            *overseeing.admin(),
            *overseeing.signals(),
            self._listening,
            overseeing.supervision,
        ):
            service.setServiceParent(self.services)

    @property
    def connections(self) -> Connections:
        """The open connections."""
        return self._serving.connections

    def listens(self) -> bool:
        """Tell whether it listens."""
        return self._listening.listens

    def certificates(self) -> tuple[Certificate, ...]:
        """Return those that are served."""
        return tuple(self._serving.certificates())

    def take_on(self, settings: Settings, values: dict[str, Any]) -> None:
        """Go by other settings."""
        self._serving.take_on(settings)

    def reload_steps(self) -> Iterator[Step]:
        """Return what a reload does besides reading the configuration and polling."""
        if self._serving.watching is not None:
            yield self._serving.watching.reload

    def reopen(self) -> None:
        """Open the access log anew."""
        self._serving.reopen()
