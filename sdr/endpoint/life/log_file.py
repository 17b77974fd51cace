"""The file of `twistd --logfile`: opened anew when it was moved away, and rotated by Twisted when it was not."""

import os
from typing import Any, cast

from twisted.application.app import ServerOptions
from twisted.application.service import MultiService
from twisted.logger import ILogObserver, Logger, textFileLogObserver
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile


class MovableLog:
    """Twisted's log file, and a second one where the first was moved away.

    Twisted's own answer to SIGUSR1 renames the file under the log's name: what logrotate has put there, or nothing.

    :param path: as twistd was told.
    """

    _log = Logger()

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        self._file: _NotedFile | None = None

    def observer(self) -> ILogObserver:
        """Open the file, and return what writes to it."""
        self._file = _NotedFile.fromFullPath(self._path)
        return cast(ILogObserver, textFileLogObserver(cast(Any, self)))

    def write(self, text: str) -> None:
        """Write."""
        if self._file is not None:
            self._file.write(text)

    def flush(self) -> None:
        """See that what was written is."""
        if self._file is not None:
            self._file.flush()

    def reopen(self) -> None:
        """Open the file anew if its name is another's by now, and else rotate it; go on with it if neither can be."""
        before = self._file
        if before is None:
            return
        try:
            if before.is_in_place():
                before.rotate()
            else:
                self._file = _NotedFile.fromFullPath(self._path)
                before.close()
        except OSError as error:
            self._log.warn(
                "the log {path} cannot be opened anew: {reason}; its lines go where they went before",
                path=self._path,
                reason=error.strerror or str(error),
            )


class _NotedFile(LogFile):
    """A log file that knows which one it is."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._note()

    def is_in_place(self) -> bool:
        """Tell whether what has the log's name is what is written to."""
        return _identity(self.path) == self._written

    def rotate(self) -> None:
        """Rotate as Twisted does, now and when the file is large."""
        super().rotate()
        self._note()

    def _note(self) -> None:
        self._written = _identity(self.path)


class LoggedServices(MultiService):
    """The services of an application that twistd is to log for.

    :param log: where to; twistd decides, if nothing.
    """

    def __init__(self, log: MovableLog | None) -> None:
        super().__init__()
        self.log = log

    def setServiceParent(self, parent: Any) -> None:
        """Tell the application of the log, where twistd looks for one."""
        if self.log is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.log.observer())
        super().setServiceParent(parent)


def log_of(twistd: object) -> MovableLog | None:
    """Return the log file that twistd would open; nothing if it would not, or if its user has another log.

    :param twistd: its options.
    """
    if not isinstance(twistd, ServerOptions) or twistd.get("logger") or twistd.get("syslog"):
        return None
    # A daemon has a log file, whatever it was told.
    path = twistd.get("logfile") or ("-" if twistd.get("nodaemon") else "twistd.log")
    return None if path == "-" else MovableLog(path)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
