"""Listing an object store by any prefix and delimiter, from listings by whole parts of a key."""

from collections.abc import Callable, Iterator

from sdr.stores.interface import Stat

#: Lists, in order, what is below a folder (``""`` is all) and after a key (``""`` is from the beginning).
Entries = Callable[[str, str], Iterator[Stat]]

#: So many keys of one common prefix in a row, and the rest of them is passed over by a new request: it is one page.
PASSED_OVER = 1000

# No key of a tree has a character after it.
_LAST = "~"


def listed(entries: Entries, prefix: str, delimiter: str, *, passed_over: int = PASSED_OVER) -> Iterator[Stat | str]:
    """List what begins with a prefix; with a delimiter, what lies deeper is told by its common prefix.

    :param entries: lists by whole parts of a key.
    :param passed_over: how many keys of one common prefix are read before the rest of them is passed over; 0: all.
    """
    folder, _, name = prefix.rpartition("/")
    after, told, told_again = _before(prefix) if name else "", "", 0
    while True:
        for found in entries(folder, after):
            if not found.key.startswith(prefix):
                if found.key > prefix:
                    return
                continue
            until = found.key.find(delimiter, len(prefix)) if delimiter else -1
            if until < 0:
                yield found
            elif told != found.key[: until + 1]:
                told, told_again = found.key[: until + 1], 0
                yield told
            else:
                told_again += 1
                if told_again == passed_over:
                    after, told_again = max(found.key, told + _LAST), 0
                    break
        else:
            return


def _before(prefix: str) -> str:
    """Return what sorts before everything that begins with a prefix, and after nearly all that sorts before that."""
    before = chr(ord(prefix[-1]) - 1)
    # A slash could make a part that is empty, which no key has.
    return prefix[:-1] + (before if before != "/" else ".") + _LAST
