"""Tests of what is counted and logged of requests, over a site in memory."""

import json
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv6Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request
from twisted.web.server import Site

from sdr.endpoint.access import FORMS
from sdr.endpoint.access_log import AccessLog
from sdr.endpoint.accounting import Accounting
from sdr.endpoint.admin.metrics import Metrics
from tests.endpoint.admin.samples import value
from tests.endpoint.trees import DIGEST, endpoint, polled_catalog, write_tree

CDN = "cdn.example.com"


class AccountedSite(Site):
    """A site whose requests are counted and logged."""

    accounting: Accounting

    def log(self, request: Request) -> None:
        """Count and log one that has taken a fifth of a second."""
        self.accounting.answered(request, "0123456789abcdef", 100.0, 100.2)


class AccountingTests(SynchronousTestCase):
    """Requests."""

    def setUp(self) -> None:
        """Have a site over a tree."""
        folder, self.path = Path(self.mktemp()), Path(self.mktemp())
        write_tree(folder)
        clock = Clock()
        self.metrics = Metrics([CDN])
        self.log = AccessLog(str(self.path), FORMS["json"])
        self.log.open()
        self.addCleanup(self.log.close)
        self.site = AccountedSite(endpoint(polled_catalog(folder, clock)), reactor=clock)
        self.site.accounting = Accounting(self.metrics, self.log, {"/tree/": "tree"})

    def ask(self, target: str, method: str = "GET") -> None:
        """Make one request."""
        protocol: Any = self.site.buildProtocol(IPv6Address("TCP", "::1", 4))
        protocol.makeConnection(StringTransport(peerAddress=IPv6Address("TCP", "::ffff:192.0.2.7", 4)))
        protocol.dataReceived(f"{method} {target} HTTP/1.1\r\nHost: x\r\nUser-Agent: docker/27\r\n\r\n".encode())

    def lines(self) -> list[dict[str, Any]]:
        """Return the log."""
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def test_redirect(self) -> None:
        """A redirect is counted and logged with its route and the CDN that it leads to."""
        self.ask(f"/v2/a/blobs/{DIGEST}?token=hunter2")
        self.assertEqual(value(self.metrics, "sdr_requests_total", route="blob", code="307", method="GET"), 1)
        self.assertEqual(value(self.metrics, "sdr_redirects_total", cdn=CDN), 1)
        (line,) = self.lines()
        self.assertEqual((line["route"], line["code"], line["cdn"]), ("blob", 307, CDN))
        self.assertEqual((line["seconds"], line["peer"], line["request_id"]), (0.2, "192.0.2.7", "0123456789abcdef"))
        self.assertNotIn("hunter2", self.path.read_text())

    def test_others(self) -> None:
        """What is refused is counted, too, and files that are no questions have a route of their own."""
        self.ask("/v2/", "DELETE")
        self.ask("/tree/blobs/x")
        self.ask("/nothing")
        self.assertEqual(value(self.metrics, "sdr_requests_total", route="base", code="405", method="other"), 1)
        self.assertEqual([line["route"] for line in self.lines()], ["base", "tree", "other"])
        self.assertNotIn("cdn", self.lines()[0])

    def test_nobody(self) -> None:
        """Where nobody wants to know, nothing is done."""
        self.site.accounting = Accounting(None, None)
        self.ask("/v2/")
        self.assertEqual(self.lines(), [])
