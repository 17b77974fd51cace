"""Load for HTTP servers: ``wrk`` for as much as goes, ``h2load`` at a pace; and connections that only stay open."""

import json
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.questions import Ask

CONNECTIONS = 32

# Requests are made before the measurement; each connection goes on where another one stopped.
_SCRIPT = """
local lines, at = {}, 0
for line in io.lines("%s") do lines[#lines + 1] = line end
local headers = {%s}
local made = {}
function init(args)
  for i, line in ipairs(lines) do
    local method, path = line:match("(%%S+) (%%S+)")
    made[i] = wrk.format(method, path, headers)
  end
end
function request()
  at = at %% #made + 1
  return made[at]
end
function done(summary, latency, requests)
  local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  print(string.format("RESULT %%.3f %%d %%d", summary.requests / (summary.duration / 1e6), errors, summary.requests))
end
"""


class Unanswered(Exception):
    """A server left requests without an answer."""


class Load:
    """Requests for a server on this machine.

    :param folder: for files of its own.
    :param asks: what is asked, over and over.
    :param headers: of each request.
    :param close: have the connection closed after each answer.
    :param heads: there are HEADs: ``wrk`` would wait for the body that their Content-Length speaks of.
    """

    def __init__(
        self, folder: Path, asks: Sequence[Ask], headers: Mapping[str, str], *, close: bool, heads: bool
    ) -> None:
        self._heads = heads
        self._file, self._script = folder / "asked.txt", folder / "asked.lua"
        self._file.write_text("".join(f"{ask.method} {ask.path}\n" for ask in asks))
        sent = {**headers, **({"Connection": "close"} if close else {})}
        fields = ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in sent.items())
        self._script.write_text(_SCRIPT % (self._file, fields))

    def saturate(self, port: int, seconds: int, core: int | str, *, tls: bool) -> float:
        """Ask as fast as answers come; return the requests a second.

        :raise Unanswered: if requests failed.
        """
        if self._heads:
            loop = [sys.executable, "-m", "bench.asker", str(port), str(self._file), str(seconds), str(CONNECTIONS)]
            return float(_run(core, loop))
        url = f"http{'s' * tls}://127.0.0.1:{port}"
        told = _run(core, ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(self._script), url])
        found = re.search(r"^RESULT ([0-9.]+) (\d+) (\d+)$", told, re.MULTILINE)
        # With a connection each, those that the end of the measurement finds are cut.
        if found is None or int(found[2]) > CONNECTIONS:
            raise Unanswered(f"{url}\n{told}")
        return float(found[1])


def pace(
    url: str, asks: Sequence[Ask], headers: Mapping[str, str], rate: float, seconds: int, core: int, folder: Path
) -> list[float]:
    """Ask at a rate, on connections that are kept; return how long each answer took, sorted, in seconds.

    Only GET, for ``h2load`` can do no other; the first second is left out.
    """
    log, file = folder / "paced.log", folder / "paced.txt"
    log.unlink(missing_ok=True)
    file.write_text("".join(f"{url}{ask.path}\n" for ask in asks if ask.method == "GET"))
    sent = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    each = max(1, round(rate / CONNECTIONS))
    command = ["h2load", "--h1", "-t1", f"-c{CONNECTIONS}", f"--rps={each}", f"-D{seconds}s", f"-i{file}", *sent]
    told = _run(core, [*command, f"--log-file={log}"])
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    if not rows or any(status == "-1" for _, status, _ in rows):
        raise Unanswered(told)
    start = int(rows[0][0])
    return sorted(int(took) / 1e6 for began, _, took in rows if int(began) > start + 1_000_000)


def hold(port: int, count: int, request: bytes, *, tls: bool) -> list[socket.socket]:
    """Open connections, have one request answered on each, and leave them open."""
    context = ssl._create_unverified_context() if tls else None
    held: list[socket.socket] = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port))
        if context is not None:
            connection = context.wrap_socket(connection)
        connection.sendall(request)
        if not connection.recv(65536).startswith(b"HTTP/1.1 "):
            raise Unanswered(f"a connection to port {port}")
        held.append(connection)
    return held


def _run(core: int | str, command: Sequence[str]) -> str:
    done = subprocess.run(["taskset", "-c", str(core), *command], capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise Unanswered(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout
