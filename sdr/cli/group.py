"""The group of all commands, and what becomes of their failures."""

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from sdr.cli.interruption import Interruption
from sdr.cli.output import FAILED, INTERRUPTED, USAGE, fail
from sdr.publish.image import BadSource
from sdr.publish.refused import Refused
from sdr.stores.interface import StoreError

#: Each command and the module that has it, in the order in which people come to need them.
COMMANDS = {
    "publish": "publish",
    "tag": "tags",
    "untag": "tags",
    "rm": "tags",
    "ls": "listing",
    "check": "check",
    "index": "upkeep",
    "gc": "upkeep",
    "v1": "v1",
}


class _Commands(click.Group):
    """Loads a command when it is used: publishing many small images is starting many times."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"sdr.cli.{COMMANDS[cmd_name]}"), cmd_name)
        assert isinstance(command, click.Command)
        command.options_metavar = "--store STORE [OPTIONS]"
        return command


def _print_version(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted:
        # It takes a while to find, and only this needs it.
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"sdr {version('sdr')}")
        except PackageNotFoundError:
            click.echo("sdr (not installed)")
        ctx.exit()


@click.group(
    cls=_Commands,
    no_args_is_help=False,
    subcommand_metavar="COMMAND --store STORE [OPTIONS] ...",
    options_metavar="",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Each command needs --store, or SDR_STORE in the environment. It exits with 0 if all is done, 1 if it was "
    "refused or failed, 2 if the command line makes no sense, and 130 if it was interrupted.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and exit.",
)
def sdr() -> None:
    """Publish container images as static files, for a CDN to serve and `twistd sdr` to redirect to."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit; whatever is wrong is one line on standard error."""
    interruption = Interruption()
    try:
        sys.exit(
            interruption.run(lambda: sdr.main(arguments, prog_name="sdr", standalone_mode=False, obj=interruption))
        )
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
