"""A program that serves one page over TLS: the parts as the endpoint puts them together, and nothing else."""

import argparse
import os
import signal
import sys
from typing import Any

from twisted.internet.threads import deferToThreadPool
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.web.server import Site
from twisted.web.static import Data

from sdr.endpoint.tls.certificates import BadCertificate
from sdr.endpoint.tls.interface import Handshake
from sdr.endpoint.tls.options import read_tls
from sdr.endpoint.tls.serving import HTTP1, HTTP2, PyOpenSSL
from sdr.endpoint.tls.shelf import first_shelf
from sdr.endpoint.tls.watching import CertificateService


def main() -> None:
    """Serve until SIGTERM."""
    from twisted.internet import reactor as global_reactor

    reactor: Any = global_reactor
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", type=int)
    parser.add_argument("--tls-cert")
    parser.add_argument("--tls-key")
    parser.add_argument("--tls-dir")
    parser.add_argument("--http2", action="store_true")
    parser.add_argument("--handshake", type=float, default=10.0)
    parser.add_argument("--uid", type=int)
    given = parser.parse_args()
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)

    def in_thread(call: Any, /) -> Any:
        return deferToThreadPool(reactor, reactor.getThreadPool(), call)

    def told(handshake: Handshake) -> None:
        print(f"handshake {handshake.outcome} {handshake.version}", flush=True)

    settings = read_tls(
        listen=[str(given.tls)],
        certificate=given.tls_cert,
        key=given.tls_key,
        directory=given.tls_dir,
        http2=given.http2,
    )
    assert settings is not None
    tls = PyOpenSSL(reactor, HTTP2 if settings.http2 else HTTP1, told, given.handshake)
    try:
        shelf = first_shelf(settings.places, tls.check)
    except BadCertificate as error:
        raise SystemExit(f"sdr: {error}") from error
    service = CertificateService(settings.places, shelf, tls, reactor, in_thread)
    page = Data(b"a page\n", "text/plain")
    page.putChild(b"", page)
    reactor.listenTCP(given.tls, tls.wrap(Site(page, reactor=reactor)), interface="127.0.0.1")
    if given.uid is not None:
        os.setuid(given.uid)
    reactor.callWhenRunning(service.startService)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(service.reload))
    reactor.run()


if __name__ == "__main__":
    main()
