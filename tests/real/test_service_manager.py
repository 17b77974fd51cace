"""What a service manager does with an endpoint: passes sockets, listens, and ends it; without systemd as PID 1."""

import contextlib
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from twisted.trial.unittest import SynchronousTestCase

from tests.real.certificates import certificates
from tests.real.edge import BigTree, Client, WaitingStore, listens
from tests.real.programs import ROOT, Failed, answers, fetch, folder, free_port, required, run, until
from tests.real.pulling import SINGLE, published, samples
from tests.real.servers import Endpoint

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


class Managed(Endpoint):
    """An endpoint over a directory, as a service manager starts it.

    :param url: where it answers.
    :param listen: what it is told to listen on; its own port, if nothing.
    """

    def __init__(self, *options: str, url: str = "", listen: str = "", command: Sequence[str] = (), **env: str) -> None:
        self._listen = listen
        super().__init__(f"--cdn={folder()}", *options, command=command, env=env)
        self.url = url or self.url

    def listening(self) -> list[str]:
        """Return the options that say where it listens."""
        return [f"--listen={self._listen}"] if self._listen else super().listening()


class PassedServer(Managed):
    """An endpoint that is started with sockets that are there already."""

    def __init__(
        self, listen: str, sockets: Sequence[socket.socket], names: Sequence[str], url: str, *options: str
    ) -> None:
        self._sockets = sockets
        path = folder() / "pass"
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(path))
        self._door.listen()
        self._door.setblocking(False)
        command = [sys.executable, "-c", PASS_ON, str(path)]
        super().__init__(*options, listen=listen, url=url, command=command, LISTEN_FDNAMES=":".join(names))

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


@contextlib.contextmanager
def manager(path: str) -> Iterator[socket.socket]:
    """Listen to what a service tells its manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as plug:
        plug.bind(path)
        plug.settimeout(10)
        yield plug


@contextlib.contextmanager
def asked_all_the_time(url: str) -> Iterator[list[str]]:
    """Ask again and again, two clients at a time, each time on a new connection; give what was answered."""
    answered: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                answered.append(str(fetch(f"{url}/v2/").status))
            except OSError as error:
                answered.append(str(error))

    with ThreadPoolExecutor(2) as threads:
        asking = [threads.submit(ask) for _ in range(2)]
        try:
            yield answered
        finally:
            over.set()
        for each in asking:
            each.result(30)


class NotifyTests(SynchronousTestCase):
    """What systemd hears."""

    def test_a_life(self) -> None:
        """Ready once it listens; a reload with its beginning and its end; stopping; and then it ends with 0."""
        path = folder() / "notify"
        for name, bound in ((str(path), str(path)), (f"@{path}", f"\0{path}")):
            with manager(bound) as heard, Managed(NOTIFY_SOCKET=name) as server:
                ready = heard.recv(999).decode().splitlines()
                self.assertEqual(ready[0], "READY=1")
                self.assertRegex(ready[1], r"\ASTATUS=catalog [a-z]+; repositories: 0, connections: 0\Z")
                before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
                server.send(signal.SIGHUP)
                began = heard.recv(999).decode().splitlines()
                self.assertEqual(began[0], "RELOADING=1")
                self.assertGreaterEqual(int(began[1].removeprefix("MONOTONIC_USEC=")), before)
                self.assertTrue(heard.recv(999).startswith(b"READY=1\n"))
                self.assertEqual(server.stop(), 0, server.log())
                self.assertEqual(heard.recv(999), b"STOPPING=1\nSTATUS=draining; connections: 0")

    def test_ready_means_answering(self) -> None:
        """Who connects when the manager hears that it is ready is answered, by the admin listener too."""
        path, admin = folder() / "notify", free_port()
        with manager(str(path)) as heard:
            server = Managed(f"--admin={admin}", NOTIFY_SOCKET=str(path))
            server.ready = lambda: heard.recv(999).startswith(b"READY=1\n")  # type: ignore[method-assign]
            with server:
                self.assertTrue(answers(f"{server.url}/v2/"))
                self.assertTrue(answers(f"http://127.0.0.1:{admin}/livez"))

    def test_watchdog(self) -> None:
        """A sign of life comes twice as often as the manager wants it, and none while the process stands still."""
        name = f"sdr-watchdog-{free_port()}"
        watched = Managed(NOTIFY_SOCKET=f"@{name}", WATCHDOG_USEC="1000000")
        with manager(f"\0{name}") as heard, watched as server:
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

    def test_alive_while_draining(self) -> None:
        """Signs of life go on while it drains: the manager must not kill it for taking its time."""
        name, big = f"sdr-draining-{free_port()}", BigTree()
        watched = Managed(f"--cdn={big.folder}", NOTIFY_SOCKET=f"@{name}", WATCHDOG_USEC="600000")
        with manager(f"\0{name}") as heard, watched as server:
            client = big.begin(server.port)
            self.addCleanup(client.socket.close)
            server.send(signal.SIGTERM)
            while not heard.recv(999).startswith(b"STOPPING=1\n"):
                pass
            self.assertEqual([heard.recv(999) for _ in range(3)], [b"WATCHDOG=1"] * 3)
            self.assertEqual(len(big.finish(client)), len(big.content))
            self.assertEqual(server.wait(10), 0, server.log())

    def test_nobody_listens(self) -> None:
        """A manager that has gone costs nothing."""
        with Managed(NOTIFY_SOCKET=str(folder() / "gone")) as server:
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

    def test_without_sockets(self) -> None:
        """Without a socket, or without one of that name, it ends with one line that says what to do."""
        done = run(Managed(listen="systemd:").arguments, ok=False)
        self.assertRegex(done.stderr, r"\Asdr: --listen systemd:: no socket was passed: [^\n]+\n\Z")
        plug = self.open()
        with self.assertRaises(Failed) as raised:
            PassedServer("systemd:name=https", [plug], ["http"], "http://127.0.0.1:9").start()
        self.assertIn(
            "--listen systemd:name=https: no socket of this name was passed; there is http\n", str(raised.exception)
        )

    def test_admin_and_tls_too(self) -> None:
        """Sockets with names serve what they are named for: the protocol, TLS, and the admin listener."""
        made = certificates()
        plugs = [self.open() for _ in range(3)]
        http, tls, admin = (each.getsockname()[1] for each in plugs)
        options = ["--tls=systemd:name=https", f"--tls-cert={made.certificate}", f"--tls-key={made.key}"]
        url = f"http://127.0.0.1:{http}"
        with PassedServer(
            "systemd:name=http", plugs, ["http", "https", "admin"], url, *options, "--admin=systemd:name=admin"
        ):
            self.assertTrue(answers(f"http://127.0.0.1:{admin}/readyz"))
            curl = [required("curl", "curl"), "-sf", "--noproxy", "*", "--cacert", str(made.authority)]
            self.assertEqual(run([*curl, f"https://127.0.0.1:{tls}/v2/"]).stdout, "{}")

    def test_restart_loses_nothing(self) -> None:
        """Who connects between two endpoints is answered by the second: the socket is there all the time."""
        plug = self.open()
        port = plug.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        with PassedServer("systemd:", [plug], ["http"], url):
            pass
        between = Client(port)
        self.addCleanup(between.socket.close)
        between.send("/v2/")
        with PassedServer("systemd:", [plug], ["http"], url):
            self.assertTrue(between.socket.recv(999).startswith(b"HTTP/1.1 200 "))

    def test_restart_under_load(self) -> None:
        """Clients that ask all the time, each on a new connection, lose no request over restarts."""
        plug = self.open()
        url = f"http://127.0.0.1:{plug.getsockname()[1]}"
        server = PassedServer("systemd:", [plug], ["http"], url).start()
        with asked_all_the_time(url) as answered:
            for _ in range(2):
                enough = len(answered) + 20
                until(lambda enough=enough: len(answered) > enough, "asked")  # type: ignore[misc]
                self.assertEqual(server.stop(), 0, server.log())
                server = PassedServer("systemd:", [plug], ["http"], url).start()
                self.addCleanup(server.stop)
        self.assertEqual(set(answered), {"200"})

    def test_upgrade(self) -> None:
        """Two endpoints share a socket: the new one is started before the old one is stopped, and nothing is lost."""
        plug, big = self.open(), BigTree()
        port = plug.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        old = PassedServer("systemd:", [plug], ["http"], url, f"--cdn={big.folder}").start()
        self.addCleanup(old.kill)
        pulling = big.begin(port)
        with PassedServer("systemd:", [plug], ["http"], url), asked_all_the_time(url) as answered:
            old.send(signal.SIGTERM)
            enough = len(answered) + 50
            until(lambda: len(answered) > enough, "asked")
            self.assertEqual(big.finish(pulling), big.content)
            self.assertEqual(old.wait(10), 0, old.log())
            until(lambda: len(answered) > enough + 50, "asked")
        self.assertEqual(set(answered), {"200"})

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
        url = f"http://127.0.0.1:{port}"
        with Managed(listen="systemd:name=http", url=url, command=passing) as server:
            self.assertEqual(server.stop(), 0, server.log())


class DrainTests(SynchronousTestCase):
    """SIGTERM with clients in the middle of something."""

    def setUp(self) -> None:
        """Have a big file to be pulled."""
        self.big = BigTree()

    def start(self, *options: str) -> tuple[Managed, Client, Client]:
        """Start it, with one client in the middle of a download, and one that waits for nothing."""
        server = Managed(f"--cdn={self.big.folder}", *options).start()
        self.addCleanup(server.kill)
        idle, busy = Client(server.port), self.big.begin(server.port)
        self.addCleanup(idle.socket.close)
        self.addCleanup(busy.socket.close)
        idle.send("/v2/")
        self.assertTrue(idle.socket.recv(999).startswith(b"HTTP/1.1 200 "))
        return server, idle, busy

    def test_downloads_finish(self) -> None:
        """Nobody new is let in, who waits is closed at once, the download under way is whole; then it ends with 0."""
        server, idle, busy = self.start()
        server.send(signal.SIGTERM)
        self.assertEqual(idle.rest(), b"")
        self.assertRaises(ConnectionRefusedError, Client, server.port)
        self.assertEqual(self.big.finish(busy), self.big.content)
        self.assertEqual(server.wait(10), 0, server.log())
        self.assertIn("draining for at most 30 seconds; open connections: 2", server.log())
        self.assertNotIn("Traceback", server.log())

    def test_answers_finish(self) -> None:
        """A question that waits for the store is answered, and its client told that the connection ends."""
        with WaitingStore(published(), f"{SINGLE}/_repository.json") as store:
            server = Managed(f"--cdn={store.url}").start()
            self.addCleanup(server.kill)
            busy = Client(server.port)
            self.addCleanup(busy.socket.close)
            busy.send(f"/v2/{SINGLE}/manifests/1.0")
            self.assertTrue(store.wanted.wait(10))
            server.send(signal.SIGTERM)
            until(lambda: not listens(server.port), "nobody new is let in")
            store.given.set()
            answer = busy.rest()
        self.assertTrue(answer.startswith(b"HTTP/1.1 307 "), answer)
        self.assertIn(b"\r\nConnection: close\r\n", answer)
        self.assertIn(f"\r\nDocker-Content-Digest: {samples().single.digest}\r\n".encode(), answer)
        self.assertEqual(server.wait(10), 0, server.log())
        self.assertNotIn("Traceback", server.log())

    def test_bound(self) -> None:
        """A download that does not end in time is cut, and it ends with 0."""
        server, _, busy = self.start("--drain=1")
        began = time.monotonic()
        server.send(signal.SIGTERM)
        self.assertEqual(server.wait(10), 0, server.log())
        self.assertTrue(0.9 < time.monotonic() - began < 5)
        with contextlib.suppress(ConnectionResetError):
            self.assertLess(len(busy.rest()), len(self.big.content) // 2)
        self.assertNotIn("Traceback", server.log())

    def test_second_signal(self) -> None:
        """A second signal of either kind ends it at once, with 0."""
        for second in (signal.SIGTERM, signal.SIGINT):
            server, idle, _ = self.start("--drain=60")
            server.send(signal.SIGTERM)
            self.assertEqual(idle.rest(), b"")
            server.send(second)
            self.assertEqual(server.wait(5), 0, server.log())
            self.assertIn("ending at once; connections cut: 1", server.log())
