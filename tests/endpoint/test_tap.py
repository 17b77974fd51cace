"""Tests of `twistd sdr`: what is put together from the options."""

import errno
import io
import os
import signal
import sys
from pathlib import Path
from typing import Any

from twisted.application.service import IServiceMaker
from twisted.logger import capturedLogs
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.v1_store import REQUEST_SECONDS
from sdr.endpoint.tap import makeService
from tests.catalog.v1_stores import BASE, TOP, old_store
from tests.endpoint.trees import write, write_tree
from tests.endpoint.whole import CDN, SIGNALS, Reactor, WholeCase, options


class PluginTests(SynchronousTestCase):
    """What Twisted finds."""

    def test_found(self) -> None:
        """Twistd and twist find `sdr`, once."""
        found: list[Any] = [plugin for plugin in getPlugins(IServiceMaker) if getattr(plugin, "tapname", "") == "sdr"]
        self.assertEqual(len(found), 1)
        self.assertEqual(found[0].module, "sdr.endpoint.tap")


class ServiceTests(WholeCase):
    """The endpoint, put together."""

    def raw(self, path: str) -> bytes:
        """Ask the endpoint, and return the answer as it came."""
        return self.send(f"GET {path} HTTP/1.1\r\nHost: localhost:5000\r\nConnection: close\r\n\r\n")

    def test_whole(self) -> None:
        """An endpoint on a directory answers, redirects to itself, serves the file, and stops clean."""
        service = self.start()
        self.assertEqual([(port, interface) for port, _, _, interface in self.reactor.tcpServers], [(5000, "::")])
        self.assertIn(b"HTTP/1.1 200 ", self.raw("/v2/"))
        redirected = self.raw("/v2/acme/app/manifests/1.0")
        location = next(line for line in redirected.split(b"\r\n") if line.startswith(b"Location: "))
        base = b"Location: http://localhost:5000"
        self.assertTrue(location.startswith(base + b"/tree/v2/acme/app/manifests/sha256:"), location)
        self.assertIn(b"HTTP/1.1 200 ", self.raw(location.removeprefix(base).decode()))
        self.successResultOf(service.stopService())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_old_store(self) -> None:
        """An old store in a directory is offered, and its layers are served, in one hop and with ranges."""
        old = Path(self.mktemp())
        for key, data in old_store().items():
            write(old, key, data)
        self.start("--v1-store", str(old), "--public-url", "https://r.example.com:444/x")
        self.assertIn(b"X-Docker-Endpoints: r.example.com:444\r\n", self.raw("/v1/repositories/demo/hello/images"))
        self.assertIn(b'{"latest": "' + TOP.encode() + b'"}', self.raw("/v1/repositories/demo/hello/tags"))
        self.assertIn(b"X-Docker-Size: 5\r\n", self.raw(f"/v1/images/{TOP}/json"))
        layer = f"/old/images/{TOP}/layer"
        redirected = self.raw(f"/v1/images/{TOP}/layer")
        self.assertIn(f"Location: https://r.example.com:444/x{layer}\r\n".encode(), redirected)
        self.assertIn(b"\r\n\r\nlayer", self.raw(layer))
        self.assertIn(b"HTTP/1.1 404 ", self.raw("/old/repositories/demo/hello/tag_latest"))

    def test_old_store_elsewhere(self) -> None:
        """An old store at a URL has connections of its own, and layers are redirected to it or its CDN."""
        for more, base in (
            ((), "http://192.0.2.7/registry"),
            (("--v1-cdn", "https://old.example"), "https://old.example"),
        ):
            self.reactor = Reactor()
            service = self.start("--v1-store", "http://192.0.2.7/registry", *more)
            self.raw(f"/v1/images/{TOP}/layer")
            self.assertEqual(len(self.reactor.tcpClients), 4, "json, layer, ancestry and _inprogress, at once")
            # Nothing answers there.
            self.reactor.advance(REQUEST_SECONDS)
            self.assertIn(f"Location: {base}/images/{TOP}/layer".encode(), self.raw(f"/v1/images/{TOP}/layer"))
            self.raw(f"/v1/images/{BASE}/json")
            self.assertEqual(len(self.reactor.tcpClients), 8)
            stopping = service.stopService()
            self.successResultOf(stopping)
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_never_started(self) -> None:
        """An endpoint that was never started can be stopped, and changes no signal."""
        before = [signal.getsignal(number) for number in SIGNALS]
        service: Any = makeService(options("--cdn", CDN, "--store", str(self.tree), "--admin", "9090"), self.reactor)
        self.successResultOf(service.stopService())
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual([signal.getsignal(number) for number in SIGNALS], before)

    def test_started_again(self) -> None:
        """An endpoint that was stopped can be started again."""
        service = self.start()
        self.successResultOf(service.stopService())
        self.reactor.tcpServers.clear()
        service.startService()
        self.assertIn(b"HTTP/1.1 200 ", self.raw("/v2/"))

    def test_search(self) -> None:
        """Docker search finds what is published, with --browse."""
        self.start("--browse")
        self.assertIn(b'"name": "acme/app"', self.raw("/v1/search?q=app&n=25"))

    def test_says_where_it_listens(self) -> None:
        """One line at the start says where it listens, the CDN and the store."""
        with capturedLogs() as captured:
            self.start("--listen", "tcp:5001:interface=127.0.0.1")
        greetings = [str(event["greeting"]) for event in captured if "greeting" in event]
        self.assertEqual(len(greetings), 1)
        self.assertIn("5001", greetings[0])
        self.assertIn(str(self.tree), greetings[0])

    def test_says_that_the_store_is_the_cdn(self) -> None:
        """Without --store the start says what that costs."""
        with capturedLogs() as captured:
            service: Any = makeService(options("--cdn", CDN), self.reactor)
            service.startService()
        self.assertIn("give --store", str([event.get("greeting") for event in captured]))
        service.stopService()

    def test_busy_port(self) -> None:
        """A port in use ends the program with one line that says what to do."""
        self.reactor.busy = errno.EADDRINUSE
        said = io.StringIO()
        self.patch(sys, "__stderr__", said)
        error = self.assertRaises(SystemExit, self.start)
        self.assertEqual(error.code, 1)
        self.assertRegex(said.getvalue(), r"\Asdr: cannot listen on port 5000: .*in use; .*--listen\n\Z")

    def test_busy_port_of_a_daemon(self) -> None:
        """The shell that starts a daemon hears why it did not start: twistd tells it of exceptions only."""
        self.reactor.busy = errno.EADDRINUSE
        self.patch(sys, "__stderr__", io.StringIO())
        with self.assertRaisesRegex(Exception, "cannot listen on port 5000"):
            self.start()

    def test_connections_to_the_store_are_not_logged(self) -> None:
        """A connection to the store costs no line of log: strangers cause them."""
        service: Any = makeService(options("--cdn", CDN, "--store", "http://192.0.2.1"), self.reactor)
        service.startService()
        with capturedLogs() as captured:
            self.reactor.tcpClients[0][2].doStart()
        self.assertEqual(captured, [])
        service.stopService()

    def test_no_ipv6(self) -> None:
        """A machine without IPv6 is listened on all the same."""
        self.reactor.busy = errno.EAFNOSUPPORT
        self.start()
        self.assertEqual([(port, interface) for port, _, _, interface in self.reactor.tcpServers], [(5000, "")])

    def test_unknown_endpoint(self) -> None:
        """A --listen that Twisted does not know ends the program with one line."""
        for description in ("nonsense:1", "tcp:x", "tcp", "ssl:443:privateKey=/no/such/file"):
            read = options("--cdn", CDN, "--listen", description)
            error = self.assertRaises(SystemExit, makeService, read, self.reactor)
            self.assertTrue(str(error.code).startswith(f"sdr: --listen {description}: "))
            self.assertNotIn("\n", str(error.code))

    def test_hang_up(self) -> None:
        """SIGHUP polls at once instead of ending the program, and is put back at the end."""
        before = signal.getsignal(signal.SIGHUP)
        service = self.start()
        write_tree(self.tree, "acme/other")
        os.kill(os.getpid(), signal.SIGHUP)
        with capturedLogs() as captured:
            self.reactor.advance(0)
        self.assertTrue(any("catalog has changed" in str(event.get("log_format")) for event in captured))
        self.successResultOf(service.stopService())
        self.assertEqual(signal.getsignal(signal.SIGHUP), before)

    def test_saved_catalog(self) -> None:
        """The catalog of the last run is there at the start of the next, with the store gone."""
        state = Path(self.mktemp())
        state.mkdir()
        arguments = ("--state-dir", str(state), "--store")
        service = self.start(*arguments, str(self.tree))
        self.assertIn(b"1.0", self.raw("/v2/acme/app/tags/list"))
        self.reactor.advance(40)
        self.successResultOf(service.stopService())
        self.reactor = Reactor()
        self.start(*arguments, "http://127.0.0.1:1/gone")
        self.assertIn(b'"tags":["1.0"]', self.raw("/v2/acme/app/tags/list"))
