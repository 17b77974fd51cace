"""A worker of an endpoint: it answers on sockets that its parent has handed it, and goes by what that one knows."""

import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import LogEvent, Logger, eventAsJSON
from twisted.python.failure import Failure

from sdr.catalog.lookups import FoundManifest
from sdr.catalog.saved import SavedCatalog
from sdr.catalog.service import V1Service, restore
from sdr.endpoint.assembly.knowing import Knowing
from sdr.endpoint.assembly.parent import ACCESS_LOG
from sdr.endpoint.assembly.serving import Serving, metrics_of
from sdr.endpoint.life.activation import PassedEndpoint, passed_sockets
from sdr.endpoint.life.draining import Draining
from sdr.endpoint.listening import ListeningService
from sdr.endpoint.settings import BadSetting, Settings, read_settings
from sdr.endpoint.sockets import Address
from sdr.endpoint.tls.certificates import BadCertificate
from sdr.endpoint.workers.catalogs import LIST, STANDING, Following
from sdr.endpoint.workers.counts import Counts
from sdr.endpoint.workers.messages import Frames, Message
from sdr.tree.documents import Repository, encode_repository

#: Seconds between two tellings of what was counted.
_TELL_SECONDS = 1.0


class Line(Protocol):
    """A worker's line to its parent."""

    _log = Logger()

    def __init__(self, reactor: Any) -> None:
        #: What the process is to end with.
        self.exit_code = 0
        self._reactor = reactor
        self._frames = Frames()
        self._worker: _Worker | None = None

    def say(self, kind: str, fields: Mapping[str, Any] | None = None, data: bytes = b"") -> None:
        """Tell the parent something."""
        if self.transport is not None:
            self.transport.write(Message(kind, fields or {}, data).encode())

    def log(self, event: LogEvent) -> None:
        """Have the parent log an event."""
        self.say("log", data=eventAsJSON(event).encode())

    def dataReceived(self, data: bytes) -> None:
        """Hear what the parent says."""
        for message in self._frames.feed(data):
            if message.kind == "hello":
                self._begin(message.fields)
            elif self._worker is not None:
                self._worker.hear(message)

    def _begin(self, fields: Mapping[str, Any]) -> None:
        try:
            self._worker = worker = _begun(fields, self._reactor, self)
        except (BadCertificate, BadSetting) as error:
            self.exit_code = 1
            self._log.critical("{error}", error=error)
            # It says so first, and ends with its line.
            if self.transport is not None:
                self.transport.loseConnection()
            return
        signal.signal(signal.SIGTERM, lambda *_: self._reactor.callFromThread(worker.terminate))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End: there is no parent any more."""
        if self._worker is not None:
            self._worker.orphaned()
        else:
            _stop(self._reactor)


class _Worker:
    """What a worker is made of."""

    _log = Logger()

    def __init__(self, settings: Settings, fields: Mapping[str, Any], reactor: Any, line: Line) -> None:
        self._settings = settings
        self._reactor = reactor
        self._line = line
        metrics = self._metrics = metrics_of(settings)
        saved = None if settings.state_dir is None else SavedCatalog(settings.state_dir, tidy=False)
        self._knowing = Knowing(
            settings,
            reactor,
            metrics.looked,
            None if saved is None else self._learnt_repository,
            None if saved is None else self._learnt_manifest,
        )
        sockets = fields["sockets"]
        log = next((number for number, what in sockets if what == ACCESS_LOG), None)
        self._serving = serving = Serving(settings, reactor, self._knowing, metrics, log)
        factories = {"--listen": serving.plain()}
        if settings.tls is not None:
            factories["--tls"] = serving.secure()
        addresses = []
        for number, option in sockets:
            if option in factories:
                (passed,) = passed_sockets([number], {})
                addresses.append((Address(option, passed.address, PassedEndpoint(reactor, passed)), factories[option]))
        index = fields["index"]
        self._listening = ListeningService(
            "listening", addresses, lambda where: f"worker {index} answers on {', '.join(where)}", shares=True
        )
        self._following = Following(self._knowing.catalog)
        self._draining = Draining(
            reactor, [self._listening], serving.connections, lambda: self._settings.drain, lambda: _stop(reactor)
        )
        self._services = MultiService()
        for service in (V1Service(self._knowing.v1), *serving.services()):
            service.setServiceParent(self._services)
        self._services.privilegedStartService()
        self._services.startService()
        self._timer: IDelayedCall | None = None
        self._tell_counts()
        if saved is not None:
            self._following.then(lambda: restore(self._knowing.catalog, saved, self._knowing.in_thread))
        reactor.addSystemEventTrigger("before", "shutdown", self._stop)

    def hear(self, message: Message) -> None:
        """Do what the parent says."""
        match message.kind:
            case kind if kind in (LIST, STANDING):
                self._following.take(message)
            case "listen":
                self._following.then(self._listen)
            case "settings":
                self._settings = _settings_of(message.fields["values"])
                self._serving.take_on(self._settings)
                catalog = self._knowing.catalog
                self._following.then(lambda: catalog.prepare(catalog.snapshot))
            case "reload" if self._serving.watching is not None:
                self._serving.watching.reload()
            case "reopen":
                self._serving.reopen()
            case "drain":
                self._settings = replace(self._settings, drain=message.fields["seconds"])
                self.terminate()

    def terminate(self) -> None:
        """End in order."""
        if not self._draining.draining:
            self._draining.terminate()

    def orphaned(self) -> None:
        """End in order: the parent is gone, and with it the sense of it."""
        self.terminate()

    async def _listen(self) -> None:
        if not self._draining.draining:
            self._listening.setServiceParent(self._services)
            self._line.say("ready")

    def _tell_counts(self) -> None:
        self._timer = self._reactor.callLater(_TELL_SECONDS, self._tell_counts)
        connections = self._serving.connections
        certificates = tuple((each.file, each.not_after) for each in self._serving.certificates())
        counts = Counts(self._metrics.state(), connections.open(), connections.waiting(), certificates)
        self._line.say("counts", counts.fields())

    def _stop(self) -> Deferred[Any]:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._knowing.catalog.stop()
        return gatherResults([self._services.stopService(), self._knowing.catalog.source.stop()])

    def _learnt_repository(self, repository: Repository) -> None:
        self._line.say("repository", {"name": repository.name}, encode_repository(repository))

    def _learnt_manifest(self, name: str, found: FoundManifest) -> None:
        self._line.say("manifest", {"name": name, "digest": str(found.entry.digest)}, found.body)


def _begun(fields: Mapping[str, Any], reactor: Any, line: Line) -> _Worker:
    settings = _settings_of(fields["values"])
    limits = settings.limits
    share = -(-limits.connections // settings.workers)
    settings = replace(settings, limits=replace(limits, connections=share))
    return _Worker(settings, fields, reactor, line)


def _settings_of(values: Mapping[str, Any]) -> Settings:
    # The access log was opened by the parent: whether it could be opened here, with less privileges, does not matter.
    settings = read_settings({**values, "access-log": None})
    return replace(settings, access_log=values["access-log"])


def _stop(reactor: Any) -> None:
    with suppress(ReactorNotRunning):
        reactor.stop()
