"""The options that all commands have, and what a command makes of them."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from sdr.cli.arguments import parse_cdn
from sdr.cli.interruption import Interruption
from sdr.cli.output import choose_report
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Report
from sdr.stores.interface import Store
from sdr.stores.opening import open_store

P = ParamSpec("P")
T = TypeVar("T")


def parsed(name: str, parse: Callable[[str], T]) -> Callable[[str], T]:
    """Return a click type of one of our own functions, whose ``ValueError`` says what is wrong.

    :param name: what help shows, unless a metavar says otherwise.
    """

    def convert(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    convert.__name__ = name
    return convert


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command: what its options have made.

    :param at_once: how many objects are under way at once.
    :param as_json: print the result for scripts.
    """

    store: Store
    at_once: int
    jobs: Jobs
    report: Report
    as_json: bool
    interruption: Interruption

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Tell of what is written, and of an interruption that it does no harm."""
        self.interruption.line = "interrupted; whatever a reader finds is whole, and the same command does the rest"
        with self.report:
            yield


def with_store(command: Callable[Concatenate[Run, P], None]) -> Callable[..., None]:
    """Give a command the options that all commands have; it is called with a :class:`Run`."""

    @click.option(
        "--store",
        required=True,
        envvar="SDR_STORE",
        type=parsed("STORE", open_store),
        help="Where the files are: a directory, file:///DIR, s3://BUCKET[/PREFIX], gs://BUCKET, az://CONTAINER or "
        "swift://CONTAINER[/PREFIX]; or as SDR_STORE in the environment.",
    )
    @click.option(
        "--jobs",
        type=click.IntRange(1, 256),
        metavar="N",
        default=8,
        show_default=True,
        help="How many objects are under way at once.",
    )
    @click.option("--quiet", "-q", is_flag=True, help="Print the result only.")
    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @functools.wraps(command)
    def run(store: Store, jobs: int, quiet: bool, as_json: bool, *args: P.args, **kwargs: P.kwargs) -> None:
        interruption = click.get_current_context().find_object(Interruption) or Interruption()
        threads, report = Jobs(jobs), choose_report(quiet)
        interruption.ends(threads, report)
        command(Run(store, jobs, threads, report, as_json, interruption), *args, **kwargs)

    return run


def cdn_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return ``--cdn URL`` with this help."""
    return click.option("--cdn", metavar="URL", type=parsed("URL", parse_cdn), help=text)
