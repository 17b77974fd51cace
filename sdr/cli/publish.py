"""``sdr publish``."""

from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

import click

from sdr.cli.arguments import parse_tag, parse_target
from sdr.cli.options import Run, parsed, with_store
from sdr.cli.output import account_result, print_json, print_lines
from sdr.publish.expecting import Expected
from sdr.publish.groups import Group
from sdr.publish.image import Image
from sdr.publish.member import Wanted
from sdr.publish.platforms import Platform
from sdr.publish.publisher import Publication, Publisher
from sdr.publish.sources.opening import Source, Sources


class _Pair(NamedTuple):
    """An image and where it goes: ``NAME`` and ``TAG``."""

    source: Source
    target: tuple[str, str]


def _pairs(context: click.Context, argument: click.Parameter, rest: tuple[str, ...]) -> tuple[_Pair, ...]:
    """Read the arguments after the first two."""
    if len(rest) % 2:
        raise click.UsageError(f"no NAME[:TAG] follows {rest[-1]!r}: each SOURCE wants one", context)
    try:
        return tuple(
            _Pair(Source.parse(source), parse_target(target))
            for source, target in zip(rest[::2], rest[1::2], strict=True)
        )
    except ValueError as error:
        raise click.BadParameter(str(error), context, argument, "'SOURCE NAME[:TAG]'") from error


@click.command(short_help="Publish an image, or several.")
@click.option(
    "--also-tag",
    "also",
    multiple=True,
    metavar="TAG",
    type=parsed("TAG", parse_tag),
    help="Tag it so, too; may be given again.",
)
@click.option(
    "--if-tag",
    metavar="absent|DIGEST",
    type=parsed("IF_TAG", Expected.parse),
    help="Refuse unless no such tag is there yet, or it is DIGEST by now.",
)
@click.option(
    "--platform",
    type=parsed("OS/ARCH", Platform.parse),
    metavar="OS/ARCH[/VARIANT]",
    help="Publish this one of a multi-platform image.",
)
@click.option(
    "--schema2",
    is_flag=True,
    help="Convert its manifests to docker's types, for docker 1.10 to 17.05: the digest changes.",
)
@click.option(
    "--v1",
    "also_v1",
    is_flag=True,
    help="Write it for protocol v1, too, for docker 0.9 to 17.05: of several platforms linux/amd64.",
)
@click.argument("source", type=parsed("SOURCE", Source.parse))
@click.argument("target", metavar="NAME[:TAG]", type=parsed("NAME", parse_target))
@click.argument("rest", metavar="[SOURCE NAME[:TAG]]...", nargs=-1, callback=_pairs)
@with_store
def publish(
    run: Run,
    also: tuple[str, ...],
    if_tag: Expected | None,
    platform: Platform | None,
    schema2: bool,
    also_v1: bool,
    source: Source,
    target: tuple[str, str],
    rest: tuple[_Pair, ...],
) -> None:
    """Publish an image, or several.

    SOURCE is docker-archive:FILE[:REF] (what docker save writes), oci:DIR[:REF] or oci-archive:FILE[:REF]. REF says
    which image, where there are several: a name, @N for the N-th (from 0), or @DIGEST.

    The last line on standard output is NAME:TAG@DIGEST. Progress goes to standard error.

    Several images are quicker in one command than in one each: small ones are published together. The options are for
    each of them; standard output has a line for each, in their order, as soon as it is published, with --json an object
    a line. The first that fails ends the command.

    With --v1 the image is published for protocol v2 first, and told even if protocol v1 then fails. --if-tag guards
    only its tags for protocol v2.
    """
    waiting, group, open_files = deque((_Pair(source, target), *rest)), Group(alone=also_v1), ExitStack()
    while waiting or group.wanted:
        with run.writing(), open_files:
            sources = open_files.enter_context(Sources(run.jobs, run.report))
            while waiting and group.takes(waiting[0].target[0], _tags(waiting[0], also), sources.open_files.count):
                pair = waiting.popleft()
                with group.opening():
                    image = sources.image(pair.source, platform)
                    more: dict[str, object] = {}
                    if schema2:
                        image, more = _in_schema2(run, pair, image, sources.open_files)
                    group.add(Wanted(image, pair.target[0], _tags(pair, also)), more)
            publishes = _with_v1 if also_v1 else _publish
            published = publishes(run, group, if_tag)
            for publication, has_written, _ in published:
                if not has_written:
                    of = f"{publication.name}:{publication.tag}: " if rest else ""
                    run.report.say(f"{of}already published, nothing written")
            # What is for the next group is read then.
            open_files = open_files.pop_all() if group.late and not group.failure else ExitStack()
        # Between the bars: a terminal may show both.
        for publication, _, more in published:
            if run.as_json:
                print_json(_result(publication) | more, as_line=bool(rest))
            else:
                print_lines([str(publication)])
        if group.failure is not None:
            raise group.failure
        group = group.late or Group(alone=also_v1)


#: What was published, whether anything was written for it, and what more there is to say for scripts.
_Published = tuple[Publication, bool, dict[str, object]]


def _tags(pair: _Pair, also: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((pair.target[1], *also)))


def _publish(run: Run, group: Group, if_tag: Expected | None) -> list[_Published]:
    publications, failure = Publisher(run.store, run.jobs, run.report).publish_all(group.wanted, if_tag)
    # That of opening a source is of a later one.
    group.failure = failure or group.failure
    return [
        (publication, bool(publication.account.written), more)
        for publication, more in zip(publications, group.more, strict=False)
    ]


# What only these options need takes a while to import.


def _with_v1(run: Run, group: Group, if_tag: Expected | None) -> list[_Published]:
    from sdr.cli.v1 import v1_result
    from sdr.publish.v1.publishing import V1Publishing

    found = []
    for wanted in group.wanted:
        publishing = V1Publishing(run.store, run.jobs, run.report, wanted.name)
        chain = publishing.check(wanted.image)
        for publication, has_written, more in _publish(run, group, if_tag):
            try:
                for_v1 = publishing.publish(chain, wanted.tags)
            except Exception as error:
                # Its tags have moved for protocol v2: that is told, and then what has failed.
                group.failure = error
                found.append((publication, True, more))
            else:
                has_written |= bool(for_v1.account.written)
                found.append((publication, has_written, more | {"v1": v1_result(for_v1)}))
    return found


def _in_schema2(run: Run, pair: _Pair, image: Image, open_files: ExitStack) -> tuple[Image, dict[str, object]]:
    from sdr.publish.sources.schema2 import to_schema2

    converted = to_schema2(image, pair.source.path, open_files, run.jobs, run.report)
    old, new = image.root.digest, converted.root.digest
    if new != old:
        run.report.say(f"{pair.target[0]}: in docker's schema 2 its digest is another: {old} -> {new}")
    return converted, {"converted_from": str(old)}


def _result(publication: Publication) -> dict[str, object]:
    return {
        "name": publication.name,
        "tag": publication.tag,
        "tags": list(publication.tags),
        "digest": str(publication.digest),
        "media_type": publication.media_type,
        "size": publication.size,
        **account_result(publication.account),
    }
