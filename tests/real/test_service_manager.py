"""What a service manager does with an endpoint: passes sockets, listens, and ends it; without systemd as PID 1."""

import contextlib
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence

from twisted.trial.unittest import SynchronousTestCase

from tests.real.programs import ROOT, Process, answers, environment, fetch, folder, free_port, required, until

#: An endpoint of nothing but the pieces that are tested here. `/slow` answers once the file is there.
SERVER = """
import os, signal, sys
from functools import partial
from pathlib import Path
from twisted.application.service import MultiService
from twisted.internet import reactor, task
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.web import resource, server, static
from sdr.endpoint.connections.channel import Channel
from sdr.endpoint.connections.connections import Connections
from sdr.endpoint.connections.addresses import read_trusted
from sdr.endpoint.connections.gate import Gate
from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.life.activation import PassedEndpoint, chosen, passed_descriptors, passed_sockets
from sdr.endpoint.life.draining import Draining
from sdr.endpoint.life.notify import sender, watchdog_seconds
from sdr.endpoint.life.reloading import Reloading
from sdr.endpoint.life.signals import SignalService
from sdr.endpoint.life.supervision import SupervisionService
from sdr.endpoint.listening import ListeningService

globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
listen, wait_for, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])

class Slow(resource.Resource):
    isLeaf = True
    def render_GET(self, request):
        wait_for.with_suffix(".asked").touch()
        def look():
            if wait_for.exists():
                waiting.stop()
                request.write(b"slow answer")
                request.finish()
        waiting = task.LoopingCall(look)
        request.notifyFinish().addErrback(lambda _: waiting.running and waiting.stop())
        waiting.start(0.02)
        return server.NOT_DONE_YET

root, v2 = resource.Resource(), resource.Resource()
v2.putChild(b"", static.Data(b"{}", "application/json"))
root.putChild(b"v2", v2)
root.putChild(b"slow", Slow())
connections = Connections(Limits(), reactor)
trusted = read_trusted([])
site = server.Site(root, reactor=reactor)
site.log = lambda request: None
site.protocol = partial(Channel, connections)
if listen.startswith("systemd:"):
    passed = chosen(listen, passed_sockets(passed_descriptors(reactor), os.environ))
    addresses = [(PassedEndpoint(reactor, each), each.address) for each in passed]
else:
    from twisted.internet.endpoints import serverFromString
    addresses = [(serverFromString(reactor, listen), listen)]
services = MultiService()
listening = ListeningService(Gate(site, connections, reactor, trusted), addresses, "greeting")
status = lambda: f"connections: {connections.open()}"
supervision = SupervisionService(reactor, sender(os.environ), watchdog_seconds(os.environ), status)
draining = Draining(reactor, [listening], connections, lambda: seconds,
    lambda: reactor.running and reactor.stop(), lambda count: supervision.stopping(f"draining {count} connections"))
wait = lambda: task.deferLater(reactor, 0.1, lambda: None)
reloading = Reloading([wait], supervision.reloading, supervision.reloaded)
SignalService(reactor, {signal.SIGTERM: draining.terminate, signal.SIGINT: draining.terminate,
    signal.SIGHUP: reloading.reload}).setServiceParent(services)
listening.setServiceParent(services)
supervision.setServiceParent(services)
services.privilegedStartService()
services.startService()
reactor.addSystemEventTrigger("before", "shutdown", services.stopService)
reactor.run()
"""

#: Takes descriptors from whoever listens on a socket, and becomes a program that was passed them as systemd does it.
PASS_ON = """
import os, socket, sys
with socket.socket(socket.AF_UNIX) as plug:
    plug.connect(sys.argv[1])
    _, got, _, _ = socket.recv_fds(plug, 1, 9)
for index, descriptor in enumerate(sorted(got)):
    os.dup2(descriptor, 3 + index)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(got)))
os.execv(sys.argv[2], sys.argv[2:])
"""


class Server(Process):
    """The pieces as a program."""

    def __init__(self, listen: str, url: str, *, seconds: float = 10.0, before: Sequence[str] = (), **env: str) -> None:
        self.url = url
        self.answer_now = folder() / "answer"
        arguments = [sys.executable, "-c", SERVER, listen, str(self.answer_now), str(seconds)]
        super().__init__([*before, *arguments], env=environment(**env))

    def ready(self) -> bool:
        """Tell whether it answers."""
        return answers(f"{self.url}/v2/")


class PassedServer(Server):
    """The pieces, started with sockets that are there already."""

    def __init__(self, listen: str, sockets: Sequence[socket.socket], names: Sequence[str], url: str) -> None:
        self._sockets = sockets
        path = folder() / "pass"
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(path))
        self._door.listen()
        self._door.setblocking(False)
        super().__init__(listen, url, before=[sys.executable, "-c", PASS_ON, str(path)], LISTEN_FDNAMES=":".join(names))

    def ready(self) -> bool:
        """Pass the sockets once they are asked for; tell whether it answers."""
        try:
            asking, _ = self._door.accept()
        except BlockingIOError:
            return super().ready() if self._passed else False
        with asking:
            socket.send_fds(asking, [b"x"], [each.fileno() for each in self._sockets])
        self._passed = True
        return False

    _passed = False


class Client:
    """One connection, on which requests are written by hand."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)

    def send(self, path: str) -> None:
        """Ask, and do not wait."""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def rest(self) -> bytes:
        """Read until the other side closes."""
        parts = []
        while part := self.socket.recv(65536):
            parts.append(part)
        return b"".join(parts)


@contextlib.contextmanager
def manager(path: str) -> Iterator[socket.socket]:
    """Listen to what a service tells its manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as plug:
        plug.bind(path)
        plug.settimeout(10)
        yield plug


class NotifyTests(SynchronousTestCase):
    """What systemd hears."""

    def setUp(self) -> None:
        """Choose a port."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.listen = f"tcp:{self.port}:interface=127.0.0.1"

    def test_a_life(self) -> None:
        """Ready once it listens; a reload with its beginning and its end; stopping; and then it ends with 0."""
        path = folder() / "notify"
        for name, bound in ((str(path), str(path)), (f"@{path}", f"\0{path}")):
            with manager(bound) as heard, Server(self.listen, self.url, NOTIFY_SOCKET=name) as server:
                self.assertEqual(heard.recv(999), b"READY=1\nSTATUS=connections: 0")
                before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
                server.send(signal.SIGHUP)
                began = heard.recv(999).decode().splitlines()
                self.assertEqual(began[0], "RELOADING=1")
                self.assertGreaterEqual(int(began[1].removeprefix("MONOTONIC_USEC=")), before)
                self.assertTrue(heard.recv(999).startswith(b"READY=1\n"))
                self.assertEqual(server.stop(), 0, server.log())
                self.assertTrue(heard.recv(999).startswith(b"STOPPING=1\nSTATUS=draining "))

    def test_watchdog(self) -> None:
        """A sign of life comes twice as often as the manager wants it, and none while the process stands still."""
        with (
            manager(f"\0sdr-watchdog-{self.port}") as heard,
            Server(
                self.listen, self.url, NOTIFY_SOCKET=f"@sdr-watchdog-{self.port}", WATCHDOG_USEC="1000000"
            ) as server,
        ):
            while not heard.recv(999).startswith(b"WATCHDOG=1\n"):
                pass
            began = time.monotonic()
            self.assertTrue(heard.recv(999).startswith(b"WATCHDOG=1\n"))
            self.assertLess(time.monotonic() - began, 1.0)
            server.send(signal.SIGSTOP)
            with contextlib.suppress(TimeoutError):
                heard.settimeout(0.7)
                heard.recv(999)
                self.assertRaises(TimeoutError, heard.recv, 999)
            server.send(signal.SIGCONT)

    def test_nobody_listens(self) -> None:
        """A manager that has gone costs nothing."""
        with Server(self.listen, self.url, NOTIFY_SOCKET=str(folder() / "gone")) as server:
            self.assertEqual(server.stop(), 0)
            self.assertNotIn("Traceback", server.log())


class ActivationTests(SynchronousTestCase):
    """Sockets that were there before the endpoint."""

    def open(self, *, path: str | None = None) -> socket.socket:
        """Listen in the manager's place."""
        plug = socket.socket(socket.AF_INET if path is None else socket.AF_UNIX)
        self.addCleanup(plug.close)
        plug.bind(("127.0.0.1", 0) if path is None else path)
        plug.listen()
        return plug

    def test_all_of_them(self) -> None:
        """Each socket that was passed is used, also where two have the same name."""
        first, second = self.open(), self.open()
        urls = [f"http://127.0.0.1:{each.getsockname()[1]}/v2/" for each in (first, second)]
        for listen in ("systemd:", "systemd:name=http"):
            with PassedServer(listen, [first, second], ["http", "http"], urls[0].removesuffix("/v2/")):
                self.assertEqual([fetch(url).status for url in urls], [200, 200])

    def test_by_name(self) -> None:
        """A name chooses among them."""
        http, admin = self.open(), self.open()
        url = f"http://127.0.0.1:{http.getsockname()[1]}"
        with PassedServer("systemd:name=http", [http, admin], ["http", "admin"], url) as server:
            self.assertIn(f"listening on {url.removeprefix('http://')};", server.log())

    def test_restart_loses_nothing(self) -> None:
        """Who connects between two endpoints is answered by the second: the socket is there all the time."""
        plug = self.open()
        port = plug.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        with PassedServer("systemd:", [plug], ["http"], url):
            pass
        between = Client(port)
        between.send("/v2/")
        with PassedServer("systemd:", [plug], ["http"], url):
            self.assertTrue(between.socket.recv(999).startswith(b"HTTP/1.1 200 "))

    def test_two_at_once(self) -> None:
        """Two endpoints share a socket: the new one is started before the old one is stopped."""
        plug = self.open()
        url = f"http://127.0.0.1:{plug.getsockname()[1]}"
        old = PassedServer("systemd:", [plug], ["http"], url).start()
        self.addCleanup(old.kill)
        with PassedServer("systemd:", [plug], ["http"], url):
            self.assertEqual(old.stop(), 0)
            self.assertEqual([fetch(f"{url}/v2/").status for _ in range(20)], [200] * 20)

    def test_file_stays(self) -> None:
        """The file of a UNIX socket is the manager's, and is there after the endpoint has ended."""
        path = folder() / "socket"
        plug, http = self.open(path=str(path)), self.open()
        url = f"http://127.0.0.1:{http.getsockname()[1]}"
        passed = PassedServer("systemd:", [http, plug], ["http", "http"], url)
        with passed, socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertTrue(client.recv(999).startswith(b"HTTP/1.1 200 "))
        self.assertTrue(path.exists())

    def test_by_systemds_own_tool(self) -> None:
        """The tool of systemd itself passes a socket, and the connection that woke it is answered."""
        program = required("systemd-socket-activate", "systemd")
        port = free_port()
        passing = [program, "-l", f"127.0.0.1:{port}", "--fdname=http", "-E", f"PYTHONPATH={ROOT}"]
        with Server("systemd:name=http", f"http://127.0.0.1:{port}", before=passing) as server:
            self.assertEqual(server.stop(), 0, server.log())


class DrainTests(SynchronousTestCase):
    """SIGTERM with clients in the middle of something."""

    def start(self, seconds: float = 10.0) -> tuple[Server, Client, Client]:
        """Start it, with one client that waits for an answer and one that waits for nothing."""
        self.port = free_port()
        server = Server(
            f"tcp:{self.port}:interface=127.0.0.1", f"http://127.0.0.1:{self.port}", seconds=seconds
        ).start()
        self.addCleanup(server.kill)
        idle, busy = Client(self.port), Client(self.port)
        self.addCleanup(idle.socket.close)
        self.addCleanup(busy.socket.close)
        idle.send("/v2/")
        self.assertTrue(idle.socket.recv(999).startswith(b"HTTP/1.1 200 "))
        busy.send("/slow")
        until(server.answer_now.with_suffix(".asked").exists, "the request is being answered")
        return server, idle, busy

    def test_answers_finish(self) -> None:
        """Nobody new is let in, who waits is closed at once, the answer under way is given; then it ends with 0."""
        server, idle, busy = self.start()
        server.send(signal.SIGTERM)
        self.assertEqual(idle.rest(), b"")
        self.assertRaises(ConnectionRefusedError, Client, self.port)
        server.answer_now.touch()
        answer = busy.rest()
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
        self.assertIn(b"\r\nConnection: close\r\n", answer)
        self.assertIn(b"slow answer", answer)
        self.assertEqual(server.wait(10), 0, server.log())
        self.assertNotIn("Traceback", server.log())

    def test_bound(self) -> None:
        """An answer that does not come in time is cut, and it ends with 0."""
        server, _, busy = self.start(seconds=1.0)
        began = time.monotonic()
        server.send(signal.SIGTERM)
        with contextlib.suppress(ConnectionResetError):
            self.assertNotIn(b"slow answer", busy.rest())
        self.assertEqual(server.wait(10), 0, server.log())
        self.assertTrue(0.9 < time.monotonic() - began < 5)

    def test_second_signal(self) -> None:
        """A second signal of either kind ends it at once, with 0."""
        for second in (signal.SIGTERM, signal.SIGINT):
            server, idle, _ = self.start(seconds=60.0)
            server.send(signal.SIGTERM)
            self.assertEqual(idle.rest(), b"")
            server.send(second)
            self.assertEqual(server.wait(5), 0, server.log())
            self.assertIn("ending at once; connections cut: 1", server.log())
