"""Publishing several images together, for tests."""

from collections.abc import Callable, Sequence
from pathlib import Path

from sdr.publish.expecting import Expected
from sdr.publish.jobs import Jobs
from sdr.publish.member import Wanted
from sdr.publish.progress import Silent
from sdr.publish.publisher import Publication, Publisher
from sdr.publish.sources.opening import Source, Sources
from sdr.stores.interface import Store


def no_time(seconds: float) -> None:
    """Sleep not at all."""


def publish_all(
    store: Store,
    path: Path | str,
    group: Sequence[tuple[str, str, str]],
    sleep: Callable[[float], None] = no_time,
    if_tag: Expected | None = None,
    jobs: int = 1,
) -> tuple[list[Publication], Exception | None]:
    """Publish images together.

    :param path: of a layout.
    :param group: each image's repository and tag, and its name in the layout.
    """
    threads = Jobs(jobs)
    with Sources(threads, Silent()) as sources:
        wanted = [
            Wanted(sources.image(Source.parse(f"oci:{path}:{ref}"), None), name, (tag,)) for name, tag, ref in group
        ]
        return Publisher(store, threads, Silent(), sleep=sleep).publish_all(wanted, if_tag)
