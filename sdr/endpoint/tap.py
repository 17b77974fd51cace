"""`twistd sdr`: where an endpoint begins; only here is the reactor named."""

import gc
import signal
import sys
from typing import Any, cast

from twisted.application.service import IService
from twisted.internet.stdio import StandardIO
from twisted.logger import ILogObserver, globalLogBeginner

from sdr.endpoint.assembly.parent import Parent
from sdr.endpoint.assembly.whole import Whole
from sdr.endpoint.assembly.worker import Line
from sdr.endpoint.options import Options
from sdr.endpoint.sockets import BadAddress
from sdr.endpoint.tls.certificates import BadCertificate
from sdr.endpoint.workers.worker_process import HEARS, SAYS

__all__ = ["Options", "makeService", "work"]


def makeService(options: Options, reactor: Any = None) -> IService:
    """Put an endpoint together: nothing is listened on, asked or polled before the service starts.

    :param reactor: the global one if not given; Twisted's own caller gives none.
    :raise SystemExit: if a certificate or an address cannot be used; its text is one line.
    """
    if reactor is None:
        from twisted.internet import reactor
    kind = Whole if options.settings.workers == 1 else Parent
    try:
        services = kind(options, reactor).services
    except (BadAddress, BadCertificate) as error:
        raise SystemExit(f"sdr: {error}") from error
    cast(Any, reactor).callWhenRunning(_spare_the_collector)
    return cast(IService, services)


def work() -> None:
    """Be a worker of the process that has started this one, until it says otherwise or is gone."""
    from twisted.internet import reactor

    # Ctrl-C reaches all processes of a terminal; the parent ends the workers.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    line = Line(reactor)
    globalLogBeginner.beginLoggingTo([cast(ILogObserver, line.log)], redirectStandardIO=False)
    cast(Any, reactor).callWhenRunning(_spare_the_collector)
    cast(Any, StandardIO)(line, stdin=HEARS, stdout=SAYS, reactor=reactor)
    cast(Any, reactor).run(installSignalHandlers=False)
    sys.exit(line.exit_code)


def _spare_the_collector() -> None:
    """Take what there is by the start out of the garbage collector's way: it stays, and requests would wait."""
    gc.collect()
    gc.freeze()
