"""The access log's file: opened anew when it was moved away, and of no consequence for clients when it is full."""

import os
from contextlib import suppress

from twisted.application.service import Service
from twisted.logger import Logger

from sdr.endpoint.access import Access, Form


class AccessLog:
    """Appends a line a request; each is one write, so several processes may share a file.

    :param path: a file, or ``-`` for standard output.
    :param form: makes the line.
    :param handed: the file, where another process has opened it already.
    """

    _events = Logger()

    def __init__(self, path: str, form: Form, handed: int | None = None) -> None:
        self._path = path
        self._form = form
        self._handed = handed
        self._descriptor: int | None = None
        self._torn = False
        self._fails = False

    @property
    def descriptor(self) -> int | None:
        """The file, while it is open."""
        return self._descriptor

    def open(self) -> None:
        """Open the file.

        :raise OSError: if that cannot be.
        """
        self.close()
        handed, self._handed = self._handed, None
        self._descriptor = self._opened() if handed is None else handed

    def reopen(self) -> None:
        """Open the file anew, for its name may be another file's by now; the old one is kept if that cannot be."""
        if self._descriptor is None or self._path == "-":
            return
        try:
            fresh = self._opened()
        except OSError as error:
            self._events.warn(
                "the access log {path} cannot be opened anew: {reason}; its lines go where they went before",
                path=self._path,
                reason=error.strerror or str(error),
            )
            return
        self.close()
        self._descriptor = fresh
        self._events.info("the access log {path} is opened anew", path=self._path)

    def write(self, access: Access) -> None:
        """Write a request's line; where that fails (a full disk), its client must have its answer nonetheless."""
        if self._descriptor is None:
            return
        line = self._form(access).encode("ascii", "backslashreplace") + b"\n"
        if self._torn:
            line = b"\n" + line
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            if not self._fails:
                self._events.warn(
                    "the access log {path} cannot be written: {reason}; requests are not logged until it can",
                    path=self._path,
                    reason=error.strerror or str(error),
                )
            self._fails = True
            return
        # The rest of a line that the disk had no room for is lost, and the next one begins a line of its own.
        self._torn = written < len(line)
        if self._fails and not self._torn:
            self._fails = False
            self._events.info("the access log {path} can be written again", path=self._path)

    def close(self) -> None:
        """Close the file."""
        descriptor, self._descriptor, self._torn = self._descriptor, None, False
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)

    def _opened(self) -> int:
        if self._path == "-":
            # The descriptor, not sys.stdout: twistd puts its log in the place of that.
            return os.dup(1)
        # A pipe's writer must not wait for a reader: the whole endpoint would.
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)


class AccessLogService(Service):
    """Has the access log open for as long as the endpoint runs."""

    name = "access log"

    def __init__(self, log: AccessLog) -> None:
        self._access_log = log
        self._is_open = False

    def privilegedStartService(self) -> None:
        """Open the file while the program may still write where only root may."""
        super().privilegedStartService()
        self._open()

    def startService(self) -> None:
        """Open the file, unless it is."""
        super().startService()
        self._open()

    def stopService(self) -> None:
        """Close the file."""
        super().stopService()
        self._is_open = False
        self._access_log.close()

    def _open(self) -> None:
        if self._is_open:
            return
        try:
            self._access_log.open()
        except OSError as error:
            raise SystemExit(f"sdr: --access-log {error.filename}: it cannot be written: {error.strerror}") from error
        self._is_open = True
