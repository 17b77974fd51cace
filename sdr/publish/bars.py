"""Progress bars: :class:`sdr.publish.progress.Report` for terminals."""

from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from sdr.publish.progress import Task, readable

#: How much of a label fits beside a bar.
LABEL = 40


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
        self.dropped()
        self._bars.say(f"{outcome:<7}  {self._label}  {readable(self._size)}")

    def dropped(self) -> None:
        self._bars.remove(self._task)
