"""One request to a bucket: where a key is in it, what an answer says, and what is tried again."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from sdr.stores.interface import NotReachable, Served, Stat, StoreError
from sdr.stores.object_errors import translated
from sdr.stores.object_options import Opened
from sdr.stores.object_throttling import retry_after
from sdr.stores.retrying import Busy, Patience

T = TypeVar("T")

#: What has failed for so many seconds is not begun anew.
LONGEST = 150.0


class _GivenUp(Exception):
    """What failed for too long."""

    def __init__(self, error: NotReachable) -> None:
        super().__init__(error)
        self.error = error


class Requests:
    """What is common to all requests to a bucket.

    :param bucket: from :func:`sdr.stores.object_options.opened`.
    :param location: the store as its user wrote it.
    :param patience: how often something is tried again.
    :param clock: the time in seconds.
    :ivar md5: whether the ETag of what was written in one part is taken for the MD5 of its bytes: encryption makes
        other ones, which only a comparison shows.
    """

    def __init__(
        self, bucket: Opened, location: str, patience: Patience, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.service, self.location = bucket.service, location
        #: obstore's stores, see :class:`sdr.stores.object_options.Opened`.
        self.at_once, self.patient = bucket.at_once, bucket.patient
        self.root = f"{bucket.prefix}/" if bucket.prefix else ""
        self.md5 = bucket.service.md5
        self._patience, self._clock = patience, clock

    def path(self, key: str) -> str:
        """Return where a key of the tree is in the bucket."""
        if "\0" in key or any(part in ("", ".", "..") for part in key.split("/")):
            raise StoreError(self.location, key, "not a key")
        return self.root + key

    def retried(self, key: str, call: Callable[[], T]) -> T:
        """Do something, and again while the store is not well; a store that asks for patience is asked for how long."""
        began = self._clock()

        def once() -> T:
            try:
                return call()
            except NotReachable as error:
                if self._clock() - began > LONGEST:
                    raise _GivenUp(error) from error
                if not isinstance(error, Busy):
                    raise
                # obstore does not pass on what an answer has besides its status.
                seconds = retry_after(self.at_once, self.root + (key or "v2"))
                raise Busy(error.store, error.key, error.reason, seconds) from error

        try:
            return self._patience(once)
        except _GivenUp as given_up:
            raise given_up.error from given_up.error.__cause__

    @contextmanager
    def errors(self, key: str) -> Iterator[None]:
        """Say in the store's words what obstore says."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            raise translated(error, self.location, key) from error

    def stat(self, found: Any) -> Stat:
        """Return what obstore says of an object, its key without the store's prefix."""
        stat = self.stat_in_bucket(found)
        return self.in_store(stat)

    def served(self, attributes: Any) -> Served:
        """Return the headers that obstore says an object is sent with."""
        names = ("Content-Type", "Cache-Control", "Content-Encoding", self.service.digest)
        return Served(*(attributes.get(name) for name in names))

    def in_store(self, stat: Stat) -> Stat:
        """Take the store's prefix off a key."""
        return replace(stat, key=stat.key[len(self.root) :]) if self.root else stat

    def stat_in_bucket(self, found: Any) -> Stat:
        """Return what obstore says of an object, under its key in the bucket."""
        version = version_of(found)
        # A dash is in the ETag of what was written in parts: it depends on their size.
        content = version if self.md5 and len(version) == 32 and "-" not in version else ""
        return Stat(found["path"], found["size"], version, found["last_modified"].timestamp(), content)


def version_of(found: Any) -> str:
    """Return an ETag without its quotes, which some services leave out in listings."""
    return str(found["e_tag"] or found["version"] or "").strip('"')
