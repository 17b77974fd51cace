"""Gives a process a share of a core, by a control group: so that more of them can be measured than there are cores."""

from pathlib import Path
from types import TracebackType
from typing import Self

_ROOT = Path("/sys/fs/cgroup")
_PERIOD = 10_000


class NoGroups(Exception):
    """There are no control groups to be had."""


class Share:
    """A control group of one process.

    :param pid: the process; all of its threads.
    :param share: of a core, such as 0.4: in each 10 ms it may run for so much.
    :raise NoGroups: if there are no control groups, or they are not this user's.
    """

    def __init__(self, pid: int, share: float) -> None:
        first = _ROOT / "cpu"  # of version 1, which has a tree for each resource
        self._folder = (first if first.is_dir() else _ROOT) / f"sdr-bench-{pid}"
        try:
            self._folder.mkdir()
        except OSError as error:
            raise NoGroups(f"no control group for a share of a core: {error}") from error
        try:
            if first.is_dir():
                self._write("cpu.cfs_period_us", str(_PERIOD))
                self._write("cpu.cfs_quota_us", str(round(share * _PERIOD)))
            else:
                (_ROOT / "cgroup.subtree_control").write_text("+cpu")
                self._write("cpu.max", f"{round(share * _PERIOD)} {_PERIOD}")
            self._write("cgroup.procs", str(pid))
        except OSError as error:
            self._folder.rmdir()
            raise NoGroups(f"no control group for a share of a core: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the group; the process must have ended."""
        self._folder.rmdir()

    def _write(self, name: str, value: str) -> None:
        self._folder.joinpath(name).write_text(value)
