"""The group of all commands, and what becomes of their failures."""

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import click

from sdr.cli import check, listing, publish, tags, upkeep
from sdr.cli.output import FAILED, INTERRUPTED, USAGE, fail
from sdr.publish.image import BadSource
from sdr.publish.refused import Refused
from sdr.stores.interface import StoreError


class _InOrder(click.Group):
    """Lists its commands in the order in which people come to need them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names as they were added."""
        return list(self.commands)


def _version() -> str:
    try:
        return version("sdr")
    except PackageNotFoundError:
        return "(not installed)"


@click.group(
    cls=_InOrder,
    no_args_is_help=False,
    subcommand_metavar="COMMAND --store STORE [OPTIONS] ...",
    options_metavar="",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Each command needs --store, or SDR_STORE in the environment. It exits with 0 if all is done, 1 if it was "
    "refused or failed, 2 if the command line makes no sense, and 130 if it was interrupted.",
)
@click.version_option(_version(), message="%(prog)s %(version)s")
def sdr() -> None:
    """Publish container images as static files, for a CDN to serve and `twistd sdr` to redirect to."""


for _command in (
    publish.publish,
    tags.tag,
    tags.untag,
    tags.rm,
    listing.ls,
    check.check,
    upkeep.index,
    upkeep.gc,
):
    _command.options_metavar = "--store STORE [OPTIONS]"
    sdr.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit; whatever is wrong is one line on standard error."""
    try:
        sys.exit(sdr.main(arguments, prog_name="sdr", standalone_mode=False))
    except click.UsageError as error:
        command = f"; see {error.ctx.command_path} --help" if error.ctx else ""
        fail(f"{error.format_message().rstrip('.')}{command}", USAGE)
    except (BadSource, Refused, StoreError) as error:
        fail(str(error), FAILED)
    except (click.Abort, KeyboardInterrupt):
        fail("interrupted", INTERRUPTED)
    except OSError as error:
        # Sources and stores have words of their own for what happens to them.
        fail(error.strerror or str(error), FAILED)
