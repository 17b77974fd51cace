"""`--check-config`: everything that a start would trip over, without starting."""

from collections.abc import Callable, Iterable


def complaints(checks: Iterable[Callable[[], object]], expected: tuple[type[BaseException], ...]) -> tuple[str, ...]:
    """Return what is wrong, a line each; nothing where all is well.

    :param checks: each reads one thing as the start would: the certificates, the addresses to listen on.
    :param expected: what they raise for a person to read; anything else is a mistake of the program.
    """
    found = []
    for check in checks:
        try:
            check()
        except expected as error:
            found.append(" ".join(str(error).splitlines()))
    return tuple(found)


def verdict(found: Iterable[str]) -> tuple[str, int]:
    """Return what `--check-config` prints, and its exit code."""
    lines = [f"sdr: {line.removeprefix('sdr: ')}" for line in found]
    return ("\n".join(lines), 1) if lines else ("OK", 0)
