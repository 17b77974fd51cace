"""Tests of what is counted, and of what a scrape shows of it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.admin.catalog_watch import CatalogWatch
from sdr.endpoint.admin.exposition import exposition, registry_of
from sdr.endpoint.admin.gauges import Gauges, build
from sdr.endpoint.admin.metrics import BOUNDS, Metrics
from sdr.endpoint.admin.standing import Standing
from sdr.endpoint.admin.tallies import Durations, Tally
from sdr.endpoint.connections.connections import Connections
from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.tls.certificates import Certificate
from sdr.endpoint.tls.interface import Outcome
from tests.catalog.polled import direct
from tests.catalog.store import FakeStore
from tests.endpoint.admin.samples import Counted, busy, scraped, value

ROOT = Path(__file__).parents[3]


class RequestTests(SynchronousTestCase):
    """Requests."""

    def setUp(self) -> None:
        """Count nothing yet."""
        self.metrics = Metrics(["cdn.example.com"])

    def test_requests(self) -> None:
        """A request is counted by its route, code and method; methods that are not answered are one."""
        for method in ("GET", "GET", "HEAD", "POST", "BREW"):
            self.metrics.answered("blob", method, 307 if method != "BREW" else 405, 0.001)
        count = "sdr_requests_total"
        self.assertEqual(value(self.metrics, count, route="blob", code="307", method="GET"), 2)
        self.assertEqual(value(self.metrics, count, route="blob", code="307", method="HEAD"), 1)
        self.assertEqual(value(self.metrics, count, route="blob", code="307", method="other"), 1)
        self.assertEqual(value(self.metrics, count, route="blob", code="405", method="other"), 1)

    def test_durations(self) -> None:
        """How long an answer took is in a histogram by route."""
        for seconds in (0.00005, 0.3, 60.0):
            self.metrics.answered("manifest", "GET", 200, seconds)
        name = "sdr_request_duration_seconds"
        self.assertEqual(value(self.metrics, f"{name}_bucket", route="manifest", le="0.0001"), 1)
        self.assertEqual(value(self.metrics, f"{name}_bucket", route="manifest", le="0.5"), 2)
        self.assertEqual(value(self.metrics, f"{name}_bucket", route="manifest", le="+Inf"), 3)
        self.assertEqual(value(self.metrics, f"{name}_count", route="manifest"), 3)
        self.assertAlmostEqual(value(self.metrics, f"{name}_sum", route="manifest") or 0, 60.30005)

    def test_redirects(self) -> None:
        """A redirect is counted by its CDN; a client's own Host, which may be anything, makes no new count."""
        self.assertEqual(value(self.metrics, "sdr_redirects_total", cdn="cdn.example.com"), 0)
        self.metrics.redirected("cdn.example.com")
        for number in range(100):
            self.metrics.redirected(f"invented-{number}.example.com")
        self.assertEqual(
            scraped(self.metrics)["sdr_redirects_total"], [({"cdn": "cdn.example.com"}, 1), ({"cdn": "own"}, 100)]
        )

    def test_lookups(self) -> None:
        """Looks are counted from zero, so that the first failure is an increase."""
        self.assertEqual(value(self.metrics, "sdr_lookups_total", result="failed"), 0)
        self.metrics.looked("failed")
        self.assertEqual(value(self.metrics, "sdr_lookups_total", result="failed"), 1)

    def test_connections(self) -> None:
        """Refusals are counted by a word made of why."""
        self.metrics.refused("connections of an address")
        self.assertEqual(value(self.metrics, "sdr_connections_refused_total", reason="connections_of_an_address"), 1)

    def test_handshakes(self) -> None:
        """Handshakes are counted by version, those that fail by why, and that from zero."""
        metrics = Metrics(handshakes=["timeout", "cipher"])
        metrics.handshaken("TLSv1.3")
        metrics.handshake_failed("cipher")
        self.assertEqual(value(metrics, "sdr_tls_handshakes_total", version="TLSv1.3"), 1)
        self.assertEqual(value(metrics, "sdr_tls_handshake_failures_total", reason="cipher"), 1)
        self.assertEqual(value(metrics, "sdr_tls_handshake_failures_total", reason="timeout"), 0)

    def test_bounded(self) -> None:
        """However many reasons there are, the series stay few, and none is lost."""
        for number in range(500):
            self.metrics.refused(f"reason {number}")
        found = scraped(self.metrics)["sdr_connections_refused_total"]
        self.assertLessEqual(len(found), 51)
        self.assertEqual(sum(count for _, count in found), 500)


class TallyTests(SynchronousTestCase):
    """Plain counts."""

    @given(st.lists(st.tuples(st.text(max_size=3))), st.integers(1, 5))
    def test_nothing_is_lost(self, keys: list[tuple[str]], most: int) -> None:
        """Every one is counted once, whatever the limit."""
        tally = Tally(most=most)
        for key in keys:
            tally.add(key)
        counts = dict(tally.items())
        self.assertEqual(sum(counts.values()), len(keys))
        self.assertLessEqual(len(counts), most + 1)

    @given(st.lists(st.floats(-1, 20)))
    def test_histogram(self, times: list[float]) -> None:
        """Each bucket has those that took at most as long as its bound; a clock set back is no negative time."""
        durations = Durations(BOUNDS)
        for seconds in times:
            durations.add("x", seconds)
        for _, buckets, total in durations.items():
            self.assertAlmostEqual(total, sum(max(0.0, seconds) for seconds in times))
            for bound, count in buckets:
                self.assertEqual(count, sum(max(0.0, seconds) <= float(bound) for seconds in times))


class GaugeTests(SynchronousTestCase):
    """What is looked up at a scrape."""

    def test_catalog(self) -> None:
        """State, time of the last good poll, size, polls and failures by why are shown."""
        gauges = Gauges(Counted(Standing("failing", 12, 1000.0, 2, "timeout", 40, {"timeout": 2, "status": 0})))
        self.assertEqual(value(gauges, "sdr_catalog_state", state="failing"), 1)
        self.assertEqual(value(gauges, "sdr_catalog_state", state="loaded"), 0)
        self.assertEqual(value(gauges, "sdr_catalog_last_success_timestamp_seconds"), 1000)
        self.assertEqual(value(gauges, "sdr_catalog_repositories"), 12)
        self.assertEqual(value(gauges, "sdr_catalog_polls_total"), 40)
        self.assertEqual(value(gauges, "sdr_catalog_poll_failures_total", reason="timeout"), 2)

    def test_never_polled(self) -> None:
        """Without a good poll there is no time of one, rather than 1970."""
        gauges = Gauges(Counted(Standing("starting", 0)))
        self.assertNotIn("sdr_catalog_last_success_timestamp_seconds", scraped(gauges))

    def test_connections_and_certificates(self) -> None:
        """Open connections, their limit, and each certificate's end are shown."""
        _, gauges = busy()
        self.assertEqual(value(gauges, "sdr_connections_open"), 7)
        self.assertEqual(value(gauges, "sdr_connections_idle"), 3)
        self.assertEqual(value(gauges, "sdr_connections_max"), 4096)
        self.assertEqual(value(gauges, "sdr_certificate_expiry_timestamp_seconds", file="/etc/sdr/a.pem"), 2e9)

    def test_what_there_is(self) -> None:
        """The endpoint's own catalog, connections and certificates can be asked, and failures of its TLS counted."""
        clock, limits = Clock(), Limits()
        watch = CatalogWatch(direct(FakeStore()).catalog, clock)
        certificate = Certificate("/a.pem", ("a.example",), 0.0, 5.0, b"", b"")
        gauges = Gauges(watch, Connections(limits, clock), limits.connections, lambda: (certificate,))
        self.assertEqual(value(gauges, "sdr_connections_open"), 0)
        self.assertEqual(value(gauges, "sdr_certificate_expiry_timestamp_seconds", file="/a.pem"), 5)
        metrics = Metrics(handshakes=[outcome for outcome in Outcome if outcome is not Outcome.DONE])
        metrics.handshake_failed(Outcome.PLAIN_HTTP)
        self.assertEqual(value(metrics, "sdr_tls_handshake_failures_total", reason="plain_http"), 1)

    def test_build(self) -> None:
        """The versions of sdr, Python and Twisted are labels."""
        self.assertEqual(value(Gauges(Counted()), "sdr_build_info", **build()), 1)
        self.assertEqual(set(build()), {"version", "python", "twisted"})


class ExpositionTests(SynchronousTestCase):
    """The text."""

    def test_process(self) -> None:
        """What Linux knows about the process is there."""
        found = scraped(registry_of(*busy()))
        self.assertLessEqual({"process_open_fds", "process_resident_memory_bytes"}, set(found))

    def test_own_registry(self) -> None:
        """Two endpoints in one process do not get in each other's way, and Prometheus' global registry is not used."""
        first, second = registry_of(*busy()), registry_of(*busy())
        self.assertEqual(value(first, "sdr_lookups_total", result="found"), 1)
        self.assertEqual(value(second, "sdr_lookups_total", result="found"), 1)
        self.assertNotIn("python_info", scraped(first))

    def test_open_metrics(self) -> None:
        """Prometheus gets OpenMetrics if it asks for that, and a person plain text."""
        media_type, body = exposition(busy()[0], "application/openmetrics-text;version=1.0.0")
        self.assertTrue(media_type.startswith("application/openmetrics-text; version=1.0.0"))
        self.assertTrue(body.endswith(b"# EOF\n"))
        self.assertTrue(exposition(busy()[0])[0].startswith("text/plain"))

    def test_names(self) -> None:
        """Names and help follow Prometheus' conventions: our prefix, units, and _total for what is counted."""
        for collector in busy():
            for family in collector.collect():
                self.assertRegex(family.name, r"^sdr(_[a-z0-9]+)+$")
                self.assertTrue(family.documentation.endswith("."))
                self.assertEqual({sample.name for sample in family.samples} - {*_names(family)}, set())

    def test_several_processes(self) -> None:
        """Whatever collects can be exposed, such as the sum of what several processes have counted."""

        class Both(Collector):
            def collect(self) -> Iterator[Metric]:
                yield from busy()[0].collect()

        self.assertIn(b"sdr_requests_total{", exposition(Both())[1])

    def test_no_thread(self) -> None:
        """Counting and exposing starts no thread, and does not install a reactor."""
        code = (
            "import sys, threading; from tests.endpoint.admin.samples import busy, scraped; [*map(scraped, busy())];"
            "assert threading.active_count() == 1; assert 'twisted.internet.reactor' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def _names(family: Metric) -> set[str]:
    kinds = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    return {family.name + suffix for suffix in kinds[family.type]}


class PackagedTests(SynchronousTestCase):
    """The dashboard and the alerts that are shipped."""

    def test_names_exist(self) -> None:
        """Every metric that they name is one that an endpoint exposes."""
        exposed = {*scraped(registry_of(*busy())), "up"}
        for name in ("alerts.yml", "grafana-dashboard.json"):
            text = (ROOT / "packaging" / name).read_text()
            named = set(re.findall(r"\b((?:sdr|process)_[a-z0-9_]+)\b", text))
            self.assertTrue(named, name)
            self.assertEqual(named - exposed, set(), name)
