"""The tables of bench/README.md: servers side by side, and their ratios."""

import os
import platform
import re
import ssl
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was measured.

    :param found: what of each server, a round each; the first server is what the others are compared with.
    :param form: writes a value.
    """

    label: str
    found: Sequence[Sequence[float]]
    form: Callable[[float], str]

    def line(self) -> str:
        """Return it as a line of a table: medians, and medians of the rounds' ratios with their least and most."""
        first, *others = self.found
        cells = [self.label, self.form(statistics.median(first))]
        for found in others:
            ratios = [value / base for value, base in zip(found, first, strict=True)]
            spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
            cells += [self.form(statistics.median(found)), f"{statistics.median(ratios):.2f}{spread}"]
        return f"| {' | '.join(cells)} |"


def table(labels: Sequence[str], rows: Sequence[Row]) -> str:
    """Return a table in Markdown."""
    first, *others = labels
    heads = ["", first, *(head for label in others for head in (label, f"to {first}"))]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *(row.line() for row in rows)]
    return "\n".join(lines)


def machine() -> str:
    """Return a line about this machine and what was measured on it."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    nginx = subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.strip().rpartition("/")[2]
    return (
        f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"Twisted {version('twisted')}, {' '.join(ssl.OPENSSL_VERSION.split()[:2])}, nginx {nginx}."
    )


def write_section(file: Path, name: str, text: str) -> None:
    """Put a text in the place of what stands between the marks of this name in a file."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, found, rest = file.read_text().partition(begin)
    if not found:
        raise ValueError(f"{file} has no line {begin.strip()}")
    file.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}")
