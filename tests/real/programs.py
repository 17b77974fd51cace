"""Find, start, wait for and stop real programs, and ask them plain HTTP questions."""

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.missing import missing

#: The project's folder; trial changes the current one.
ROOT = Path(__file__).resolve().parents[2]

#: How long a program may take to become ready, and a command to end.
DEADLINE = 60.0


class Failed(Exception):
    """A program did not do what it was told; what it printed is in the message."""


def required(name: str, package: str, *, root: bool = False) -> str:
    """Return the path of a program, or end the test: skipped, or failed where ``CI=true`` says that all must be there.

    :param package: the Debian package that has it.
    :param root: whether the program works for root only.
    """
    # The distribution's own first: a newer client from elsewhere may not speak to its daemon.
    path = shutil.which(name, path=f"/usr/sbin:/usr/bin:{os.environ.get('PATH', '')}")
    if path is None:
        missing(f"{name} is not there: apt-get install {package}")
    if root and os.geteuid() != 0:
        missing(f"{name} needs root")
    return path


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def folder() -> Path:
    """Make a folder that is removed when the tests end; its path is short enough for a socket."""
    made = tempfile.mkdtemp(prefix="sdr-real-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


def until(condition: Callable[[], object], what: str, *, seconds: float = DEADLINE, step: float = 0.05) -> None:
    """Wait until a condition holds, and fail with ``what`` when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"not after {seconds} s: {what}")
        time.sleep(step)


def environment(**changes: str) -> dict[str, str]:
    """Return the environment for a program: this one's, with the project importable and no proxy to this machine."""
    direct = ",".join(filter(None, ["127.0.0.1", "localhost", os.environ.get("no_proxy")]))
    return {**os.environ, "no_proxy": direct, "NO_PROXY": direct, "PYTHONPATH": str(ROOT), **changes}


def installed_only() -> dict[str, str]:
    """Return the environment for a program that is to find only what is installed beside it."""
    return {name: value for name, value in environment().items() if name != "PYTHONPATH"}


def run(
    arguments: Sequence[str],
    *,
    ok: bool | None = True,
    seconds: float = DEADLINE,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end.

    :param ok: fail unless it succeeds; ``False``: unless it does not; ``None``: either will do.
    """
    try:
        done = subprocess.run(
            list(arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env=dict(env) if env is not None else environment(),
            cwd=cwd,
        )
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{' '.join(arguments)}: not over after {seconds} s\n{late.stdout!r}\n{late.stderr!r}") from None
    if ok is not None and ok != (done.returncode == 0):
        raise Failed(f"{' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Process:
    """A program that runs until it is stopped, its output in a file.

    :param arguments: the command line.
    :param env: its environment; the tests' own when none is given.
    """

    #: How long it may take to become ready.
    patience = DEADLINE

    def __init__(self, arguments: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        self.arguments = list(arguments)
        # Tests that are killed take their programs with them.
        setpriv = shutil.which("setpriv")
        self._bound_to_us = [setpriv, "--pdeathsig", "TERM"] if setpriv else []
        self.env = dict(env) if env is not None else environment()
        self._log = folder() / "log"
        self._running: subprocess.Popen[bytes] | None = None

    def ready(self) -> bool:
        """Tell whether the program does its work by now."""
        return True

    def start(self) -> Self:
        """Start the program and wait until it is ready."""
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(
                [*self._bound_to_us, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                process_group=0,
            )
        atexit.register(self.stop)
        try:
            until(lambda: self._ended() or self.ready(), "ready", seconds=self.patience)
            if self._ended():
                raise Failed(f"ended at once with {self._running.returncode}")
        except Failed as why:
            self.kill()
            raise Failed(f"{' '.join(self.arguments)}: {why}\n{self.log()}") from None
        return self

    def _ended(self) -> bool:
        return self._running is None or self._running.poll() is not None

    def send(self, number: signal.Signals) -> None:
        """Send a signal; a program that has ended gets none."""
        if self._running is not None and not self._ended():
            self._running.send_signal(number)

    def wait(self, seconds: float = DEADLINE) -> int:
        """Wait for the program to end by itself and return its exit code."""
        assert self._running is not None
        try:
            return self._running.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"{' '.join(self.arguments)}: not over after {seconds} s\n{self.log()}") from None

    def stop(self, *, seconds: float = 20.0) -> int:
        """End the program and return its exit code; one that has ended already is no error."""
        atexit.unregister(self.stop)
        if self._running is None:
            return 0
        self.send(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self) -> None:
        """End the program and what it has started the hard way, as a crash would."""
        atexit.unregister(self.stop)
        if self._running is not None and not self._ended():
            os.killpg(self._running.pid, signal.SIGKILL)
            self._running.wait()

    def log(self) -> str:
        """Return what the program printed so far."""
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()


@dataclass(frozen=True)
class Response:
    """What a plain HTTP request was answered."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        """Return the body, parsed."""
        return json.loads(self.body)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Leave redirects to the caller."""

    def redirect_request(self, *_: object) -> None:
        """Follow none."""


def fetch(url: str, *, method: str = "GET", follow: bool = False, **headers: str) -> Response:
    """Make one plain HTTP request, whatever the answer's status.

    :param headers: by name, with ``_`` for ``-``.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *([] if follow else [_Stay]))
    request = urllib.request.Request(url, method=method)
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with opener.open(request, timeout=10) as got:
            return Response(got.status, got.headers, got.read())
    except urllib.error.HTTPError as got:
        with got:
            return Response(got.code, got.headers, got.read())


def answers(url: str, status: int = 200) -> bool:
    """Tell whether a URL is answered with this status now."""
    try:
        return fetch(url).status == status
    except OSError:
        return False
