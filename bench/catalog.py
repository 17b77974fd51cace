"""Measures an endpoint and ``sdr publish`` with very many repositories, and with one very large.

    python -m bench.catalog [--repositories N,…] [--refreshes N] [--ahead]

Makes trees of so many repositories with 5 tags each, of which one in 1000 is asked for, and serves each by nginx on
this machine to a ``twistd sdr`` in a process of its own, which polls when it is told to. 250 questions a second are
asked while nothing happens, and while polls find 100 repositories changed; a ticker in the reactor notes how long it
stood still.

Needs the Debian package nginx-light.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.catalog_trees import HOT, TAGS, change, documents, name_of, tag_of, write
from bench.daemon import Asking, Daemon, Nginx, go_ahead, quantile
from sdr.catalog.flights import LOOK_RATE
from tests.real.programs import folder, until

CHANGES = 100
RATE = 250.0


@dataclass
class Figures:
    """What was measured with one tree, in seconds and MB."""

    repositories: int
    load: float = 0.0
    loading: list[tuple[float, float]] = field(default_factory=list)
    memory: float = 0.0
    peak: float = 0.0
    saved_start: float = 0.0
    saved_memory: float = 0.0
    idle_processor: float = 0.0
    refresh: list[float] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    quiet_stalls: list[tuple[float, float]] = field(default_factory=list)
    busy_stalls: list[tuple[float, float]] = field(default_factory=list)

    def row(self) -> str:
        """Return a line of the table."""
        return (
            f"| {grouped(self.repositories)} | {self.load:.1f} s | {self.saved_start:.1f} s "
            f"| {self.saved_memory:.0f} MB | {self.memory:.0f} MB | {self.peak:.0f} MB "
            f"| {1000 * self.idle_processor:.1f} ms "
            f"| {quantile(self.refresh, 0.5):.0f} ms | {quantile(self.quiet, 0.999):.1f} ms "
            f"| {quantile(self.busy, 0.999):.1f} ms | {longest(self.quiet_stalls)} | {longest(self.busy_stalls)} "
            f"| {longest(self.loading)} |"
        )


def grouped(number: int) -> str:
    """Return a number with its thousands apart."""
    return f"{number:,}".replace(",", " ")


def longest(stalls: Sequence[tuple[float, float]]) -> str:
    """Say how long the longest stall was, and the most processor time in one."""
    whole, used = (max(each, default=0.0) for each in zip(*stalls, strict=True)) if stalls else (0.0, 0.0)
    return f"{1000 * whole:.1f} ms ({1000 * used:.1f})"


COLUMNS = (
    "repositories",
    "first load",
    "start from the saved catalog",
    "memory then",
    "memory later",
    "its peak",
    "processor, a poll without news",
    "a poll, 100 changes",
    "p99.9 quiet",
    "p99.9 in such polls",
    "stall quiet",
    "stall in such polls",
    "stall in the first load",
)


def measure(root: Path, count: int, refreshes: int) -> Figures:
    """Measure an endpoint over a tree of so many repositories."""
    got = Figures(count)
    for key, data in documents(count):
        write(root, key, data)
    targets = [f"/v2/{name_of(number)}/manifests/{tag_of(number % TAGS)}" for number in range(0, count, HOT)]
    state = folder() / "state"
    state.mkdir()
    with Nginx(root) as store:
        options = (f"--store={store.url}", f"--cdn={store.url}", f"--state-dir={state}")
        daemon = Daemon(*options)
        begun = time.monotonic()
        daemon.launch("/v2/")
        try:
            daemon.says("the catalog is loaded")
            got.load = time.monotonic() - begun
            got.loading = daemon.stalls(begun, time.monotonic())
            # No faster than the endpoint looks at its store.
            with Asking(daemon.port, targets, 0.9 * LOOK_RATE) as asking:
                until(lambda: len(asking.samples) >= len(targets), "all documents fetched")
            assert not asking.wrong, asking.wrong
            time.sleep(1)
            # What was learnt is written after the next poll.
            daemon.poll()
            time.sleep(2)
            used = daemon.processor()
            time.sleep(3)
            resting = (daemon.processor() - used) / 3
            _refresh(daemon, root, targets, count, refreshes, got)
            got.memory, got.peak = daemon.memory(), daemon.memory("VmHWM")
        finally:
            daemon.stop()
        _idle(options, store, got, resting)
    daemon = Daemon(*options)
    try:
        got.saved_start = daemon.launch(targets[0])
        got.saved_memory = daemon.memory()
    finally:
        daemon.stop()
    return got


def _idle(options: tuple[str, ...], store: Nginx, got: Figures, resting: float, seconds: float = 5.0) -> None:
    """Poll again and again while nothing changes.

    :param resting: processor time a second without polls, most of it the ticker's.
    """
    daemon = Daemon(*options, poll=0.1)
    daemon.launch("/v2/")
    try:
        daemon.says("the catalog is loaded")
        time.sleep(1)
        asked, used = store.asked(), daemon.processor()
        time.sleep(seconds)
        requests = store.asked() - asked
        got.idle_processor = (daemon.processor() - used - resting * seconds) / requests
    finally:
        daemon.stop()


def _refresh(daemon: Daemon, root: Path, targets: list[str], count: int, refreshes: int, got: Figures) -> None:
    """Poll while something has changed, and while questions are asked."""
    daemon._said = daemon.log().count("the catalog has changed")
    with Asking(daemon.port, targets, RATE) as asking:
        for number in range(refreshes):
            # nginx's validators are whole seconds.
            begun = time.monotonic()
            time.sleep(1.5)
            ended = time.monotonic()
            got.quiet += asking.between(begun, ended - 0.1)
            got.quiet_stalls += daemon.stalls(begun, ended)
            change(root, count, CHANGES, f"{number}")
            time.sleep(0.2)
            begun = time.monotonic()
            daemon.poll()
            daemon.says("the catalog has changed")
            got.refresh.append(time.monotonic() - begun)
            # And the copy is written.
            time.sleep(0.2)
            ended = time.monotonic()
            got.busy += asking.between(begun, ended - 0.1)
            got.busy_stalls += daemon.stalls(begun, ended)
    assert not asking.wrong, asking.wrong


def main() -> None:
    """Measure, and print a Markdown table."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repositories", default="10000,100000,1000000", metavar="N,…", help="trees of so many")
    parser.add_argument("--refreshes", type=int, default=10, metavar="N", help="polls that find changes")
    parser.add_argument("--ahead", action="store_true", help="before all others on the machine (as root)")
    options = parser.parse_args()
    if options.ahead:
        go_ahead()
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for count in map(int, options.repositories.split(",")):
        with tempfile.TemporaryDirectory() as name:
            print(measure(Path(name), count, options.refreshes).row(), flush=True)


if __name__ == "__main__":
    main()
