"""Reading a list of repositories as it stands: a million of them are kept as the bytes in which they came.

A list is asked by searching its bytes, so that it weighs what it has of text, and costs no more to read than its check.
"""

import hashlib
import re

from sdr.registry.grammar import NAME_LENGTH, NAME_PATTERN
from sdr.tree.documents import decode_list, encode_list

_LINE = re.compile(rb'\["(%b)","[0-9a-f]{16}"\]\n' % NAME_PATTERN.encode())
_NAME = re.compile(rb'^\["([^"]*)"', re.MULTILINE)
#: What a line has beside the name.
_REST = len('["","0123456789abcdef"]\n')
_REVISION_LENGTH = 16


def check_list(data: bytes, prefix: str) -> bytes:
    """Return a list in its canonical form, in which the functions below read it; else it is as it came.

    :param prefix: the three hex digits that name it.
    :raise BadDocument: if a line is malformed, or names a repository that stands elsewhere.
    """
    return data if _is_canonical(data, prefix) else encode_list(decode_list(data, prefix))


def revision_in(data: bytes, name: str) -> str | None:
    """Return the revision that a list gives a repository, or ``None`` where it does not name it.

    :param data: in canonical form.
    :param name: a repository's.
    """
    # With its quotes a name is found at the beginning of its line only.
    line = b'["%b","' % name.encode()
    found = data.find(line)
    if found < 0:
        return None
    start = found + len(line)
    return data[start : start + _REVISION_LENGTH].decode()


def names_in(data: bytes) -> list[bytes]:
    """Return the names in a list, sorted.

    :param data: in canonical form.
    """
    return _NAME.findall(data)


def count_in(data: bytes) -> int:
    """Return how many repositories a list names.

    :param data: in canonical form.
    """
    return data.count(b"\n")


def _is_canonical(data: bytes, prefix: str) -> bool:
    names: list[bytes] = _LINE.findall(data)
    return (
        sum(map(len, names)) + _REST * len(names) == len(data)
        and max(map(len, names), default=0) <= NAME_LENGTH
        and names == sorted(set(names))
        and all(hashlib.sha256(name).hexdigest()[:3] == prefix for name in names)
    )
