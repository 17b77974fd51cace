"""What is looked up at a scrape: how the catalog, the connections and the certificates stand."""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sdr.catalog.catalog import State
from sdr.endpoint.admin.standing import CatalogHealth, Standing


class OpenConnections(Protocol):
    """Whoever counts the open connections."""

    def open(self) -> int:
        """Return how many are open."""
        ...

    def waiting(self) -> int:
        """Return how many of them wait for a next request."""
        ...


class Expiring(Protocol):
    """A certificate, as far as its end goes."""

    @property
    def file(self) -> str:
        """Where it was read."""
        ...

    @property
    def not_after(self) -> float:
        """When it expires, in seconds since 1970."""
        ...


def build() -> dict[str, str]:
    """Return the versions of what runs here."""
    return {"version": version("sdr"), "python": platform.python_version(), "twisted": version("twisted")}


class Gauges(Collector):
    """Tells at a scrape how things stand.

    :param connections: who counts them, if anybody does.
    :param most_connections: the limit.
    :param certificates: returns those that are served.
    :param versions: of what runs here.
    """

    def __init__(
        self,
        catalog: CatalogHealth,
        connections: OpenConnections | None = None,
        most_connections: int = 0,
        certificates: Callable[[], Iterable[Expiring]] = tuple,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        self._catalog = catalog
        self._connections = connections
        self._most_connections = most_connections
        self._certificates = certificates
        self._versions = dict(build() if versions is None else versions)

    def collect(self) -> Iterator[Metric]:
        """Return how everything stands now."""
        yield from _of_catalog(self._catalog.standing())
        if self._connections is not None:
            yield from _of_connections(self._connections, self._most_connections)
        expiry = GaugeMetricFamily(
            "sdr_certificate_expiry_timestamp_seconds", "When a certificate expires.", labels=["file"]
        )
        for file, not_after in {each.file: each.not_after for each in self._certificates()}.items():
            expiry.add_metric([file], not_after)
        yield expiry
        info = GaugeMetricFamily("sdr_build_info", "Versions of what runs here.", labels=list(self._versions))
        info.add_metric(list(self._versions.values()), 1)
        yield info


def _of_catalog(standing: Standing) -> Iterator[Metric]:
    state = GaugeMetricFamily("sdr_catalog_state", "1 for the state that the catalog is in.", labels=["state"])
    for each in State:
        state.add_metric([each.value], each.value == standing.state)
    yield state
    # A time and not an age: the age goes on growing while nobody scrapes, or nobody answers.
    last = GaugeMetricFamily(
        "sdr_catalog_last_success_timestamp_seconds", "When a poll last read the catalog, or saw that there is none."
    )
    if standing.polled_at is not None:
        last.add_metric([], standing.polled_at)
    yield last
    yield GaugeMetricFamily("sdr_catalog_repositories", "Repositories listed.", value=standing.repositories)
    yield CounterMetricFamily("sdr_catalog_polls", "Polls of the catalog, failed ones too.", value=standing.polls)
    failures = CounterMetricFamily("sdr_catalog_poll_failures", "Polls that failed, by why.", labels=["reason"])
    for reason, count in standing.failures.items():
        failures.add_metric([reason], count)
    yield failures


def _of_connections(connections: OpenConnections, most: int) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "sdr_connections_open", "Open connections, TLS handshakes included.", value=connections.open()
    )
    yield GaugeMetricFamily(
        "sdr_connections_idle", "Open connections that wait for a next request.", value=connections.waiting()
    )
    if most:
        yield GaugeMetricFamily("sdr_connections_max", "Connections that may be open.", value=most)
