"""What the command writes: results on standard output; progress and one line for what is wrong on standard error."""

import json
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import NoReturn

from sdr.publish.progress import Lines, Report, Silent
from sdr.publish.writing import Account

#: Exit codes: what was asked for was refused or failed; the command line makes no sense; Ctrl-C, as shells count it.
FAILED, USAGE, INTERRUPTED = 1, 2, 128 + signal.SIGINT

#: Longer messages are cut, in characters: some quote what a source says.
MESSAGE = 1500


def choose_report(quiet: bool) -> Report:
    """Return what tells of the progress: bars on a terminal, lines in a log."""
    # Python has no stream where the shell has closed the descriptor.
    if quiet or sys.stderr is None:
        return Silent()
    if not sys.stderr.isatty():
        return Lines(sys.stderr)
    # Where nobody sees them, drawing them need not be loaded.
    from sdr.publish.bars import Bars

    return Bars(sys.stderr)


def print_lines(lines: Iterable[str]) -> None:
    """Print a result for people."""
    _print("".join(f"{printable(line)}\n" for line in lines))


def print_json(result: Mapping[str, object], *, as_line: bool = False) -> None:
    """Print a result for scripts; as one line where others follow."""
    _print(json.dumps(result, indent=None if as_line else 2) + "\n")


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows, the columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print_lines("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def account_result(account: Account) -> dict[str, object]:
    """Return what was written, for scripts."""
    return {
        "written": {"objects": len(account.written), "bytes": account.written_bytes},
        "skipped": {"objects": account.skipped, "bytes": account.skipped_bytes},
        "keys": list(account.written),
    }


def time_of(seconds: float) -> str:
    """Return a time as it is printed: in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def printable(text: str) -> str:
    """Return one line, whatever a source or a store has put into it."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def fail(message: str, code: int) -> NoReturn:
    """Print one line and exit."""
    line = printable(message)
    if len(line) > MESSAGE:
        line = f"{line[:MESSAGE]} …"
    # Where standard error is closed, print() would take standard output, which is for the result.
    if sys.stderr is not None:
        with suppress(OSError):
            print(f"sdr: error: {line}", file=sys.stderr)
    sys.exit(code)


def _print(text: str) -> None:
    """Print now: a script must not take a result for printed when the disk is full."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), end="", flush=True)
    except OSError as error:
        # Else Python would try again at its end, and complain in its own way.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        fail(f"standard output: {error.strerror or error}; what it was to tell is done", FAILED)
