"""The proof that certificate authorities look for before they issue a certificate (RFC 8555, section 8.3)."""

import os
import re
import stat

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from sdr.catalog.sources import InThread
from sdr.endpoint.answer import Answer, content, error
from sdr.endpoint.web import write
from sdr.registry.errors import NOT_FOUND, UNSUPPORTED

#: The first segment of the path, where the resource is put.
WELL_KNOWN = b".well-known"

#: A token is in base64url without padding; that of Let's Encrypt has 43 characters.
_PATH = re.compile(rb"/\.well-known/acme-challenge/([A-Za-z0-9_-]{1,128})")
#: A key authorization is the token, a dot and 43 characters more.
_LIMIT = 1024


class Challenges(Resource):
    """Serves ``/.well-known/acme-challenge/TOKEN``, and nothing else of the directory.

    :param directory: an absolute path: what certbot calls the webroot, below which it writes the same path.
    :param in_thread: runs a blocking call elsewhere: every look at a file.
    """

    isLeaf = True
    _log = Logger()

    def __init__(self, directory: str, in_thread: InThread) -> None:
        super().__init__()
        self._folder = os.path.join(directory, ".well-known", "acme-challenge")
        self._in_thread = in_thread
        self._wrong = ""

    def render(self, request: Request) -> int:
        """Serve a file, or say that it is not there."""
        if request.method not in (b"GET", b"HEAD"):
            write(request, error(UNSUPPORTED, None, ("Allow", "GET, HEAD")))
            return NOT_DONE_YET
        found = _PATH.fullmatch(request.uri.partition(b"?")[0])
        if found is None:
            write(request, error(NOT_FOUND))
            return NOT_DONE_YET
        path = os.path.join(self._folder, found[1].decode())
        left: list[Failure] = []
        request.notifyFinish().addErrback(left.append)
        reading: Deferred[bytes | None] = self._in_thread(lambda: _read(path))
        reading.addErrback(self._failed, path)
        reading.addCallback(lambda body: None if left else write(request, _answer(body)))
        return NOT_DONE_YET

    def _failed(self, failure: Failure, path: str) -> None:
        failure.trap(OSError)
        reason = getattr(failure.value, "strerror", "")
        # Once until it is another reason: anybody may ask.
        if reason != self._wrong:
            self._log.warn("{path} cannot be read: {reason}", path=path, reason=reason)
        self._wrong = reason


def _answer(body: bytes | None) -> Answer:
    return error(NOT_FOUND) if body is None else content(body, "application/octet-stream", "no-store")


def _read(path: str) -> bytes | None:
    """Read a small file; blocking."""
    try:
        # A link could lead out of the directory, and a named pipe nowhere.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        data = file.read(_LIMIT + 1)
    return data if 0 < len(data) <= _LIMIT else None
