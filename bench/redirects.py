"""Measures how fast the endpoint redirects, beside nginx with one line: ``return 307``.

    python -m bench.redirects [--rounds N] [--seconds S] [--repositories N] [--folder DIR] [--both] [--write]
                              [-- OPTION…]

The real daemon, with a catalog of 10 000 repositories, and nginx with one worker are pinned to one core, the load to
another; they take turns, so that what else the machine does meets both. The same requests go to both: HEAD and GET of
manifests by tag, by digest, of blobs, of ``/v2/`` and of names that are not there. Then: how long answers take at half
of the rate that saturates a server, what an idle connection weighs, and how long it is to the first answer. The
processor time that a server took tells more than its rate where the machine has other work.

``--folder`` keeps the tree and the daemon's state for the next run; ``--write`` writes the table into bench/README.md.
Needs two cores, and the Debian packages wrk,
nghttp2-client and nginx-light.
"""

import argparse
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.loads import Load, hold, pace
from bench.programs import required
from bench.questions import DOCKER, Ask, name_of, questions, write_tree
from bench.tables import Row, machine, table, write_section
from tests.endpoint.tls.authority import Authority
from tests.real.programs import Process, answers, fetch, folder, free_port
from tests.real.servers import twistd

R = TypeVar("R")

SERVER_CORE, LOAD_CORE = 0, 1
CDN = "https://cdn.example.net/images"
IDLE = 5000
_PAGE = os.sysconf("SC_PAGESIZE")
#: Of all answers, so many come within the time that is told.
PARTS = (0.5, 0.99, 0.999)

_NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.error.log;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    ssl_protocols TLSv1.2 TLSv1.3;
    server {{
        listen 127.0.0.1:{plain} backlog=1024;
        listen 127.0.0.1:{tls} ssl backlog=1024;
        location / {{
            add_header Docker-Distribution-Api-Version registry/2.0 always;
            return 307 {cdn}$request_uri;
        }}
    }}
}}
"""


class Server(Process):
    """A server on one core, in the clear and with TLS.

    :param label: what the table calls it.
    """

    def __init__(self, label: str, arguments: Sequence[str]) -> None:
        super().__init__(["taskset", "-c", str(SERVER_CORE), *arguments])
        self.label = label
        self.plain, self.tls = free_port(), free_port()

    def ready(self) -> bool:
        """Tell whether it answers."""
        return any(answers(f"http://127.0.0.1:{self.plain}/v2/", status) for status in (200, 307))

    def url(self, *, tls: bool) -> str:
        """Return where it is."""
        return f"https://127.0.0.1:{self.tls}" if tls else f"http://127.0.0.1:{self.plain}"

    def memory(self) -> int:
        """Return the resident bytes of it and its children."""
        return sum(int(process.joinpath("statm").read_text().split()[1]) for process in self.processes()) * _PAGE

    def busy(self) -> float:
        """Return the seconds that it and its children have had of the processor."""
        tasks = [task for process in self.processes() for task in process.glob("task/*/schedstat")]
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def processes(self) -> list[Path]:
        """Return the folders of it and its children in proc(5)."""
        own = Path("/proc", str(self._running.pid if self._running else 0))
        children = own.joinpath("task", own.name, "children").read_text().split()
        return [own, *(Path("/proc", child) for child in children)]


class Nginx(Server):
    """nginx, which redirects everything."""

    def __init__(self, certificate: Path) -> None:
        where = folder()
        file = where / "nginx.conf"
        super().__init__("nginx", [required("nginx", "nginx-light"), "-p", str(where), "-c", str(file)])
        file.write_text(
            _NGINX.format(folder=where, certificate=certificate, plain=self.plain, tls=self.tls, cdn=CDN),
        )


class Endpoint(Server):
    """``twistd sdr``, with limits that one client alone does not meet."""

    patience = 120.0

    def __init__(self, label: str, certificate: Path, tree: Path, state: Path, options: Sequence[str]) -> None:
        super().__init__(label, [])
        listen = [f"--listen=tcp:{self.plain}:interface=127.0.0.1", f"--tls=tcp:{self.tls}:interface=127.0.0.1"]
        limits = [f"--max-{name}=1000000" for name in ("connections", "connections-per-address", "requests")]
        self.arguments += [
            *(*twistd(), "-n", "--pidfile=", "sdr", *listen, *limits, f"--tls-cert={certificate}"),
            *(f"--tls-key={certificate}", f"--cdn={CDN}", f"--store={tree}", f"--state-dir={state}", "--poll=600"),
            *options,
        ]

    def warm(self, repositories: int) -> None:
        """Have every repository looked at once; there is a budget of looks a second."""
        for number in range(repositories):
            path = f"/v2/{name_of(number)}/manifests/1.0"
            while fetch(self.url(tls=False) + path, method="HEAD").status != 200:
                time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Column:
    """One kind of load."""

    label: str
    tls: bool = False
    close: bool = False
    heads: bool = False


COLUMNS = (
    Column("http, kept alive"),
    Column("http, kept alive, HEAD too", heads=True),
    Column("TLS, kept alive", tls=True),
    Column("TLS, a new connection each", tls=True, close=True),
)


class Turns:
    """Servers that are measured in turn.

    :param servers: nginx first.
    :param asks: what they are asked.
    :param seconds: of each turn.
    :param rounds: turns of each server.
    """

    def __init__(self, servers: Sequence[Server], asks: Sequence[Ask], seconds: int, rounds: int) -> None:
        self._servers = servers
        self._asks = asks
        self._seconds = seconds
        self._rounds = rounds
        self._folder = folder()

    def rates(self, column: Column) -> list[list[tuple[float, float]]]:
        """Return each server's requests a second, and those a second of its processor time, a round each."""
        asks = [ask for ask in self._asks if column.heads or ask.method == "GET"]
        load = Load(self._folder, asks, DOCKER, close=column.close, heads=column.heads)

        for server in self._servers:  # what is answered for the first time costs more
            load.saturate(server.tls if column.tls else server.plain, 2 * self._seconds, LOAD_CORE, tls=column.tls)

        def ask(server: Server, _: int) -> tuple[float, float]:
            began, busy = time.monotonic(), server.busy()
            rate = load.saturate(server.tls if column.tls else server.plain, self._seconds, LOAD_CORE, tls=column.tls)
            return rate, rate * (time.monotonic() - began) / (server.busy() - busy)

        return self._turns(ask)

    def delays(self, *, tls: bool, rates: Sequence[float]) -> list[list[list[float]]]:
        """Return how long each server's answers take at its rate: the parts PARTS of them, in seconds, a round each."""

        def ask(server: Server, number: int) -> list[float]:
            seconds = self._seconds + 1
            took = pace(server.url(tls=tls), self._asks, DOCKER, rates[number], seconds, LOAD_CORE, self._folder)
            return [took[int(len(took) * part)] for part in PARTS]

        return self._turns(ask)

    def _turns(self, measure: Callable[[Server, int], R]) -> list[list[R]]:
        found: list[list[R]] = [[] for _ in self._servers]
        for _ in range(self._rounds):
            for number, server in enumerate(self._servers):
                found[number].append(measure(server, number))
        return found


def idle_bytes(server: Server, *, tls: bool) -> float:
    """Return what an open connection weighs that was answered once."""
    request = b"GET /v2/ HTTP/1.1\r\nHost: registry.example.com\r\n\r\n"
    before = server.memory()
    held = hold(server.tls if tls else server.plain, IDLE, request, tls=tls)
    try:
        return (server.memory() - before) / len(held)
    finally:
        for connection in held:
            connection.close()


def start_seconds(server: Server) -> float:
    """Start a server and return how long it is to its first answer."""
    began = time.monotonic()
    server.start()
    return time.monotonic() - began


def measure(servers: Sequence[Server], asks: Sequence[Ask], seconds: int, rounds: int) -> list[Row]:
    """Measure everything; the servers run."""
    turns, rows = Turns(servers, asks, seconds, rounds), []
    for column in COLUMNS:
        rates = turns.rates(column)
        for number, unit in enumerate(("requests/s", "requests/s of processor time")):
            picked = [[each[number] for each in found] for found in rates]
            rows.append(Row(f"{column.label}: {unit}", picked, "{:,.0f}".format))
            print(rows[-1].line(), file=sys.stderr)
        if not (column.close or column.heads):
            halves = [statistics.median(rate for rate, _ in found) / 2 for found in rates]
            delays = turns.delays(tls=column.tls, rates=halves)
            for number, part in enumerate(PARTS):
                picked = [[each[number] * 1000 for each in found] for found in delays]
                rows.append(Row(f"{column.label}: p{part * 100:g} at half of that, ms", picked, "{:.2f}".format))
                print(rows[-1].line(), file=sys.stderr)
    return rows


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.redirects")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each server")
    parser.add_argument("--seconds", type=int, default=3, help="of each turn")
    parser.add_argument("--repositories", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where the tree and the daemon's state stay for the next run")
    parser.add_argument("--both", action="store_true", help="measure the daemon with --no-fast, too")
    parser.add_argument("--write", action="store_true", help="write the table into bench/README.md")
    parser.add_argument("options", nargs="*", metavar="OPTION", help="for the daemon, behind --")
    given = parser.parse_args()
    for program, package in (("wrk", "wrk"), ("h2load", "nghttp2-client")):
        required(program, package)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.sched_setaffinity(0, {LOAD_CORE})
    where = given.folder or folder()
    tree = where / f"tree-{given.repositories}"
    if not tree.exists():
        write_tree(tree, given.repositories)
    certificate = Authority(time.time()).write(folder(), "registry", "registry.example.com")
    states = [("sdr", where / "state", given.options)]
    if given.both:
        states.append(("sdr --no-fast", where / "state-no-fast", [*given.options, "--no-fast"]))
    for _, state, _ in states:
        state.mkdir(parents=True, exist_ok=True)
    endpoints = [Endpoint(label, certificate, tree, state, options) for label, state, options in states]
    servers: list[Server] = [Nginx(certificate), *endpoints]
    for endpoint in endpoints:
        endpoint.start()
        endpoint.warm(given.repositories)
        endpoint.stop()
    rows = [Row("start to the first answer, s", [[start_seconds(server)] for server in servers], "{:.2f}".format)]
    try:
        for tls in (False, True):
            weighed = [[idle_bytes(server, tls=tls) / 1024] for server in servers]
            rows.append(Row(f"idle {'TLS ' if tls else ''}connection of {IDLE}, KiB", weighed, "{:.1f}".format))
            for server in servers:  # memory that was let go once is there to be taken again
                server.stop()
                server.start()
        rows += measure(servers, questions(given.repositories, 50_000), given.seconds, given.rounds)
    finally:
        for server in servers:
            server.stop()
    text = table([server.label for server in servers], rows)
    print(text)
    if given.write:
        write_section(Path(__file__).with_name("README.md"), "redirects", f"{text}\n\n{machine()}\n")


if __name__ == "__main__":
    main()
