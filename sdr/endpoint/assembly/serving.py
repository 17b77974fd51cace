"""What answers in one process, joined: the resource tree, connections, TLS, and who is told of requests."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.interfaces import IProtocolFactory

from sdr.catalog.sources import InThread
from sdr.cdn.locations import OLD_TREE, OWN_TREE
from sdr.endpoint.access import FORMS
from sdr.endpoint.access_log import AccessLog, AccessLogService
from sdr.endpoint.accounting import Accounting
from sdr.endpoint.admin.metrics import Metrics
from sdr.endpoint.assembly.knowing import Knowing
from sdr.endpoint.connections.connections import Connections
from sdr.endpoint.connections.gate import Gate
from sdr.endpoint.destinations import cdn_hosts_of, rules_of
from sdr.endpoint.fast.answers import Grounds
from sdr.endpoint.files import TreeFiles, old_headers_of
from sdr.endpoint.settings import Settings
from sdr.endpoint.site import EndpointSite
from sdr.endpoint.tls.acme import WELL_KNOWN, Challenges
from sdr.endpoint.tls.certificates import Certificate
from sdr.endpoint.tls.interface import TLS, Handshake, Outcome
from sdr.endpoint.tls.serving import HTTP1, HTTP2, StandardTLS
from sdr.endpoint.tls.shelf import first_shelf
from sdr.endpoint.tls.watching import CertificateService
from sdr.endpoint.web import Questions, Root

#: What of the endpoint's own paths is no question, and the routes under which it is counted.
_FILES = {f"{OWN_TREE}/": "tree", f"{OLD_TREE}/": "old", f"/{WELL_KNOWN.decode()}/": "acme"}


class Serving:
    """What answers.

    :param metrics: counts.
    :param log_descriptor: the access log, if it has been opened already.
    :raise BadCertificate: if a certificate cannot be used.
    """

    def __init__(
        self, settings: Settings, reactor: Any, knowing: Knowing, metrics: Metrics, log_descriptor: int | None = None
    ) -> None:
        self._settings = settings
        self._reactor = reactor
        self._catalog = knowing.catalog
        self._metrics = metrics
        self.questions = Questions(knowing.knowledge, rules_of(settings))
        self._fast = Grounds(self.questions, knowing.catalog) if settings.fast else None
        self.connections = Connections(settings.limits, reactor, metrics.refused)
        self.access_log = access_log_of(settings, log_descriptor)
        self._accounting = Accounting(None if settings.admin is None else metrics, self.access_log, _FILES)
        self._root = self._tree(knowing.in_thread)
        self.watching: CertificateService | None = None
        self._tls: TLS | None = None
        if settings.tls is not None:
            self._tls = tls_of(settings, reactor, metrics)
            shelf = first_shelf(settings.tls.places, self._tls.check)
            self.watching = CertificateService(settings.tls.places, shelf, self._tls, reactor, knowing.in_thread)

    def plain(self) -> IProtocolFactory:
        """Return what is listened with in the clear."""
        return self._gate(self._site())

    def secure(self) -> IProtocolFactory:
        """Return what is listened with for TLS."""
        assert self._tls is not None
        assert self._settings.tls is not None
        return self._gate(self._tls.wrap(self._site(http2=self._settings.tls.http2)))

    def services(self) -> Iterator[Service]:
        """Return what has to run for it."""
        if self.access_log is not None:
            yield AccessLogService(self.access_log)
        if self.watching is not None:
            yield self.watching

    def certificates(self) -> Sequence[Certificate]:
        """Return those that are served."""
        return () if self.watching is None else self.watching.certificates()

    def take_on(self, settings: Settings) -> None:
        """Go by other settings from the next question on, as far as that goes without a restart."""
        self.questions.rules = rules_of(settings)
        self._catalog.browse = settings.browse
        self._metrics.lead_to(cdn_hosts_of(settings))

    def reopen(self) -> None:
        """Open the access log anew."""
        if self.access_log is not None:
            self.access_log.reopen()

    def _tree(self, in_thread: InThread) -> Root:
        settings, stall = self._settings, self._settings.limits.write_seconds
        root = Root(self.questions)
        if isinstance(settings.cdn, str):
            root.putChild(_child(OWN_TREE), TreeFiles(settings.cdn, in_thread, self._reactor, stall))
        if isinstance(settings.v1_store, str) and settings.v1_cdn is None:
            files = TreeFiles(settings.v1_store, in_thread, self._reactor, stall, OLD_TREE, old_headers_of)
            root.putChild(_child(OLD_TREE), files)
        if settings.acme is not None:
            root.putChild(WELL_KNOWN, Challenges(settings.acme, in_thread))
        return root

    def _site(self, *, http2: bool = False) -> EndpointSite:
        return EndpointSite(
            self._root,
            self._reactor,
            self.connections,
            self._settings.trusted,
            self._accounting,
            http2=http2,
            fast=self._fast,
        )

    def _gate(self, factory: IProtocolFactory) -> IProtocolFactory:
        return cast(IProtocolFactory, Gate(factory, self.connections, self._reactor, self._settings.trusted))


def tls_of(settings: Settings, reactor: Any, metrics: Metrics) -> TLS:
    """Return what speaks TLS."""

    def handshaken(handshake: Handshake) -> None:
        if handshake.outcome is Outcome.DONE:
            metrics.handshaken(handshake.version)
        else:
            metrics.handshake_failed(handshake.outcome)

    http2 = settings.tls is not None and settings.tls.http2
    return StandardTLS(reactor, HTTP2 if http2 else HTTP1, handshaken, settings.limits.handshake_seconds)


def access_log_of(settings: Settings, descriptor: int | None = None) -> AccessLog | None:
    """Return the access log, if there is to be one."""
    if settings.access_log is None:
        return None
    return AccessLog(settings.access_log, FORMS[settings.access_log_format], descriptor)


def metrics_of(settings: Settings) -> Metrics:
    """Return metrics in which nothing is counted yet."""
    return Metrics(cdn_hosts_of(settings), [each for each in Outcome if each is not Outcome.DONE])


def _child(path: str) -> bytes:
    return path.strip("/").encode()
