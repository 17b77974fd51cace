"""What the endpoint counts, under the names that Prometheus reads."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sdr.endpoint.admin.tallies import Durations, Tally

#: Upper bounds in seconds: most answers come from memory; a look at the store may take two seconds.
BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

#: How a look at the store may end: the object; the one that was held; it is not there; the store did not say;
#: it was not made, for the polls fail, too many are under way, or the budget is spent.
LOOKUP_RESULTS = ("found", "unchanged", "absent", "failed", "refused")

#: Redirects to an address that is none of a CDN's: the endpoint's own files.
OWN = "own"

_METHODS = {"GET": "GET", "HEAD": "HEAD"}


class Metrics(Collector):
    """Counts what happens, and tells it at a scrape. It belongs to the reactor's thread.

    :param cdns: the hosts of the CDNs, each with its port where its URL has one.
    :param handshakes: how TLS handshakes may fail, to be counted from zero.
    """

    def __init__(self, cdns: Iterable[str] = (), handshakes: Iterable[str] = ()) -> None:
        self._cdns = {cdn: (cdn,) for cdn in cdns}
        self._requests = Tally()
        self._durations = Durations(BOUNDS)
        self._redirects = Tally(self._cdns.values())
        self._lookups = Tally((result,) for result in LOOKUP_RESULTS)
        self._refused = Tally(most=50)
        self._handshakes = Tally(most=10)
        self._handshake_failures = Tally(((reason,) for reason in handshakes), most=50)

    def lead_to(self, cdns: Iterable[str]) -> None:
        """Take these hosts for CDNs, besides those that are known already."""
        self._cdns.update((cdn, (cdn,)) for cdn in cdns)

    def answered(self, route: str, method: str, code: int, seconds: float) -> None:
        """Count a request that was answered.

        :param route: one of :data:`sdr.endpoint.admin.routes.ROUTES`.
        :param seconds: from the end of the request's head to the end of its answer.
        """
        self._requests.add((route, _code(code), _METHODS.get(method, "other")))
        self._durations.add(route, seconds)

    def redirected(self, host: str) -> None:
        """Count a redirect by the host that it leads to."""
        self._redirects.add(self._cdns.get(host, (OWN,)))

    def looked(self, result: str) -> None:
        """Count a look at the store, by one of :data:`LOOKUP_RESULTS`."""
        self._lookups.add((result,))

    def refused(self, reason: str) -> None:
        """Count a connection or request that was refused, by a few words."""
        self._refused.add((_word(reason),))

    def handshaken(self, version: str) -> None:
        """Count a TLS handshake that was done, by the version that it agreed on."""
        self._handshakes.add((version,))

    def handshake_failed(self, reason: str) -> None:
        """Count a TLS handshake that was not."""
        self._handshake_failures.add((_word(reason),))

    def state(self) -> dict[str, Any]:
        """Return everything that was counted, as JSON can hold it."""
        return {name: counted.state() for name, counted in self._all()}

    def add(self, state: Mapping[str, Any]) -> None:
        """Add what another process has counted."""
        for name, counted in self._all():
            counted.plus(state[name])

    def _all(self) -> Iterator[tuple[str, Tally | Durations]]:
        yield "requests", self._requests
        yield "durations", self._durations
        yield "redirects", self._redirects
        yield "lookups", self._lookups
        yield "refused", self._refused
        yield "handshakes", self._handshakes
        yield "handshake_failures", self._handshake_failures

    def collect(self) -> Iterator[Metric]:
        """Return everything that was counted."""
        yield _counter("sdr_requests", "Requests answered.", ("route", "code", "method"), self._requests)
        durations = HistogramMetricFamily(
            "sdr_request_duration_seconds", "Seconds from a request to the end of its answer.", labels=["route"]
        )
        for route, buckets, total in self._durations.items():
            durations.add_metric([route], buckets, total)
        yield durations
        yield _counter("sdr_redirects", "Redirects, by the host they lead to.", ("cdn",), self._redirects)
        yield _counter("sdr_lookups", "Looks at the store, by how they ended.", ("result",), self._lookups)
        yield _counter(
            "sdr_connections_refused", "Connections and requests refused, by why.", ("reason",), self._refused
        )
        yield _counter("sdr_tls_handshakes", "TLS handshakes done.", ("version",), self._handshakes)
        yield _counter(
            "sdr_tls_handshake_failures",
            "TLS handshakes not done, by why.",
            ("reason",),
            self._handshake_failures,
        )


@lru_cache(maxsize=1000)
def _code(code: int) -> str:
    return str(code)


@lru_cache(maxsize=100)
def _word(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "other"


def _counter(name: str, help_text: str, labels: tuple[str, ...], tally: Tally) -> CounterMetricFamily:
    family = CounterMetricFamily(name, help_text, labels=labels)
    for key, count in tally.items():
        family.add_metric(key, count)
    return family
