"""An endpoint that is watched through its admin listener, and parts that stand around it: a store that waits."""

import contextlib
import hashlib
import os
import random
import re
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.real.faulty import Fault, Faulty
from tests.real.programs import Response, fetch, folder, free_port, until
from tests.real.servers import Endpoint

_SAMPLE = re.compile(r"(?m)^(\w+(?:\{.*\})?) (\S+)$")


class Watched(Endpoint):
    """``twistd sdr`` with an admin listener, on a port of its own."""

    def __init__(
        self,
        *options: str,
        port: int | None = None,
        before: Sequence[str] = (),
        command: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.admin_port = free_port()
        super().__init__(f"--admin={self.admin_port}", *options, port=port, before=before, command=command, env=env)

    def admin(self, page: str) -> Response:
        """Return a page of the admin listener."""
        return fetch(f"http://127.0.0.1:{self.admin_port}/{page}")

    def metrics(self) -> dict[str, float]:
        """Return every sample, by its name with its labels."""
        return {name: float(value) for name, value in _SAMPLE.findall(self.admin("metrics").body.decode())}

    def open_connections(self) -> int:
        """Return how many connections of clients it counts."""
        return int(self.metrics()["sdr_connections_open"])

    def processor_seconds(self) -> float:
        """Return for how long it has used the processor."""
        times = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._running is not None
        return self._running.pid

    def sockets(self) -> int:
        """Return how many sockets it has open."""
        return sum(name.startswith("socket:") for name in self._files())

    def _files(self) -> Iterator[str]:
        for name in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                yield os.readlink(name)

    def memory(self) -> int:
        """Return how many bytes of memory it uses."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+([0-9]+) kB", status)
        assert found is not None
        return int(found[1]) * 1024


class WaitingStore(Faulty):
    """A store over HTTP that has the files of a directory, and gives those that a test names only when it is told to.

    :param held: what a file's path has in it that is held back.
    """

    def __init__(self, tree: Path, held: str) -> None:
        super().__init__("http://127.0.0.1")
        self._tree = tree
        self._held = held
        #: Set once somebody waits for what is held back.
        self.wanted = threading.Event()
        #: Set by the test: it is given.
        self.given = threading.Event()

    def passed_on(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Fault:
        """Give a file."""
        if self._held in target:
            self.wanted.set()
            self.given.wait(10)
        try:
            return Fault(200, {"Content-Type": "application/json"}, (self._tree / target.lstrip("/")).read_bytes())
        except OSError:
            return Fault(404)


class Client:
    """One connection, on which requests are written by hand."""

    def __init__(self, port: int, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(10)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise

    def send(self, path: str, method: str = "GET") -> None:
        """Ask, and do not wait."""
        self.socket.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def rest(self) -> bytes:
        """Read until the other side closes."""
        parts = []
        while part := self.socket.recv(65536):
            parts.append(part)
        return b"".join(parts)


class BigTree:
    """A tree with one file that is too big for a kernel to keep, for a client that reads later."""

    def __init__(self) -> None:
        self.content = random.Random(5).randbytes(8 << 20) * 8
        self.folder = folder()
        self.key = f"blobs/sha256/{hashlib.sha256(self.content).hexdigest()}"
        self.file = self.folder / self.key
        self.file.parent.mkdir(parents=True)
        self.file.write_bytes(self.content)

    def begin(self, port: int) -> Client:
        """Begin to pull it."""
        client = Client(port, receive_buffer=65536)
        client.send(f"/tree/{self.key}")
        assert client.socket.recv(12) == b"HTTP/1.1 200"
        return client

    def finish(self, client: Client) -> bytes:
        """Read the rest, and return the body."""
        return client.rest().partition(b"\r\n\r\n")[2]


def listens(port: int) -> bool:
    """Tell whether somebody listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def all_closed(endpoint: Watched, *, seconds: float = 10.0) -> None:
    """Wait until the endpoint has no client's connection open any more, by its own count."""
    until(lambda: endpoint.open_connections() == 0, "every connection forgotten", seconds=seconds)
