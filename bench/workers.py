"""Measures what a second worker brings.

    python -m bench.workers [--rounds N] [--seconds S] [--repositories N] [--share P] [--write]

The real daemon with one worker and with two, in turn, asked by ``wrk`` as in :mod:`bench.redirects`. Two workers and
the load want three cores. Where there are fewer, the load would take from the second worker what it needs, so each
worker is given the same share of a core, by a control group, and the load has the rest: whatever the workers have in
common then limits them as it would with a core each. With three cores or more, each has all of one.

Needs the Debian package wrk, and for shares root.
"""

import argparse
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.loads import Load
from bench.programs import required
from bench.questions import DOCKER, questions, write_tree
from bench.redirects import COLUMNS, Endpoint
from bench.shares import NoGroups, Share
from bench.tables import Row, machine, table, write_section
from tests.endpoint.tls.authority import Authority
from tests.real.programs import folder


class Spread(Endpoint):
    """An endpoint on all cores, with so many workers.

    :param share: of a core for each worker; 1 for all of it.
    """

    def __init__(self, workers: int, certificate: Path, tree: Path, share: float) -> None:
        label = f"{workers} worker{'s' * (workers > 1)}"
        self._share = share
        super().__init__(label, certificate, tree, folder(), [f"--workers={workers}"])
        self.arguments = self.arguments[self.arguments.index("-c") + 2 :]

    def confine(self, shares: ExitStack) -> None:
        """Give each worker its share; the process above them has no part in answering."""
        own, *workers = self.processes()
        for process in workers or [own]:
            if self._share < 1:
                shares.enter_context(Share(int(process.name), self._share))


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
    cores = len(os.sched_getaffinity(0))
    share = 100 if cores > 2 else 40
    parser.add_argument(
        "--share", type=int, default=share, help=f"of a core for each worker, in percent (here {share})"
    )
    parser.add_argument("--write", action="store_true", help="write the table into bench/README.md")
    given = parser.parse_args()
    for program, package in (("wrk", "wrk"), ("nginx", "nginx-light")):  # which `machine` names
        required(program, package)
    tree = folder() / "tree"
    write_tree(tree, given.repositories)
    certificate = Authority(time.time()).write(folder(), "registry", "registry.example.com")
    servers = [Spread(workers, certificate, tree, given.share / 100) for workers in (1, 2)]
    with ExitStack() as shares:
        try:
            for server in servers:
                server.start()
                for _ in range(4):  # each worker looks for itself
                    server.warm(given.repositories)
                server.confine(shares)
            rows = measure(servers, given.repositories, given.seconds, given.rounds)
        except NoGroups as error:
            raise SystemExit(f"bench.workers: {error}; run it as root, or with --share 100") from error
        finally:
            for server in servers:
                server.stop()
    text = table([server.label for server in servers], rows)
    print(text)
    if given.write:
        about = f"Each worker had {given.share} % of a core. {machine()}"
        write_section(Path(__file__).with_name("README.md"), "workers", f"{text}\n\n{about}\n")


if __name__ == "__main__":
    main()
