"""What a repository of 10 000 tags and 50 000 manifests costs an endpoint.

    python -m bench.catalog_large [--seconds S] [--ahead]

Asks for it in several ways, one question after the other; the daemon and its store are as in ``bench.catalog``. A
ticker in the reactor notes how long it stood still.

Needs the Debian package nginx-light.
"""

import argparse
import tempfile
import time
from pathlib import Path

from bench.catalog import longest
from bench.catalog_trees import LARGE, large, large_manifest, large_subject, large_tag, write
from bench.daemon import Client, Daemon, Nginx, go_ahead, quantile
from sdr.registry.grammar import Digest


def main() -> None:
    """Measure, and print a Markdown table."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="for each kind of question")
    parser.add_argument("--ahead", action="store_true", help="before all others on the machine (as root)")
    options = parser.parse_args()
    if options.ahead:
        go_ahead()
    tagged, untagged = Digest.of(large_manifest(7)), Digest.of(large_manifest(20_000))
    base = f"/v2/{LARGE}"
    questions = [
        ("a tag, HEAD", "HEAD", f"{base}/manifests/{large_tag(5000)}"),
        ("a tagged manifest by digest, HEAD", "HEAD", f"{base}/manifests/{tagged}"),
        ("another manifest by digest, HEAD", "HEAD", f"{base}/manifests/{untagged}"),
        ("a page of 100 tags", "GET", f"{base}/tags/list?n=100&last={large_tag(5000)}"),
        ("all tags", "GET", f"{base}/tags/list"),
        ("10 000 referrers", "GET", f"{base}/referrers/{large_subject()}"),
        ("1000 of them, by type", "GET", f"{base}/referrers/{large_subject()}?artifactType=application/vnd.bench.3"),
    ]
    with tempfile.TemporaryDirectory() as name:
        for key, data in large():
            write(Path(name), key, data)
        with Nginx(Path(name)) as store:
            daemon = Daemon(f"--store={store.url}", f"--cdn={store.url}")
            daemon.launch("/v2/")
            try:
                daemon.says("the catalog is loaded")
                print(f"memory before the first question: {daemon.memory():.0f} MB\n")
                print("| question | first | processor of a later one | median | stall at the first | later | memory |")
                print("|---|---|---|---|---|---|---|", flush=True)
                for what, method, target in questions:
                    print(_row(daemon, what, method, target, options.seconds), flush=True)
            finally:
                daemon.stop()


def _row(daemon: Daemon, what: str, method: str, target: str, seconds: float) -> str:
    with Client(daemon.port) as client:
        begun = time.monotonic()
        assert client.ask(target, method) == 200, target
        first = time.monotonic() - begun
        time.sleep(0.2)
        stalls = daemon.stalls(begun, time.monotonic())
        resting = daemon.processor()
        time.sleep(1)
        resting = daemon.processor() - resting
        used, begun, took = daemon.processor(), time.monotonic(), []
        while time.monotonic() - begun < seconds:
            asked = time.monotonic()
            assert client.ask(target, method) == 200, target
            took.append(time.monotonic() - asked)
        ended = time.monotonic()
        each = (daemon.processor() - used - resting * (ended - begun)) / len(took)
    return (
        f"| {what} | {1000 * first:.0f} ms | {1000 * each:.2f} ms | {quantile(took, 0.5):.2f} ms "
        f"| {longest(stalls)} | {longest(daemon.stalls(begun, ended))} | {daemon.memory():.0f} MB |"
    )


if __name__ == "__main__":
    main()
