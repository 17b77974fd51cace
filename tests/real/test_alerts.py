"""Tests of the alert rules and the dashboard in packaging/, with Prometheus' own tool."""

import json
import re
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.admin.exposition import exposition, registry_of
from tests.endpoint.admin.samples import busy
from tests.real.programs import ROOT, folder, required, run

RULES = ROOT / "packaging" / "alerts.yml"
DASHBOARD = ROOT / "packaging" / "grafana-dashboard.json"
CASES = Path(__file__).with_name("alerts.yml")


class AlertTests(SynchronousTestCase):
    """The rules."""

    def setUp(self) -> None:
        """Find promtool."""
        self.promtool = required("promtool", "prometheus")

    def test_rules(self) -> None:
        """Prometheus takes the rules."""
        run([self.promtool, "check", "rules", "--lint=all", "--lint-fatal", str(RULES)])

    def test_alerts(self) -> None:
        """Where all is well no alert is raised, and where everything is wrong each of them is, once."""
        place = folder()
        (place / "alerts-under-test.yml").write_text(RULES.read_text())
        (place / "cases.yml").write_text(CASES.read_text())
        run([self.promtool, "test", "rules", str(place / "cases.yml")])

    def test_every_alert_is_tested(self) -> None:
        """No alert is left out of those cases."""
        for name in re.findall(r"alert: (\w+)", RULES.read_text()):
            self.assertIn(f'alertname="{name}"', CASES.read_text())

    def test_metrics(self) -> None:
        """The metrics that the rules are about keep to Prometheus' conventions, as its tool knows them."""
        text = exposition(registry_of(*busy()))[1]
        done = subprocess.run([self.promtool, "check", "metrics"], input=text, capture_output=True)
        said = done.stdout.decode() + done.stderr.decode()
        # prometheus-client's own process metrics are what they are in every Python program.
        self.assertEqual([line for line in said.splitlines() if "sdr_" in line or "error" in line], [], said)

    def test_dashboard(self) -> None:
        """Prometheus can read every question that the dashboard asks."""
        rules = []
        for number, expression in enumerate(_expressions()):
            plain = expression.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*")
            self.assertNotIn("$", plain)
            rules.append({"record": f"dashboard:expression:{number}", "expr": plain})
        self.assertGreater(len(rules), 20)
        # JSON is YAML.
        file = folder() / "dashboard.yml"
        file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
        run([self.promtool, "check", "rules", str(file)])


class DashboardTests(SynchronousTestCase):
    """The dashboard, as far as can be seen without Grafana."""

    def test_panels(self) -> None:
        """Each panel has an id of its own, a title and a place to itself, and asks the chosen Prometheus."""
        panels = json.loads(DASHBOARD.read_text())["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken: set[tuple[int, int]] = set()
        for panel in panels:
            at = panel["gridPos"]
            squares = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            self.assertEqual(squares & taken, set(), panel["title"])
            self.assertLessEqual(at["x"] + at["w"], 24)
            taken |= squares
            if panel["type"] != "row":
                self.assertTrue(panel["title"] and panel["description"] and panel["targets"])
                self.assertEqual(panel["datasource"]["uid"], "${datasource}")


def _expressions() -> list[str]:
    board = json.loads(DASHBOARD.read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    return [*asked, *(each["expr"] for each in board["annotations"]["list"])]
