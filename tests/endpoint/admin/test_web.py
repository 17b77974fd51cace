"""Tests of the admin listener's pages, over HTTP in memory."""

from collections.abc import Iterator

import treq
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from sdr.cdn.locations import parse_base
from sdr.endpoint.admin.exposition import registry_of
from sdr.endpoint.admin.hosts import NO_PUBLIC_URL, hosts
from sdr.endpoint.admin.options import AdminSettings, BadAdminOption, read_admin
from sdr.endpoint.admin.readiness import readiness
from sdr.endpoint.admin.standing import Standing
from sdr.endpoint.admin.web import admin_root
from tests.endpoint.admin.samples import STANDING, busy


class PageTests(SynchronousTestCase):
    """The pages."""

    def setUp(self) -> None:
        """Have an endpoint that is ready."""
        self.standing = STANDING
        self.listening = True
        self.hosts = ["registry.example.com", "cdn.example.com"]
        self.metrics: Collector = registry_of(*busy())

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body."""
        root = admin_root(
            lambda: readiness(self.standing, listening=self.listening, draining=False, now=1010.0),
            self.metrics,
            lambda: self.hosts,
        )
        agent = RequestTraversalAgent(root)
        asked = Headers({name: [text] for name, text in headers.items()})
        asking = HTTPClient(agent).request(method, f"http://127.0.0.1:9090{path}", headers=asked)
        response = self.successResultOf(asking)
        body = self.successResultOf(treq.content(response))
        agent.flush()
        found = {name.decode().lower(): values[0].decode() for name, values in response.headers.getAllRawHeaders()}
        return response.code, found, body

    def test_alive(self) -> None:
        """Who answers is alive."""
        status, headers, body = self.ask("/livez")
        self.assertEqual((status, body), (200, b"ok\n"))
        self.assertEqual(headers["cache-control"], "no-store")
        self.assertTrue(headers["content-type"].startswith("text/plain"))

    def test_ready(self) -> None:
        """Ready is 200, and not ready 503; both say why."""
        status, headers, body = self.ask("/readyz")
        self.assertEqual((status, headers["content-type"]), (200, "application/json"))
        self.assertIn(b'"catalog": "fresh", "age_seconds": 10.0', body)
        self.standing = Standing("starting", 0)
        status, _, body = self.ask("/readyz")
        self.assertEqual(status, 503)
        self.assertIn(b'"catalog": "unknown"', body)
        self.listening = False
        self.assertIn(b'"serving": "not listening"', self.ask("/readyz")[2])

    def test_metrics(self) -> None:
        """The metrics are there, in the form that is asked for."""
        status, headers, body = self.ask("/metrics?from=prometheus")
        self.assertEqual(status, 200)
        self.assertTrue(headers["content-type"].startswith("text/plain; version="))
        self.assertIn(b'sdr_requests_total{code="307",method="GET",route="manifest"} 1.0', body)
        headers = self.ask("/metrics", Accept="application/openmetrics-text;version=1.0.0")[1]
        self.assertTrue(headers["content-type"].startswith("application/openmetrics-text"))

    def test_hosts(self) -> None:
        """The hosts are one a line, as they are now."""
        self.assertEqual(self.ask("/hosts")[2], b"registry.example.com\ncdn.example.com\n")
        self.hosts[1:] = ["cdn.example.net"]
        self.assertEqual(self.ask("/hosts")[2], b"registry.example.com\ncdn.example.net\n")

    def test_head(self) -> None:
        """HEAD says how long the page is, and has none."""
        status, headers, body = self.ask("/livez", "HEAD")
        self.assertEqual((status, headers["content-length"], body), (200, "3", b""))

    def test_methods(self) -> None:
        """Nothing can be changed here."""
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            status, headers, _ = self.ask("/livez", method)
            self.assertEqual((status, headers["allow"]), (405, "GET, HEAD"))

    def test_nothing_else(self) -> None:
        """What there is not is 404; the top lists what there is."""
        for path in ("/nothing", "/livez/x", "/livez/", "//livez", "/livez/..%2f"):
            self.assertEqual(self.ask(path)[0], 404, path)
        self.assertEqual(self.ask("/")[2], b"/livez\n/readyz\n/metrics\n/hosts\n")

    def test_fault(self) -> None:
        """A page that cannot be written is 500 without a traceback; the log has it."""

        class Broken(Collector):
            def collect(self) -> Iterator[Metric]:
                raise RuntimeError("broken")

        self.metrics = Broken()
        status, _, body = self.ask("/metrics")
        self.assertEqual((status, body), (500, b"unexpected error; the endpoint's log has it\n"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class HostsTests(SynchronousTestCase):
    """What a client's firewall must let through."""

    def test_hosts(self) -> None:
        """The endpoint's own host comes first, then each CDN's once, with ports that are not the scheme's own."""
        cdns = map(
            parse_base, ("https://cdn.example.com/tree", "http://[2001:db8::1]:8080", "https://cdn.example.com/v1")
        )
        self.assertEqual(
            hosts(parse_base("https://registry.example.com"), cdns),
            ("registry.example.com", "[2001:db8::1]:8080", "cdn.example.com"),
        )

    def test_same(self) -> None:
        """A CDN on the endpoint's own host is not said twice."""
        self.assertEqual(
            hosts(parse_base("https://a.example"), [parse_base("https://a.example/files")]), ("a.example",)
        )

    def test_unknown(self) -> None:
        """An endpoint that does not know its own name says so, in a line that no firewall takes for a host."""
        self.assertEqual(hosts(None, []), (NO_PUBLIC_URL,))
        self.assertTrue(NO_PUBLIC_URL.startswith("#"))


class OptionTests(SynchronousTestCase):
    """The options."""

    def test_off(self) -> None:
        """Without --admin there is nothing."""
        self.assertIsNone(read_admin([], None))

    def test_port(self) -> None:
        """A bare port is one of this machine only; a description is taken as it is."""
        settings = read_admin(["9090", "unix:/run/sdr/admin.sock"], "600")
        listen = ("tcp:9090:interface=127.0.0.1", "unix:/run/sdr/admin.sock")
        self.assertEqual(settings, AdminSettings(listen, 600.0))

    def test_wrong(self) -> None:
        """What is wrong is named in one line, with the option."""
        for listen, age, option in (
            (["0"], None, "--admin 0:"),
            (["70000"], None, "--admin 70000:"),
            (["9090"], "soon", "--ready-max-age soon:"),
            (["9090"], "nan", "--ready-max-age nan:"),
            (["9090"], "0", "--ready-max-age 0:"),
            ([], "60", "--ready-max-age does nothing"),
        ):
            message = str(self.assertRaises(BadAdminOption, read_admin, listen, age))
            self.assertTrue(message.startswith(option), message)
            self.assertNotIn("\n", message)
