"""``sdr tag``, ``sdr untag`` and ``sdr rm``: what changes or removes what readers may have in a cache."""

import click

from sdr.cli.arguments import parse_digested, parse_reference, parse_tag, parse_tagged
from sdr.cli.options import Run, cdn_option, parsed, with_store
from sdr.cli.output import print_json, print_lines
from sdr.publish.changes import Changes
from sdr.publish.expecting import Expected
from sdr.publish.removal import Removal
from sdr.publish.tagging import Tagging
from sdr.registry.grammar import Digest, Reference

with_cdn = cdn_option("Print URLs of this CDN, instead of paths.")


@click.command(short_help="Give a published image another tag.")
@click.option(
    "--if-tag",
    metavar="absent|DIGEST",
    type=parsed("IF_TAG", Expected.parse),
    help="Refuse unless NEWTAG is not there yet, or is DIGEST by now.",
)
@with_cdn
@click.argument("target", metavar="NAME:TAG", type=parsed("NAME", parse_reference))
@click.argument("new_tag", metavar="NEWTAG", type=parsed("NEWTAG", parse_tag))
@with_store
def tag(run: Run, if_tag: Expected | None, cdn: str | None, target: tuple[str, Reference], new_tag: str) -> None:
    """Give a published image another tag, or move that tag to it.

    NAME@DIGEST names an image as well as NAME:TAG.

    Standard output has the URLs of which a CDN may keep older copies, one a line.
    """
    name, reference = target
    with run.writing():
        changes = Tagging(run.store, run.jobs, run.report).tag(name, reference, new_tag, if_tag)
    _print_changes(run, name, changes, cdn)


@click.command(short_help="Remove a tag.")
@with_cdn
@click.argument("target", metavar="NAME:TAG", type=parsed("NAME", parse_tagged))
@with_store
def untag(run: Run, cdn: str | None, target: tuple[str, str]) -> None:
    """Remove a tag; the image stays, and can be pulled by its digest.

    The tag goes for clients of protocol v1, too, where it is there for these.

    Standard output has the URLs of which a CDN may keep copies, one a line.
    """
    name, old_tag = target
    with run.writing():
        changes = Removal(run.store, run.jobs, run.report).untag(name, old_tag)
    _print_changes(run, name, changes, cdn)


@click.command(short_help="Remove an image, or a whole repository.")
@click.option("--force", is_flag=True, help="Remove even what something else refers to.")
@with_cdn
@click.argument("target", metavar="NAME[@DIGEST]", type=parsed("NAME", parse_digested))
@with_store
def rm(run: Run, force: bool, cdn: str | None, target: tuple[str, Digest | None]) -> None:
    """Remove the manifest of this digest, or a whole repository.

    What would leave a reference broken is refused. Blobs stay: other repositories may share them, and sdr gc deletes
    those that nothing refers to any more. What is removed is removed for clients of protocol v1, too.

    Standard output has the URLs of which a CDN may keep copies, one a line: what has a digest in its URL, up to a year.
    """
    name, digest = target
    with run.writing():
        changes = Removal(run.store, run.jobs, run.report).remove(name, digest, force=force)
    _print_changes(run, name, changes, cdn)


def _print_changes(run: Run, name: str, changes: Changes, cdn: str | None) -> None:
    cached = [f"{cdn or ''}/{key}" for key in changes.cached]
    if run.as_json:
        print_json({"name": name, "written": list(changes.written), "removed": list(changes.removed), "cached": cached})
        return
    if cached:
        run.report.say("a CDN may keep copies of:")
    print_lines(cached)
