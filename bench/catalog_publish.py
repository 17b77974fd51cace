"""What it costs to publish one small image more into a store that holds very much already.

    python -m bench.catalog_publish [--into WHAT] [--repositories N] [--times N]

Into a directory and into a Swift on this machine: a store that lists a million repositories, and one with a repository
of 10 000 tags and 50 000 manifests. Of the latter Swift has the documents, and the rows of its listing only: a publish
reads no manifest that is listed as it should be.

Needs the Debian packages memcached, swift, swift-proxy, swift-account, swift-container and swift-object.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.catalog_trees import LARGE, large, listed, write
from bench.publish import SMALL, Layout
from sdr.stores.interface import Bytes
from sdr.stores.opening import open_store
from sdr.tree.headers import LIST_HEADERS
from sdr.tree.keys import LISTS_KEY, place_of
from tests.real.programs import environment
from tests.real.swift import Swift

#: Writes rows into a container's listing, with the Python that Swift is installed for.
_ROWS = """
import json, sys
from swift.common.utils import Timestamp
from swift.container.backend import ContainerBroker
path, now = sys.argv[1], Timestamp.now().internal
rows = [json.loads(line) for line in sys.stdin]
items = [{"name": name, "created_at": now, "size": size, "content_type": "application/json", "etag": etag, "deleted": 0,
          "storage_policy_index": 0} for name, size, etag in rows]
broker = ContainerBroker(path)
for start in range(0, len(items), 5000):
    broker.merge_items(items[start:start + 5000])
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one publish costs.

    :param requests: in all; empty where nothing is asked over a network.
    :param received: bytes that the store sent, likewise.
    :param written: bytes written into it, and how many objects.
    """

    seconds: float
    requests: int | None
    received: int | None
    written: int
    objects: int

    def row(self, what: str, store: str) -> str:
        """Return a line of the table."""
        requests = "" if self.requests is None else str(self.requests)
        received = "" if self.received is None else f"{self.received / 1000:.0f} kB"
        return (
            f"| {what} | {store} | {self.seconds:.2f} s | {requests} | {received} "
            f"| {self.objects} objects, {self.written / 1000:.0f} kB |"
        )


def fill_directory(root: Path, objects: Iterable[tuple[str, bytes]]) -> None:
    """Write objects into a directory; the list of lists comes later than all others, as it does with time."""
    for key, data in objects:
        if key == LISTS_KEY:
            time.sleep(6)
        write(root, key, data)


def fill_swift(swift: Swift, container: str, objects: Iterable[tuple[str, bytes]]) -> None:
    """Put objects into a container, of manifests only the rows of the listing."""
    store = open_store(f"swift://{container}", swift.environment)
    rows: list[tuple[str, int, str]] = []
    last: dict[str, bytes] = {}

    def put(each: tuple[str, bytes]) -> None:
        store.put(each[0], Bytes(each[1]), LIST_HEADERS)

    with ThreadPoolExecutor(4) as pool:
        small: list[tuple[str, bytes]] = []
        for key, data in objects:
            place = place_of(key)
            if place is not None and place.kind == "manifests":
                rows.append((key, len(data), hashlib.md5(data).hexdigest()))
            elif key == LISTS_KEY:
                last[key] = data
            else:
                small.append((key, data))
        list(pool.map(put, small))
    if rows:
        (path,) = (swift.folder / "devices" / "disk" / "containers").glob("*/*/*/*.db")
        lines = "".join(f"{json.dumps(row)}\n" for row in rows)
        subprocess.run(["/usr/bin/python3", "-c", _ROWS, str(path)], input=lines, text=True, check=True)
    time.sleep(6)
    for key, data in last.items():
        store.put(key, Bytes(data), LIST_HEADERS)


def publish(store: str, source: str, target: str, env: Mapping[str, str]) -> tuple[float, int, int]:
    """Publish, and return the seconds, the objects written and their bytes."""
    program = str(Path(sys.executable).with_name("sdr"))
    begun = time.monotonic()
    done = subprocess.run(
        [program, "publish", "--quiet", "--json", "--store", store, source, target],
        env=environment(**env),
        capture_output=True,
        text=True,
    )
    took = time.monotonic() - begun
    if done.returncode:
        sys.exit(f"{target}: {done.stdout}{done.stderr}")
    result = json.loads(done.stdout)
    return took, result["written"]["objects"], result["written"]["bytes"]


def measured(
    store: str, images: Layout, target: Callable[[int], str], times: int, env: Mapping[str, str], swift: Swift | None
) -> Cost:
    """Publish some images, a layer each, and return the median of what one costs."""
    costs = []
    for number in range(times):
        image = images.add(target(number), 1, SMALL)
        before = len(asked(swift))
        seconds, objects, written = publish(store, image.source, image.target, env)
        if swift is None:
            costs.append(Cost(seconds, None, None, written, objects))
            continue
        time.sleep(0.2)
        new = asked(swift)[before:]
        costs.append(Cost(seconds, len(new), sum(new), written, objects))
    return sorted(costs, key=lambda cost: cost.seconds)[len(costs) // 2]


def asked(swift: Swift | None) -> list[int]:
    """Return the bytes that the proxy sent for each request so far."""
    if swift is None:
        return []
    fields = [line.split() for line in swift.requests()]
    return [int(each[12]) if each[12].isdigit() else 0 for each in fields]


def main() -> None:
    """Measure, and print a Markdown table."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--into", default="directory,swift", metavar="WHAT", help="(default: directory,swift)")
    parser.add_argument("--repositories", type=int, default=1_000_000, metavar="N", help="that are listed")
    parser.add_argument("--times", type=int, default=5, metavar="N", help="publishes, of which the median counts")
    options = parser.parse_args()
    trees: list[tuple[str, Callable[[], Iterable[tuple[str, bytes]]], Callable[[int], str]]] = [
        ("nothing", lambda: (), lambda number: f"team/new-{number}:1"),
        (f"{options.repositories} repositories", lambda: listed(options.repositories), lambda n: f"team/new-{n}:1"),
        ("one of 10 000 tags, 50 000 manifests", large, lambda number: f"{LARGE}:new-{number}"),
    ]
    print("| there already | store | one publish | requests | read | written |\n|---|---|---|---|---|---|", flush=True)
    for into in options.into.split(","):
        for what, objects, target in trees:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                images = Layout(folder / "images")
                if into == "directory":
                    fill_directory(folder / "store", objects())
                    cost = measured(f"{folder}/store", images, target, options.times, {}, None)
                else:
                    with Swift() as swift:
                        swift.make_container("bench")
                        fill_swift(swift, "bench", objects())
                        store = "swift://bench"
                        cost = measured(store, images, target, options.times, swift.environment, swift)
            print(cost.row(what, into), flush=True)


if __name__ == "__main__":
    main()
