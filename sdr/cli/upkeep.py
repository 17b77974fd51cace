"""``sdr index`` and ``sdr gc``: what keeps a store level and small."""

import click

from sdr.cli.arguments import parse_duration
from sdr.cli.options import Run, parsed, with_store
from sdr.cli.output import account_result, print_json, print_lines, time_of
from sdr.publish.collection import Collected, Collection
from sdr.publish.progress import readable
from sdr.publish.rebuilding import Rebuilding


@click.command(short_help="Rebuild the lists and documents of the catalog.")
@with_store
def index(run: Run) -> None:
    """Rebuild the lists of tags and referrers and the catalog's documents from the manifests.

    What is as it should be is left alone. Standard output has the keys of what was written, one a line.
    """
    with run.writing():
        account = Rebuilding(run.store, run.jobs, run.report).rebuild()
        if not account.written:
            run.report.say("all is as it should be, nothing written")
    if run.as_json:
        print_json(account_result(account))
    else:
        print_lines(account.written)


@click.command(short_help="Delete what nothing refers to any more.")
@click.option(
    "--older-than",
    metavar="DURATION",
    type=parsed("DURATION", parse_duration),
    default="24h",
    show_default=True,
    help="Delete what was marked so long ago: s, m, h or d. It must be longer than any publish takes.",
)
@click.option("--untagged", is_flag=True, help="Delete the images without a tag, too: nobody deploys by digest here.")
@click.option("--dry-run", is_flag=True, help="Say what would be marked and deleted, and change nothing.")
@with_store
def gc(run: Run, older_than: float, untagged: bool, dry_run: bool) -> None:
    """Delete what nothing refers to any more, in two runs.

    The first run marks what nothing refers to. A later one deletes what it finds marked long enough and still without
    a reference. Publishers may be at work all the time, but for an old docker-registry that goes on writing there.
    """
    with run.writing():
        collected = Collection(run.store, run.jobs, run.report).collect(older_than, untagged=untagged, dry_run=dry_run)
    if run.as_json:
        print_json(
            {
                "dry_run": dry_run,
                "marked": list(collected.marked),
                "deleted": list(collected.deleted),
                "freed": collected.freed,
                "until": None if collected.until is None else time_of(collected.until),
            }
        )
        return
    if dry_run:
        print_lines([*(f"mark    {key}" for key in collected.marked), *(f"delete  {key}" for key in collected.deleted)])
    print_lines([_summary(collected, dry_run)])


def _summary(collected: Collected, dry_run: bool) -> str:
    marked, deleted, freed = len(collected.marked), len(collected.deleted), readable(collected.freed)
    if dry_run:
        return f"to mark: {marked}, to delete: {deleted}, to free: {freed}"
    line = f"marked: {marked}, deleted: {deleted}, freed: {freed}"
    if collected.until is None:
        return line
    return f"{line}; run sdr gc again at {time_of(collected.until)} or later to delete what is marked"
