"""Metrics as they are scraped, taken apart, and an endpoint's worth of things to count."""

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from sdr.endpoint.admin.exposition import exposition
from sdr.endpoint.admin.gauges import Gauges
from sdr.endpoint.admin.metrics import Metrics
from sdr.endpoint.admin.standing import POLL_FAILURES, Standing

Labels = dict[str, str]

#: A catalog that was read a thousand seconds after the clock began.
STANDING = Standing("loaded", 12, 1000.0, 0, "", 40, dict.fromkeys(POLL_FAILURES, 0))


@dataclass(frozen=True)
class Expires:
    """A certificate, as far as its end goes."""

    file: str
    not_after: float


@dataclass(frozen=True)
class Counted:
    """A catalog and connections that stand as a test says."""

    now: Standing = STANDING

    def standing(self) -> Standing:
        """Tell how the catalog stands."""
        return self.now

    def open(self) -> int:
        """Return how many connections are open."""
        return 7

    def waiting(self) -> int:
        """Return how many of them wait."""
        return 3


def scraped(collector: Collector) -> dict[str, list[tuple[Labels, float]]]:
    """Return what is exposed, by the samples' names."""
    found: dict[str, list[tuple[Labels, float]]] = {}
    for family in text_string_to_metric_families(exposition(collector)[1].decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def value(collector: Collector, name: str, **labels: str) -> float | None:
    """Return the value of one sample, or nothing if it is not exposed."""
    values = [value for found, value in scraped(collector).get(name, []) if found == labels]
    return values[0] if values else None


def busy() -> tuple[Metrics, Gauges]:
    """Return metrics that have counted one of each kind."""
    metrics = Metrics(["cdn.example.com"], ["silent", "version"])
    metrics.answered("manifest", "GET", 307, 0.0002)
    metrics.redirected("cdn.example.com")
    metrics.looked("found")
    metrics.refused("connections of an address")
    metrics.handshaken("TLSv1.3")
    metrics.handshake_failed("version")
    gauges = Gauges(Counted(), Counted(), 4096, lambda: [Expires("/etc/sdr/a.pem", 2e9)])
    return metrics, gauges
