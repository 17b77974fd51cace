"""The ``sdr`` command: the composition root of the publishing side."""

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn, TypeVar

import click

from sdr.publish.image import BadSource
from sdr.publish.jobs import Jobs
from sdr.publish.platforms import Platform
from sdr.publish.progress import Bars, Lines, Report, Silent
from sdr.publish.publisher import Publication, Publisher
from sdr.publish.sources import Source, open_image
from sdr.registry.grammar import is_name, is_tag
from sdr.stores.interface import Store, StoreError
from sdr.stores.opening import open_store
from sdr.tree.keys import RESERVED_TAG

#: Exit codes: what was asked for was refused or failed; the command line makes no sense; Ctrl-C, as shells count it.
FAILED, USAGE, INTERRUPTED = 1, 2, 128 + signal.SIGINT

#: Longer messages are cut, in characters: some quote what a source says.
MESSAGE = 1500

DEFAULT_TAG = "latest"

T = TypeVar("T")


def _parsed(name: str, parse: Callable[[str], T]) -> Callable[[str], T]:
    """Return a click type of one of our own functions, whose ``ValueError`` says what is wrong."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    convert.__name__ = name
    return convert


def _version() -> str:
    try:
        return version("sdr")
    except PackageNotFoundError:
        return "(not installed)"


def parse_target(text: str) -> tuple[str, str]:
    """Read ``NAME[:TAG]``.

    :raise ValueError: if either is outside the grammar.
    """
    head, slash, last = text.rpartition("/")
    component, colon, tag = last.partition(":")
    name = f"{head}{slash}{component}"
    if "@" in text or ":" in head:
        raise ValueError(f"{text!r}: NAME[:TAG] without a registry's host or a digest, such as acme/app:1.0")
    if not is_name(name):
        raise ValueError(f"{name!r} is no repository's name: lower-case letters, digits and . _ - between them, and /")
    if colon and not is_tag(tag):
        raise ValueError(f"{tag!r} is no tag: letters, digits, _ . and -, at most 128, and no . or - to begin with")
    if tag == RESERVED_TAG:
        raise ValueError(f"{tag!r} is the name of a file that sdr itself writes; use another tag")
    return name, tag if colon else DEFAULT_TAG


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(_version(), message="%(prog)s %(version)s")
def sdr() -> None:
    """Publish container images as static files, for a CDN to serve and `twistd sdr` to redirect to."""


@sdr.command()
@click.option(
    "--store",
    required=True,
    type=_parsed("STORE", open_store),
    help="Where the files go: a directory, or a file:/// URL.",
)
@click.option(
    "--platform",
    type=_parsed("OS/ARCH", Platform.parse),
    metavar="OS/ARCH[/VARIANT]",
    help="Publish this one of a multi-platform image.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    metavar="N",
    default=8,
    show_default=True,
    help="How many blobs are written at once.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print the last line only.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of the last line.")
@click.argument("source", type=_parsed("SOURCE", Source.parse))
@click.argument("target", metavar="NAME[:TAG]", type=_parsed("NAME", parse_target))
def publish(
    store: Store,
    platform: Platform | None,
    jobs: int,
    quiet: bool,
    as_json: bool,
    source: Source,
    target: tuple[str, str],
) -> None:
    """Publish an image.

    SOURCE is docker-archive:FILE[:REF] (what docker save writes), oci:DIR[:REF] or oci-archive:FILE[:REF]. REF says
    which image, where there are several: a name, @N for the N-th (from 0), or @DIGEST.

    The last line on standard output is NAME:TAG@DIGEST. Progress goes to standard error.
    """
    name, tag = target
    work, report = Jobs(jobs), _report(quiet)
    try:
        with report:
            with open_image(source, platform, work, report) as image:
                publication = Publisher(store, work, report).publish(image, name, tag)
            if not publication.account.written:
                report.say("already published, nothing written")
    except KeyboardInterrupt:
        _fail("interrupted; whatever a reader finds is whole, and the same command completes the rest", INTERRUPTED)
    _print(json.dumps(_result(publication), indent=2) if as_json else str(publication))


def _print(result: str) -> None:
    """Print the result now: a script must not take a published image for printed when the disk is full."""
    try:
        print(result, flush=True)
    except OSError as error:
        # Else Python would try again at its end, and complain in its own way.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _fail(f"standard output: {error.strerror or error}; the image is published", FAILED)


def _report(quiet: bool) -> Report:
    # Python has no stream where the shell has closed the descriptor.
    if quiet or sys.stderr is None:
        return Silent()
    return Bars(sys.stderr) if sys.stderr.isatty() else Lines(sys.stderr)


def _result(publication: Publication) -> dict[str, object]:
    account = publication.account
    return {
        "name": publication.name,
        "tag": publication.tag,
        "digest": str(publication.digest),
        "media_type": publication.media_type,
        "size": publication.size,
        "written": {"objects": len(account.written), "bytes": account.written_bytes},
        "skipped": {"objects": account.skipped, "bytes": account.skipped_bytes},
        "keys": list(account.written),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit; whatever is wrong is one line on standard error."""
    try:
        sys.exit(sdr.main(arguments, prog_name="sdr", standalone_mode=False))
    except click.UsageError as error:
        command = f"; see {error.ctx.command_path} --help" if error.ctx else ""
        _fail(f"{error.format_message().rstrip('.')}{command}", USAGE)
    except (BadSource, StoreError) as error:
        _fail(str(error), FAILED)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", INTERRUPTED)
    except OSError as error:
        # Sources and stores have words of their own for what happens to them.
        _fail(error.strerror or str(error), FAILED)


def _fail(message: str, code: int) -> NoReturn:
    """Print one line, whatever a source has put into it."""
    line = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in message)
    if len(line) > MESSAGE:
        line = f"{line[:MESSAGE]} …"
    # Where standard error is closed, print() would take standard output, which is for the result.
    if sys.stderr is not None:
        with suppress(OSError):
            print(f"sdr: error: {line}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
