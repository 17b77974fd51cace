"""Ranges of bytes (RFC 9110, section 14); pure."""

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))")


@dataclass(frozen=True, slots=True)
class Part:
    """What of a file is asked for, from its first byte to before ``end``."""

    start: int
    end: int


class Unsatisfiable(ValueError):
    """The range asked for is not within the file."""


def read_range(text: str, size: int) -> Part | None:
    """Read a ``Range`` header.

    :param size: of the file, in bytes.
    :return: ``None`` for what is not one range of bytes: a server may send the whole file then.
    :raise Unsatisfiable: if the file has no such part.
    """
    found = _RANGE.fullmatch(text.replace(" ", ""))
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        if not int(suffix) or not size:
            raise Unsatisfiable
        return Part(max(0, size - int(suffix)), size)
    if last is not None and int(last) < int(first):
        return None
    if int(first) >= size:
        raise Unsatisfiable
    return Part(int(first), min(size, int(last) + 1) if last is not None else size)
