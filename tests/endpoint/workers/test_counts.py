"""Tests of what is counted in all workers."""

from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.admin.exposition import exposition
from sdr.endpoint.admin.metrics import Metrics
from sdr.endpoint.workers.counts import Counts, Sum
from sdr.endpoint.workers.messages import Frames, Message


def counted(requests: int, *, opened: int = 0, certificates: tuple[tuple[str, float], ...] = ()) -> Counts:
    """Return what a worker has counted, as it came through a pipe."""
    metrics = Metrics(["cdn.example.com"], ["timeout"])
    for _ in range(requests):
        metrics.answered("blob", "GET", 307, 0.0002)
        metrics.redirected("cdn.example.com")
    metrics.looked("found")
    metrics.handshaken("TLSv1.3")
    metrics.refused("slow request")
    counts = Counts(metrics.state(), opened, opened // 2, certificates)
    (message,) = Frames().feed(Message("counts", counts.fields()).encode())
    return Counts.read(message.fields)


class SumTests(SynchronousTestCase):
    """The sums."""

    def setUp(self) -> None:
        """Count in two workers."""
        self.running = [counted(3, opened=4), counted(2, opened=2)]
        self.sum = Sum(lambda: self.running, lambda: Metrics(["cdn.example.com"], ["timeout"]))

    def value(self, name: str) -> float:
        """Return a number from the text that Prometheus reads."""
        _, text = exposition(self.sum)
        (line,) = (line for line in text.decode().splitlines() if line.startswith(f"{name} "))
        return float(line.rpartition(" ")[2])

    def test_all_is_added(self) -> None:
        """Every kind of count is the sum of the workers'."""
        for name, expected in (
            ('sdr_requests_total{code="307",method="GET",route="blob"}', 5),
            ('sdr_request_duration_seconds_count{route="blob"}', 5),
            ('sdr_request_duration_seconds_bucket{le="0.00025",route="blob"}', 5),
            ('sdr_redirects_total{cdn="cdn.example.com"}', 5),
            ('sdr_lookups_total{result="found"}', 2),
            ('sdr_tls_handshakes_total{version="TLSv1.3"}', 2),
            ('sdr_connections_refused_total{reason="slow_request"}', 2),
            ('sdr_tls_handshake_failures_total{reason="timeout"}', 0),
            ("sdr_workers", 2),
        ):
            self.assertEqual(self.value(name), expected, name)
        self.assertAlmostEqual(self.value('sdr_request_duration_seconds_sum{route="blob"}'), 0.001)
        self.assertEqual((self.sum.open(), self.sum.waiting()), (6, 3))

    def test_never_less(self) -> None:
        """What a worker had counted that has died is not lost: a counter never goes down."""
        name = 'sdr_requests_total{code="307",method="GET",route="blob"}'
        self.sum.ended(self.running.pop())
        self.sum.replaced()
        self.assertEqual(self.value(name), 5)
        self.running.append(counted(1))
        self.sum.ended(counted(4))
        self.assertEqual(self.value(name), 10)
        self.assertEqual(self.value("sdr_worker_restarts_total"), 1)
        self.assertEqual(self.sum.open(), 4, "connections end with their worker")

    def test_certificates(self) -> None:
        """Of a file that workers have read at different times, the one that ends first is told."""
        self.running = [counted(0, certificates=(("a", 5.0), ("b", 7.0))), counted(0, certificates=(("a", 3.0),))]
        self.assertEqual({each.file: each.not_after for each in self.sum.certificates()}, {"a": 3.0, "b": 7.0})
