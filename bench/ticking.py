"""``twistd`` with a ticker in its reactor, which notes how long the reactor did nothing else than one thing.

    python -m bench.ticking FILE twistd's own arguments

Appends a line to the file for each stall of more than 1 ms: when it ended, by the monotonic clock; how long it was; and
the processor time of the reactor's thread in it, without what other processes took, all in seconds.
"""

import sys
import time

from twisted.internet import reactor
from twisted.scripts.twistd import run

#: Between two ticks, in seconds.
STEP = 0.001


def main() -> None:
    """Run ``twistd``."""
    path = sys.argv.pop(1)
    notes = open(path, "a", buffering=1)  # noqa: SIM115

    def tick(due: float, used: float) -> None:
        now = time.monotonic()
        if now - due > STEP:
            notes.write(f"{now:.6f} {now - due:.6f} {time.thread_time() - used:.6f}\n")
        reactor.callLater(STEP, tick, time.monotonic() + STEP, time.thread_time())

    reactor.callWhenRunning(lambda: tick(time.monotonic(), time.thread_time()))
    run()


if __name__ == "__main__":
    main()
