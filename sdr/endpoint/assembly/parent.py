"""An endpoint of several processes, and this one as their parent: it polls, watches, and owns the sockets."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client.registry import Collector

from sdr.catalog.lookups import ManifestLookup
from sdr.catalog.saved import SavedCatalog
from sdr.endpoint.access_log import AccessLogService
from sdr.endpoint.admin.gauges import Expiring
from sdr.endpoint.assembly.knowing import Knowing
from sdr.endpoint.assembly.overseeing import Overseeing
from sdr.endpoint.assembly.serving import access_log_of, metrics_of, tls_of
from sdr.endpoint.life.reloading import Step
from sdr.endpoint.listening import ListeningService
from sdr.endpoint.options import Options
from sdr.endpoint.settings import Settings
from sdr.endpoint.sockets import read_addresses
from sdr.endpoint.tls.shelf import first_shelf
from sdr.endpoint.workers.messages import Message
from sdr.endpoint.workers.pool import Silent, WorkerPool
from sdr.registry.grammar import Digest
from sdr.tree.documents import decode_repository

#: What is handed to workers besides sockets for ``--listen`` and ``--tls``.
ACCESS_LOG = "--access-log"


class Parent:
    """The parent of workers.

    :raise BadAddress: if what is to be listened on cannot be read.
    :raise BadCertificate: if a certificate cannot be used.
    """

    def __init__(self, options: Options, reactor: Any) -> None:
        settings = options.settings
        self._values = dict(options.first_values)
        self._saved = saved = None if settings.state_dir is None else SavedCatalog(settings.state_dir)
        metrics = metrics_of(settings)
        # It looks at nothing but the lists.
        knowing = Knowing(settings, reactor, lambda _: None)
        if settings.tls is not None:
            # Workers read it for themselves; what is wrong with it now is told now.
            first_shelf(settings.tls.places, tls_of(settings, reactor, metrics).check)
        texts = [("--listen", settings.listen), ("--tls", () if settings.tls is None else settings.tls.listen)]
        self._listening = ListeningService(
            "sockets",
            [
                (address, Silent())
                for option, listen in texts
                for address in read_addresses(reactor, option, listen, os.environ)
            ],
            lambda where: overseeing.greeting(where),
            accepts=False,
        )
        self._access_log = access_log_of(settings)
        self.connections = self._pool = WorkerPool(
            reactor,
            settings.workers,
            knowing.catalog,
            self._descriptors,
            lambda: {"values": self._values},
            lambda: metrics_of(overseeing.settings),
            self._learnt,
            os.environ,
        )
        overseeing = Overseeing(
            options,
            reactor,
            knowing.catalog,
            saved,
            knowing.in_thread,
            self,
            [self._listening],
            self._pool.catch_up,
        )
        self.services = overseeing.services
        # The last one stops first.
        for service in (
            *([] if self._access_log is None else [AccessLogService(self._access_log)]),
            overseeing.polling,
            *overseeing.admin(),
            *overseeing.signals(),
            self._listening,
            self._pool,
            overseeing.supervision,
        ):
            service.setServiceParent(self.services)

    @property
    def collector(self) -> Collector:
        """What all workers have counted."""
        return self._pool.sum

    def listens(self) -> bool:
        """Tell whether a worker answers."""
        return self._pool.listens

    def certificates(self) -> Iterator[Expiring]:
        """Return those that workers serve."""
        return self._pool.sum.certificates()

    def take_on(self, settings: Settings, values: dict[str, Any]) -> None:
        """Have workers go by other settings."""
        self._values = values
        self._pool.tell(Message("settings", {"values": values}))

    def reload_steps(self) -> Iterator[Step]:
        """Return what a reload does besides reading the configuration and polling."""
        yield lambda: self._pool.tell(Message("reload"))

    def reopen(self) -> None:
        """Have the access log opened anew."""
        if self._access_log is not None:
            self._access_log.reopen()
        self._pool.tell(Message("reopen"))

    def _descriptors(self) -> Sequence[tuple[int, str]]:
        log = self._access_log
        opened = [] if log is None or log.descriptor is None else [(log.descriptor, ACCESS_LOG)]
        return [*self._listening.descriptors, *opened]

    def _learnt(self, message: Message) -> None:
        """Keep what a worker has fetched for the next start."""
        if self._saved is None:
            return
        name = message.fields["name"]
        if message.kind == "repository":
            self._saved.note(decode_repository(message.data, name))
        else:
            lookup = ManifestLookup(name, Digest.parse(message.fields["digest"]))
            self._saved.manifests.note(name, lookup.read(message.data))
