"""``sdr check``."""

import sys

import click

from sdr.cli.arguments import parse_name
from sdr.cli.options import Run, cdn_option, parsed, with_store
from sdr.cli.output import FAILED, print_json, print_lines
from sdr.publish.check.checking import Checker
from sdr.publish.check.findings import Checked
from sdr.publish.check.reading import Reader


@click.command(short_help="Check that clients find everything whole.")
@cdn_option("Read what clients read through this CDN.")
@click.option("--deep", is_flag=True, help="Read every blob and layer to its end and compute its digest.")
@click.argument("name", required=False, type=parsed("NAME", parse_name))
@with_store
def check(run: Run, cdn: str | None, deep: bool, name: str | None) -> None:
    """Read everything, or one repository, as clients of each protocol do, and list what is wrong.

    Standard output has one line for each finding. With any, the exit code is 1.
    """
    with run.report:
        checked = Checker(run.store, run.jobs, run.report, _reader(cdn, run.at_once)).check(name=name, deep=deep)
        for line in (*checked.notes, str(checked)):
            run.report.say(line)
    if run.as_json:
        print_json(_result(checked))
    else:
        print_lines(map(str, checked.findings))
    if checked.findings:
        sys.exit(FAILED)


def _reader(cdn: str | None, connections: int) -> Reader | None:
    if cdn is None:
        return None
    # Only here: no other command should wait for an HTTP client to be loaded.
    from sdr.publish.check.web_reader import WebReader

    return WebReader(cdn, connections=connections)


def _result(checked: Checked) -> dict[str, object]:
    return {
        "objects": checked.objects,
        "size": checked.size,
        "findings": [
            {
                "key": finding.key,
                "fault": finding.fault,
                "detail": finding.detail,
                "clients": dict(finding.clients),
            }
            for finding in checked.findings
        ],
        "notes": list(checked.notes),
    }
