"""The ``sdr`` command: the composition root of the publishing side."""

from sdr.cli.arguments import parse_target
from sdr.cli.group import main

__all__ = ["main", "parse_target"]
