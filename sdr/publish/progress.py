"""Telling a person how far a publish is; always on standard error, so that standard output is for the result."""

from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

#: How much of a label fits beside a bar.
LABEL = 40


class Task(Protocol):
    """One object under way."""

    def moved(self, size: int) -> None:
        """So many bytes more."""
        ...

    def ended(self, outcome: str) -> None:
        """End it; ``outcome`` is what became of it, such as ``written``."""
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


class Bars:
    """A bar for each object under way: for terminals."""

    def __init__(self, out: TextIO) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=False),
            TransferSpeedColumn(),
            console=Console(file=out),
            transient=True,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, label: str, size: int) -> Task:
        """Show a bar."""
        short = label if len(label) <= LABEL else label[: LABEL - 1] + "…"
        return _BarTask(self, self._progress.add_task(short, total=size), label, size)

    def say(self, text: str) -> None:
        """Tell one line above the bars."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def advance(self, task: TaskID, size: int) -> None:
        """Move one bar on."""
        self._progress.advance(task, size)

    def remove(self, task: TaskID) -> None:
        """Take one bar away."""
        self._progress.remove_task(task)


class _BarTask:
    def __init__(self, bars: Bars, task: TaskID, label: str, size: int) -> None:
        self._bars, self._task, self._label, self._size = bars, task, label, size

    def moved(self, size: int) -> None:
        self._bars.advance(self._task, size)

    def ended(self, outcome: str) -> None:
        self._bars.remove(self._task)
        self._bars.say(f"{outcome:<7}  {self._label}  {readable(self._size)}")


def readable(size: int) -> str:
    """Return a size in bytes as people write it, such as ``12.3 MB``."""
    if size < 1000:
        return f"{size} B"
    amount, units = size / 1000, ["kB", "MB", "GB", "TB"]
    while amount >= 999.95 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{amount:.1f} {units[0]}"
