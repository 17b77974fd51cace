"""Measures what a second worker brings.

    python -m bench.workers [--rounds N] [--seconds S] [--repositories N]

The real daemon with one worker and with two, in turn, asked by ``wrk`` as in :mod:`bench.redirects`. All of
them may use all cores: where there are only two, the load takes a part of what the second worker would have, so the
answers in a second of the workers' own processor time are told beside the rate: as long as these stay the same, a
worker more answers as much more as it has a core for itself.

Needs the Debian package wrk.
"""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

from bench.loads import Load
from bench.questions import DOCKER, questions, write_tree
from bench.redirects import COLUMNS, Endpoint
from bench.tables import Row, machine, table
from tests.endpoint.tls.authority import Authority
from tests.real.programs import folder, required


class Spread(Endpoint):
    """An endpoint on all cores, with so many workers."""

    def __init__(self, workers: int, certificate: Path, tree: Path) -> None:
        label = f"{workers} worker{'s' * (workers > 1)}"
        super().__init__(label, certificate, tree, folder(), [f"--workers={workers}"])
        self.arguments = self.arguments[self.arguments.index("-c") + 2 :]


def measure(servers: Sequence[Spread], repositories: int, seconds: int, rounds: int) -> list[Row]:
    """Measure each load, the servers in turn."""
    asks = [ask for ask in questions(repositories, 50_000) if ask.method == "GET"]
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    rows = []
    for column in COLUMNS:
        if column.heads:
            continue
        load = Load(folder(), asks, DOCKER, close=column.close, heads=False)
        found: list[list[tuple[float, float]]] = [[] for _ in servers]
        for turn in range(rounds + 1):
            for number, server in enumerate(servers):
                began, busy = time.monotonic(), server.busy()
                port = server.tls if column.tls else server.plain
                rate = load.saturate(port, seconds, cores, tls=column.tls)
                of_its_own = rate * (time.monotonic() - began) / (server.busy() - busy)
                if turn:  # what is answered for the first time costs more
                    found[number].append((rate, of_its_own))
        for number, unit in enumerate(("requests/s", "requests/s of processor time")):
            picked = [[each[number] for each in one] for one in found]
            rows.append(Row(f"{column.label}: {unit}", picked, "{:,.0f}".format))
    return rows


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.workers")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each server")
    parser.add_argument("--seconds", type=int, default=3, help="of each turn")
    parser.add_argument("--repositories", type=int, default=1000)
    given = parser.parse_args()
    required("wrk", "wrk")
    tree = folder() / "tree"
    write_tree(tree, given.repositories)
    certificate = Authority(time.time()).write(folder(), "registry", "registry.example.com")
    servers = [Spread(workers, certificate, tree) for workers in (1, 2)]
    try:
        for server in servers:
            server.start()
            for _ in range(4):  # each worker looks for itself
                server.warm(given.repositories)
        rows = measure(servers, given.repositories, given.seconds, given.rounds)
    finally:
        for server in servers:
            server.stop()
    print(table([server.label for server in servers], rows))
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
