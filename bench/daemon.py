"""The real endpoint, measured from without: memory, processor time, stalls, and how long requests take."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.programs import required
from tests.real.programs import Process, folder, free_port, until

MB = 1_000_000

#: What a program is started with so that others on the machine do not hold it up; empty where nothing is.
ahead: list[str] = []


def go_ahead() -> None:
    """Have what is measured from now on go before all others on the machine: it works little, and they much."""
    ahead[:] = ["chrt", "--rr", "1"]


class Nginx(Process):
    """nginx as a plain web server over a directory: the store."""

    def __init__(self, root: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        its = folder()
        self.log_path = its / "access.log"
        temporary = "".join(
            f"{kind}_temp_path {its}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (its / "nginx.conf").write_text(
            f"user root; daemon off; worker_processes 1; pid {its}/pid; error_log stderr warn;"
            f"events {{ worker_connections 256; }} http {{ {temporary} access_log {self.log_path};"
            f"server {{ listen 127.0.0.1:{self.port}; root {root}; types {{ }} default_type application/json; }} }}"
        )
        program = required("nginx", "nginx-light")
        super().__init__([*ahead, program, "-p", str(its), "-c", str(its / "nginx.conf"), "-e", "stderr"])

    def ready(self) -> bool:
        """Tell whether it answers, whatever."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def asked(self) -> int:
        """Return how many requests it has answered."""
        return len(self.log_path.read_text().splitlines()) if self.log_path.exists() else 0


class Daemon(Process):
    """``twistd sdr`` with a ticker in its reactor.

    :param poll: seconds between polls; as it is, it polls when it is told to, and not by itself.
    """

    patience = 240.0

    def __init__(self, *options: str, poll: float = 3600.0) -> None:
        self.port = free_port()
        self._ticks = folder() / "ticks"
        self._ticks.touch()
        listen = f"--listen=tcp:{self.port}:interface=127.0.0.1"
        ticking = [sys.executable, "-m", "bench.ticking", str(self._ticks), "-n", "--pidfile="]
        super().__init__([*ahead, *ticking, "sdr", listen, f"--poll={poll}", *options])
        self._started = 0.0
        self._said = 0

    def launch(self, target: str) -> float:
        """Start it, and return the seconds until a question is answered with 200."""
        self._target = target
        begun = time.monotonic()
        self.start()
        return time.monotonic() - begun

    def ready(self) -> bool:
        """Tell whether the question is answered."""
        try:
            with Client(self.port) as client:
                return client.ask(self._target) == 200
        except OSError:
            return False

    @property
    def pid(self) -> int:
        """The process."""
        assert self._running is not None
        return self._running.pid

    def memory(self, field: str = "VmRSS") -> float:
        """Return the resident set in MB; ``VmHWM`` is the largest that it has been."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024 / MB

    def processor(self) -> float:
        """Return the seconds of processor time that it has used."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def says(self, text: str) -> None:
        """Wait until it logs this, once more than when it was asked last."""
        wanted = self._said + 1
        until(lambda: self.log().count(text) >= wanted, text, seconds=240.0, step=0.005)
        self._said = wanted

    def poll(self) -> None:
        """Have it poll."""
        self.send(signal.SIGHUP)

    def stalls(self, begun: float, ended: float) -> list[tuple[float, float]]:
        """Return the stalls of the reactor that ended between these moments.

        :return: how long each was, and how much processor time of the reactor's was in it, in seconds.
        """
        lines = [line.split() for line in self._ticks.read_text().splitlines()]
        return [(float(stall), float(used)) for at, stall, used in lines if begun <= float(at) <= ended]


class Client:
    """A connection that asks for heads, one after another."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connect()

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), 10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, target: str, method: str = "HEAD") -> int:
        """Ask, and return the status."""
        self._socket.sendall(f"{method} {target} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        got = b""
        while b"\r\n\r\n" not in got:
            piece = self._socket.recv(65536)
            if not piece:
                raise OSError("closed")
            got += piece
        head, _, body = got.partition(b"\r\n\r\n")
        if method == "GET":
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            left = int(fields[b"content-length"]) - len(body)
            while left > 0:
                left -= len(self._socket.recv(65536))
        if b"\r\nconnection: close" in head.lower():
            self._socket.close()
            self._connect()
        return int(head.split()[1])

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


@dataclass(frozen=True, slots=True)
class Sample:
    """A question: when it was due, by the monotonic clock, and how long after that it was answered, in seconds."""

    due: float
    took: float


class Asking:
    """Asks at a steady rate in a thread; one that is late counts from when it was due.

    :param rate: questions a second.
    """

    def __init__(self, port: int, targets: Sequence[str], rate: float) -> None:
        self._client, self._targets, self._step = Client(port), targets, 1 / rate
        self.samples: list[Sample] = []
        self.wrong = 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        if ahead:
            # Of this thread only.
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        due, number = time.monotonic(), 0
        while not self._ends.is_set():
            left = due - time.monotonic()
            if left > 0:
                time.sleep(left)
            self.wrong += self._client.ask(self._targets[number % len(self._targets)]) != 200
            self.samples.append(Sample(due, time.monotonic() - due))
            due, number = due + self._step, number + 1

    def between(self, begun: float, ended: float) -> list[float]:
        """Return how long those questions took that were due between these moments."""
        return [sample.took for sample in self.samples if begun <= sample.due <= ended]

    def __enter__(self) -> "Asking":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile, in milliseconds; of nothing, 0."""
    ordered = sorted(values)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
