"""``sdr ls``."""

import click

from sdr.cli.arguments import parse_name
from sdr.cli.options import Run, parsed, with_store
from sdr.cli.output import print_json, print_lines, print_table, time_of
from sdr.publish.listing import ListedTag, Listing
from sdr.publish.progress import readable

_HEADINGS = ("TAG", "DIGEST", "PLATFORMS", "SIZE", "MODIFIED")


@click.command(short_help="List the repositories, or the tags of one.")
@click.argument("name", required=False, type=parsed("NAME", parse_name))
@with_store
def ls(run: Run, name: str | None) -> None:
    """List the repositories, one a line, or the tags of one.

    Of each tag: its digest, the platforms, the size of all their configs and layers, and when it was last written, in
    UTC.
    """
    listing = Listing(run.store, run.jobs)
    if name is None:
        names = listing.repositories()
        if run.as_json:
            print_json({"repositories": list(names)})
        else:
            print_lines(names)
        return
    tags = listing.tags(name)
    if run.as_json:
        print_json({"name": name, "tags": [_result(tag) for tag in tags]})
    else:
        print_table([_HEADINGS, *(_row(tag) for tag in tags)])


def _result(tag: ListedTag) -> dict[str, object]:
    return {
        "tag": tag.tag,
        "digest": str(tag.digest),
        "media_type": tag.media_type,
        "size": tag.size,
        "platforms": [str(platform) for platform in tag.platforms],
        "modified": time_of(tag.modified),
    }


def _row(tag: ListedTag) -> tuple[str, ...]:
    platforms = ",".join(map(str, tag.platforms)) or "-"
    size = "?" if tag.size is None else readable(tag.size)
    return tag.tag, str(tag.digest), platforms, size, time_of(tag.modified)
