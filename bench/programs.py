"""Finds the programs that a measurement needs."""

from unittest import SkipTest

from tests.real import programs


def required(name: str, package: str) -> str:
    """Return the path of a program.

    :param package: the Debian package that has it.
    :raise SystemExit: if it is not there.
    """
    try:
        return programs.required(name, package)
    except (SkipTest, AssertionError) as error:
        raise SystemExit(str(error)) from None
