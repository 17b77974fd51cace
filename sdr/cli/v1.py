"""``sdr v1``."""

import click

from sdr.cli.arguments import parse_target
from sdr.cli.options import Run, parsed, with_store
from sdr.cli.output import account_result, print_json, print_lines
from sdr.publish.platforms import Platform
from sdr.publish.v1.publishing import V1Publication, V1Publishing, published_image


@click.command(short_help="Write a published image for docker 0.9 to 17.05, too.")
@click.option(
    "--platform",
    type=parsed("OS/ARCH", Platform.parse),
    metavar="OS/ARCH[/VARIANT]",
    help="Take this one of a multi-platform image; linux/amd64 if not given.",
)
@click.argument("target", metavar="NAME[:TAG]", type=parsed("NAME", parse_target))
@with_store
def v1(run: Run, platform: Platform | None, target: tuple[str, str]) -> None:
    """Write a published image for protocol v1, too: for docker 0.9 to 17.05.

    That is what sdr publish --v1 writes, made of what is in the store; the store copies the layers itself where it can.
    It is done again after each sdr publish that moves the tag without --v1.

    Standard output is NAME:TAG and the id that the image has in protocol v1.
    """
    name, tag = target
    with run.writing():
        publishing = V1Publishing(run.store, run.jobs, run.report, name)
        chain = publishing.check(published_image(run.store, name, tag), platform)
        publication = publishing.publish(chain, [tag])
        if not publication.account.written:
            run.report.say("already published for protocol v1, nothing written")
    if run.as_json:
        print_json({"name": name, "tag": tag, **v1_result(publication)})
    else:
        print_lines([f"{name}:{tag} {publication.id}"])


def v1_result(publication: V1Publication) -> dict[str, object]:
    """Return what was written for protocol v1, for scripts."""
    return {"id": publication.id, "images": list(publication.ids), **account_result(publication.account)}
