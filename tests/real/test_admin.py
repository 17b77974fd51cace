"""The admin listener of a running endpoint: health, readiness, hosts, and metrics as Prometheus reads them."""

import json
import re
import shutil
import signal
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from tests.real.certificates import certificates
from tests.real.edge import BigTree, Watched, listens
from tests.real.faulty import Fault, Faulty
from tests.real.programs import ROOT, fetch, folder, required, until
from tests.real.pulling import SINGLE, published
from tests.real.servers import caching_nginx, directory_nginx
from tests.real.test_tls_pull import Secure

#: What others than the endpoint count: Prometheus itself, and the process as prometheus-client sees it.
_OTHERS = re.compile(r"up|process_\w+")


class HealthTests(SynchronousTestCase):
    """Whether it lives, and whether it should be sent clients."""

    def test_ready(self) -> None:
        """It is ready with a catalog, and knowingly without one; while it drains it lives on, and is not."""
        big = BigTree()
        for tree, state in ((published(), "fresh"), (big.folder, "absent")):
            endpoint = Watched(f"--cdn={tree}").start()
            self.addCleanup(endpoint.kill)
            until(lambda endpoint=endpoint: endpoint.admin("readyz").status == 200, "ready")  # type: ignore[misc]
            ready = endpoint.admin("readyz").json()
            self.assertEqual((ready["serving"], ready["catalog"], ready["ready"]), ("listening", state, True))
            self.assertLess(ready["age_seconds"], 30)
        client = big.begin(endpoint.port)
        self.addCleanup(client.socket.close)
        endpoint.send(signal.SIGTERM)
        until(lambda: endpoint.admin("readyz").status == 503, "not ready")
        self.assertEqual(endpoint.admin("readyz").json()["serving"], "draining")
        self.assertEqual(endpoint.admin("livez").body, b"ok\n")
        self.assertEqual(len(big.finish(client)), len(big.content))
        self.assertEqual(endpoint.wait(10), 0)

    def test_store_goes_away(self) -> None:
        """With the store gone the catalog is stale and it stays ready, until `--ready-max-age` has passed."""
        tree = folder()
        shutil.copytree(published(), tree, dirs_exist_ok=True)
        nginx = directory_nginx(tree)
        with Faulty(nginx.url) as store, nginx:
            endpoint = Watched(f"--cdn={tree}", f"--store={store.url}", "--poll=0.3", "--ready-max-age=5").start()
            self.addCleanup(endpoint.stop)
            until(lambda: endpoint.admin("readyz").json()["catalog"] == "fresh", "fresh")
            store.faults = [Fault(500)] * 10_000
            until(lambda: endpoint.admin("readyz").json()["catalog"] == "stale", "stale")
            stale = endpoint.admin("readyz")
            self.assertEqual((stale.status, stale.json()["ready"]), (200, True))
            self.assertEqual(stale.json()["trouble"], "status")
            until(lambda: endpoint.admin("readyz").status == 503, "too old")
            self.assertEqual(endpoint.admin("readyz").json()["catalog"], "too old")
            # It goes on answering from what it knows.
            self.assertEqual(fetch(f"{endpoint.url}/v2/").status, 200)
            failed = [name for name, value in endpoint.metrics().items() if "poll_failures_total" in name and value]
            self.assertEqual(len(failed), 1, failed)
            store.faults = []
            until(lambda: endpoint.admin("readyz").json()["catalog"] == "fresh", "fresh again", seconds=40)


class MetricsTests(SynchronousTestCase):
    """What is measured."""

    def busy(self) -> Watched:
        """Start an endpoint with all that can be measured, and give it something to measure."""
        made = certificates()
        pair = (f"--tls-cert={made.certificate}", f"--tls-key={made.key}")
        endpoint = Secure(*pair, f"--state-dir={folder()}").start()
        self.addCleanup(endpoint.stop)
        curl = [required("curl", "curl"), "-sSk", "-o", "/dev/null", "--noproxy", "*"]
        for path in (
            "/v2/",
            f"/v2/{SINGLE}/manifests/1.0",
            f"/v2/{SINGLE}/manifests/2.0",
            "/v2/no/such/tags/list",
            "/",
        ):
            subprocess.run([*curl, f"{endpoint.url}{path}"], check=True)
        subprocess.run([*curl, f"http://{endpoint.host}/"], check=True)
        return endpoint

    def test_promtool(self) -> None:
        """Prometheus' tool has nothing to say about the metrics of a running endpoint."""
        text = self.busy().admin("metrics").body
        done = subprocess.run([required("promtool", "prometheus"), "check", "metrics"], input=text, capture_output=True)
        said = done.stdout.decode() + done.stderr.decode()
        self.assertEqual([line for line in said.splitlines() if "sdr_" in line or "error" in line], [], said)

    def test_open_metrics(self) -> None:
        """Prometheus, which asks for OpenMetrics, gets that."""
        endpoint = self.busy()
        wanted = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5"
        got = fetch(f"http://127.0.0.1:{endpoint.admin_port}/metrics", Accept=wanted)
        self.assertTrue(str(got.headers["Content-Type"]).startswith("application/openmetrics-text"))
        self.assertTrue(got.body.endswith(b"# EOF\n"))

    def test_counted(self) -> None:
        """Requests, looks, handshakes, connections and certificates are counted for what they were."""
        metrics = self.busy().metrics()
        self.assertEqual(metrics['sdr_requests_total{code="307",method="GET",route="manifest"}'], 1)
        self.assertEqual(metrics['sdr_requests_total{code="404",method="GET",route="manifest"}'], 1)
        self.assertEqual(metrics['sdr_redirects_total{cdn="own"}'], 1)
        self.assertEqual(metrics['sdr_tls_handshakes_total{version="TLSv1.3"}'], 5)
        self.assertEqual(metrics['sdr_tls_handshake_failures_total{reason="plain_http"}'], 1)
        self.assertEqual(metrics['sdr_catalog_state{state="loaded"}'], 1)
        self.assertEqual(metrics["sdr_catalog_repositories"], 2)
        self.assertGreaterEqual(metrics['sdr_lookups_total{result="absent"}'], 1)

    def test_names_in_use(self) -> None:
        """Every metric that the alert rules and the dashboard ask for is one that a running endpoint has."""
        text = self.busy().admin("metrics").body.decode()
        families = set(re.findall(r"(?m)^# TYPE (\S+) ", text))
        there = families | {f"{name}_{part}" for name in families for part in ("bucket", "count", "sum")}
        packaging = ROOT / "packaging"
        rules = re.findall(r"expr: (?:>-\n)?((?:.*\n)(?: {10}.*\n)*)", (packaging / "alerts.yml").read_text())
        dashboard = re.findall(r'"expr": ("(?:[^"\\]|\\.)*")', (packaging / "grafana-dashboard.json").read_text())
        asked = set(re.findall(r"\b(?:sdr|process)_\w+", "\n".join([*rules, *map(json.loads, dashboard)])))
        self.assertGreater(len(asked), 15)
        self.assertLessEqual(asked, there)


class HostsTests(SynchronousTestCase):
    """Whom a client's firewall must allow."""

    def test_hosts(self) -> None:
        """A pull asks the hosts that `/hosts` names, and no others."""
        with directory_nginx(published()) as origin, caching_nginx(origin.url) as cdn:
            endpoint = Watched(
                f"--cdn={cdn.url}", f"--store={published()}", "--public-url=https://registry.example.com"
            ).start()
            self.addCleanup(endpoint.stop)
            hosts = endpoint.admin("hosts").body.decode().split()
            self.assertEqual(hosts, ["registry.example.com", cdn.url.removeprefix("http://")])
            location = str(fetch(f"{endpoint.url}/v2/{SINGLE}/manifests/1.0").headers["Location"])
            self.assertTrue(location.startswith(f"http://{hosts[1]}/"))

    def test_for_this_machine(self) -> None:
        """The clients' port has none of these pages, and the admin listener has nothing else."""
        endpoint = Watched(f"--cdn={published()}").start()
        self.addCleanup(endpoint.stop)
        for page in ("livez", "readyz", "metrics", "hosts"):
            self.assertEqual(endpoint.admin(page).status, 200)
            self.assertEqual(fetch(f"{endpoint.url}/{page}").status, 404)
        self.assertEqual(endpoint.admin("v2/").status, 404)
        self.assertTrue(listens(endpoint.admin_port))
