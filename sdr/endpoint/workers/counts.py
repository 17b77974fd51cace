"""What is counted in all workers, those that have ended included."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sdr.endpoint.admin.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Counts:
    """What one worker has counted.

    :param metrics: as :meth:`Metrics.state` has it.
    :param open: connections.
    :param waiting: of them, those without a request under way.
    :param certificates: files, and when each expires.
    """

    metrics: Mapping[str, Any] = field(default_factory=dict)
    open: int = 0
    waiting: int = 0
    certificates: tuple[tuple[str, float], ...] = ()

    def fields(self) -> dict[str, Any]:
        """Return this as fields of a message."""
        return {
            "metrics": self.metrics,
            "open": self.open,
            "waiting": self.waiting,
            "certificates": [list(each) for each in self.certificates],
        }

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> "Counts":
        """Read it from a message."""
        certificates = tuple((file, not_after) for file, not_after in fields["certificates"])
        return cls(fields["metrics"], fields["open"], fields["waiting"], certificates)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that a worker serves, as far as its end goes."""

    file: str
    not_after: float


class Sum(Collector):
    """Adds up what the workers count.

    :param counts: returns those of the workers that run.
    :param empty: makes metrics in which nothing is counted yet.
    """

    def __init__(self, counts: Callable[[], Iterable[Counts]], empty: Callable[[], Metrics]) -> None:
        self._counts = counts
        self._empty = empty
        self._ended: list[Metrics] = []
        self._restarts = 0

    def ended(self, counts: Counts) -> None:
        """Keep what a worker had counted that has ended."""
        if not self._ended:
            self._ended.append(self._empty())
        self._ended[0].add(counts.metrics)

    def replaced(self) -> None:
        """Count a worker that was started in the place of one that had died."""
        self._restarts += 1

    def open(self) -> int:
        """Return how many connections are open."""
        return sum(each.open for each in self._counts())

    def waiting(self) -> int:
        """Return how many of them wait for a next request."""
        return sum(each.waiting for each in self._counts())

    def certificates(self) -> Iterator[Certificate]:
        """Return what is served; of a file, what the worker serves that has the oldest."""
        oldest: dict[str, float] = {}
        for each in self._counts():
            for file, not_after in each.certificates:
                oldest[file] = min(not_after, oldest.get(file, not_after))
        return (Certificate(file, not_after) for file, not_after in oldest.items())

    def collect(self) -> Iterator[Metric]:
        """Return the sums."""
        total, running = self._empty(), list(self._counts())
        for ended in self._ended:
            total.add(ended.state())
        for counts in running:
            total.add(counts.metrics)
        yield from total.collect()
        yield GaugeMetricFamily("sdr_workers", "Worker processes that run.", value=len(running))
        yield CounterMetricFamily("sdr_worker_restarts", "Workers that died and were replaced.", value=self._restarts)
