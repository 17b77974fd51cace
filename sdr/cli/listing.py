"""``sdr ls``."""

import click

from sdr.cli.arguments import parse_name
from sdr.cli.options import Run, parsed, with_store
from sdr.cli.output import print_json, print_lines, print_table, time_of
from sdr.publish.listing import ListedTag, Listing
from sdr.publish.progress import readable

_HEADINGS = ("TAG", "DIGEST", "PLATFORMS", "SIZE", "MODIFIED")
#: Only where there is something to say.
_V1_HEADING = "V1"
#: How much of a long id docker shows.
_SHORT = 12


@click.command(short_help="List the repositories, or the tags of one.")
@click.argument("name", required=False, type=parsed("NAME", parse_name))
@with_store
def ls(run: Run, name: str | None) -> None:
    """List the repositories, one a line, or the tags of one.

    Of each tag: its digest, the platforms, the size of all their configs and layers, and when it was last written, in
    UTC. Where a tag is there for protocol v1, too, the column V1 has the beginning of its image's id.
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
        has_v1 = any(tag.v1 for tag in tags)
        headings = (*_HEADINGS, _V1_HEADING) if has_v1 else _HEADINGS
        print_table([headings, *(_row(tag, has_v1=has_v1) for tag in tags)])


def _result(tag: ListedTag) -> dict[str, object]:
    return {
        "tag": tag.tag,
        "digest": str(tag.digest),
        "media_type": tag.media_type,
        "size": tag.size,
        "platforms": [str(platform) for platform in tag.platforms],
        "modified": time_of(tag.modified),
        "v1": tag.v1,
    }


def _row(tag: ListedTag, *, has_v1: bool) -> tuple[str, ...]:
    platforms = ",".join(map(str, tag.platforms)) or "-"
    size = "?" if tag.size is None else readable(tag.size)
    cells = tag.tag, str(tag.digest), platforms, size, time_of(tag.modified)
    return (*cells, tag.v1[:_SHORT] if tag.v1 else "-") if has_v1 else cells
