"""Trying whether a store has conditional writes: some refuse them, and some take them and ignore the condition."""

import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from sdr.stores.interface import ANY_VERSION, AnyVersion, Changed, StoreError
from sdr.stores.object_errors import Refused

#: Where it is tried; no repository's name begins so.
PROBES = "_probe/"

#: The MD5 of nothing that is written here.
WRONG = "00000000000000000000000000000000"

#: How often it is tried in all.
TIMES = 3


class Probed(Protocol):
    """A store that is being tried. Each write is one request, or as many as a store needs that asks for patience."""

    def write(self, key: str, data: bytes, replaces: str | AnyVersion | None) -> str:
        """Write, on condition perhaps, and return the version.

        :raise Changed: if the condition did not hold.
        :raise Refused: if the store does not know conditions.
        """
        ...

    def remove(self, key: str) -> None:
        """Delete the object."""
        ...


def has_conditional_writes(store: Probed, *, token: Callable[[], str] = lambda: secrets.token_hex(16)) -> bool:
    """Tell whether a store writes only what is not there yet, and only over the version that it is told.

    :raise StoreError: if it cannot be tried, for want of a permission for example.
    """
    for _ in range(TIMES):
        try:
            return _try(store, PROBES + token())
        except Changed:
            # Perhaps it was written, the answer was lost, and the second try met what the first had written.
            continue
        except Refused:
            return False
    return False


def _try(store: Probed, key: str) -> bool:
    """Try it with one key.

    :raise Changed: if the store denies that what it has is the version that it told.
    """
    try:
        # Without a condition: who may not write is told so, and not that there are no conditions.
        first = store.write(key, b"1", ANY_VERSION)
        return (
            _is_changed(store, key, None) and _is_changed(store, key, WRONG) and store.write(key, b"2", first) != first
        )
    finally:
        # Who may write need not be allowed to delete.
        with suppress(StoreError):
            store.remove(key)


def _is_changed(store: Probed, key: str, replaces: str | None) -> bool:
    try:
        store.write(key, b"x", replaces)
    except Changed:
        return True
    return False
