"""Telling a person how far a publish is; always on standard error, so that standard output is for the result."""

from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self, TextIO


class Task(Protocol):
    """One object under way."""

    def moved(self, size: int) -> None:
        """So many bytes more."""
        ...

    def ended(self, outcome: str) -> None:
        """End it; ``outcome`` is what became of it, such as ``written``."""
        ...

    def dropped(self) -> None:
        """End it without a word: whoever made nothing of it tells why."""
        ...


class Report(Protocol):
    """What is told of a publish. Thread-safe; used in a ``with``."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def begin(self, label: str, size: int) -> Task:
        """Begin with an object of so many bytes."""
        ...

    def say(self, text: str) -> None:
        """Tell one line."""
        ...


class Silent:
    """Tells nothing; also the task of it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def begin(self, label: str, size: int) -> Task:
        """Begin, silently."""
        return self

    def say(self, text: str) -> None:
        """Say nothing."""

    def moved(self, size: int) -> None:
        """Count nothing."""

    def ended(self, outcome: str) -> None:
        """End, silently."""

    def dropped(self) -> None:
        """End, silently."""


class Lines(Silent):
    """One line an object, once it is finished: for logs."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def begin(self, label: str, size: int) -> Task:
        """Begin; the line comes at the end."""
        return _LineTask(self, label, size)

    def say(self, text: str) -> None:
        """Tell one line."""
        # What is told is no part of the result: a log whose disk is full, or whose reader has gone, stops nothing.
        with suppress(OSError):
            # In one piece, or two threads' lines would mix.
            self._out.write(f"{text}\n")
            self._out.flush()


class _LineTask(Silent):
    def __init__(self, lines: Lines, label: str, size: int) -> None:
        self._lines, self._label, self._size = lines, label, size

    def ended(self, outcome: str) -> None:
        self._lines.say(f"{outcome:<7}  {self._label}  {readable(self._size)}")


def readable(size: int) -> str:
    """Return a size in bytes as people write it, such as ``12.3 MB``."""
    if size < 1000:
        return f"{size} B"
    amount, units = size / 1000, ["kB", "MB", "GB", "TB"]
    while amount >= 999.95 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{amount:.1f} {units[0]}"
