"""The files of a tree in a directory, served by the endpoint itself: the embedded default (`--cdn DIR`)."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime, ITCPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from sdr.catalog.memory import Memory
from sdr.catalog.sources import InThread
from sdr.cdn.locations import OWN_TREE
from sdr.endpoint.answer import Answer, digest_header, error, matches
from sdr.endpoint.ranges import Part, Unsatisfiable, read_range
from sdr.endpoint.sending import Sending
from sdr.endpoint.web import header_lines, write, write_head
from sdr.registry.errors import INTERNAL, NOT_FOUND, UNSUPPORTED, ErrorCode
from sdr.registry.grammar import Digest
from sdr.registry.manifests import MANIFEST_LIMIT, MalformedManifest, parse_manifest
from sdr.tree.headers import Headers, headers_of
from sdr.tree.v1 import PARTS, image_of

_UNSATISFIABLE = ErrorCode("RANGE_INVALID", 416, "the range is not within the file")


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file of the tree, open, with what it is served with.

    :param descriptor: whoever opened the file closes it.
    :param size: in bytes.
    :param etag: with its quotation marks.
    """

    descriptor: int
    size: int
    etag: str
    headers: Headers


class TreeFiles(Resource):
    """Serves the keys of the tree and nothing else of the directory.

    :param root: the directory, as an absolute path.
    :param in_thread: runs a blocking call elsewhere: every read of a file.
    :param clock: for clients that stall.
    :param stall: the seconds after which a client that takes nothing is given up.
    :param base: the path below which they are served.
    :param headers_of: returns what a key is served with, or ``None`` for what is not served.
    """

    isLeaf = True
    _log = Logger()

    def __init__(
        self,
        root: str,
        in_thread: InThread,
        clock: IReactorTime,
        stall: float,
        base: str = OWN_TREE,
        headers_of: Callable[[str], Headers | None] = headers_of,
    ) -> None:
        super().__init__()
        self._root = root
        self._in_thread = in_thread
        self._clock = clock
        self._stall = stall
        self._base = base
        self._headers_of = headers_of
        self._types: Memory[tuple[str, str], Headers] = Memory(10_000)
        self._wrong: Memory[str, str] = Memory(1000)
        # Both are used in threads.
        self._lock = Lock()

    def render(self, request: Request) -> int:
        """Serve a file, or say that it is not there."""
        if request.method not in (b"GET", b"HEAD"):
            write(request, error(UNSUPPORTED, None, ("Allow", "GET, HEAD")))
            return NOT_DONE_YET
        path = request.uri.decode("latin-1").partition("?")[0].removeprefix(f"{self._base}/")
        key = path.replace("%3A", ":").replace("%3a", ":")
        headers = self._headers_of(key)
        if headers is None:
            write(request, error(NOT_FOUND))
            return NOT_DONE_YET
        serving = Deferred.fromCoroutine(self._serve(request, key, headers))
        request.notifyFinish().addErrback(lambda _: serving.cancel())
        serving.addErrback(self._failed, request, key)
        return NOT_DONE_YET

    async def _serve(self, request: Request, key: str, headers: Headers) -> None:
        opened: Deferred[OpenFile | None] = Deferred()
        self._in_thread(lambda: self._open(key, headers)).addBoth(_hand_over, opened)
        found = await opened
        if found is None:
            write(request, error(NOT_FOUND))
            return
        try:
            got, part = _answer(request, found)
            if part is None or request.method == b"HEAD":
                write(request, got)
                return
            write_head(request, got)
            await Sending(request, found.descriptor, part, self._in_thread, self._clock, self._stall).done
        finally:
            os.close(found.descriptor)
        request.finish()

    def _open(self, key: str, headers: Headers) -> OpenFile | None:
        """Open a file and find out what it is; blocking."""
        try:
            descriptor = os.open(os.path.join(self._root, key), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as reason:
            if not isinstance(reason, FileNotFoundError | NotADirectoryError):
                self._say_wrong(key, f"it cannot be read: {reason.strerror}")
            return None
        try:
            found = self._describe(descriptor, key, headers)
        except BaseException:
            os.close(descriptor)
            raise
        if found is None:
            os.close(descriptor)
        return found

    def _describe(self, descriptor: int, key: str, headers: Headers) -> OpenFile | None:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        state = f"{status.st_mtime_ns:x}-{status.st_size:x}"
        if not headers.content_type:
            with self._lock:
                known = self._types.get((key, state))
            known = known or self._manifest_headers(descriptor, key, headers)
            if known is None:
                return None
            with self._lock:
                self._types.put((key, state), known)
            headers = known
        etag = f'"{headers.digest}"' if headers.digest else f'"{state}"'
        return OpenFile(descriptor, status.st_size, etag, headers)

    def _manifest_headers(self, descriptor: int, key: str, headers: Headers) -> Headers | None:
        """Take a manifest's type and digest from its bytes."""
        data = os.pread(descriptor, MANIFEST_LIMIT + 1, 0)
        digest = Digest.of(data, headers.digest.algorithm if headers.digest else "sha256")
        try:
            manifest = parse_manifest(data)
            if headers.digest not in (None, digest):
                raise MalformedManifest(f"its digest is {digest}")
        except MalformedManifest as reason:
            self._say_wrong(key, str(reason))
            return None
        return Headers(manifest.media_type, headers.cache_control, digest)

    def _say_wrong(self, key: str, reason: str) -> None:
        """Log what is wrong with a file, once until it is wrong in another way: anybody may ask for it."""
        with self._lock:
            if self._wrong.get(key) == reason:
                return
            self._wrong.put(key, reason)
        self._log.warn("{key} is not usable: {reason}", key=key, reason=reason)

    def _failed(self, failure: Failure, request: Request, key: str) -> None:
        if failure.check(CancelledError):  # the client has left
            return
        self._log.failure("cannot serve {key}", failure, key=key)
        if request.startedWriting and request.transport is None:
            # The same over HTTP/2, where a request has no transport of its own: its stream is reset.
            cast(ITCPTransport, request.channel).abortConnection()
        elif request.startedWriting:
            # Half of the file was promised: closing is the only way to say that it does not come.
            request.loseConnection()
        else:
            write(request, error(INTERNAL))


def old_headers_of(key: str) -> Headers | None:
    """Return what a key of an old store is served with: the parts of its images, and nothing else."""
    found = image_of(key)
    return headers_of(key) if found is not None and found[1] in PARTS else None


def _hand_over(found: OpenFile | Failure | None, opened: Deferred[OpenFile | None]) -> None:
    """Give a file to who waits for it; a client that has left meanwhile must not leave it open."""
    if not opened.called:
        opened.callback(cast("OpenFile | None", found))
    elif isinstance(found, OpenFile):
        os.close(found.descriptor)


def _answer(request: Request, found: OpenFile) -> tuple[Answer, Part | None]:
    """Decide between the whole file, a part of it, and "you have it" (RFC 9110, sections 13 and 14)."""
    shared = [
        ("ETag", found.etag),
        ("Cache-Control", found.headers.cache_control),
        ("Accept-Ranges", "bytes"),
    ]
    if found.headers.digest is not None:
        shared.append(digest_header(found.headers.digest))
    if matches(",".join(header_lines(request, b"if-none-match")), found.etag):
        return Answer(304, tuple(shared)), None
    shared.append(("Content-Type", found.headers.content_type))
    ranges = header_lines(request, b"range") if request.method == b"GET" else []
    whole = Part(0, found.size)
    if ranges and header_lines(request, b"if-range") in ([], [found.etag]):
        try:
            part = read_range(ranges[-1], found.size)
        except Unsatisfiable:
            return error(_UNSATISFIABLE, None, ("Content-Range", f"bytes */{found.size}")), None
        if part is not None:
            shared.append(("Content-Range", f"bytes {part.start}-{part.end - 1}/{found.size}"))
            return Answer(206, (("Content-Length", str(part.end - part.start)), *shared)), part
    return Answer(200, (("Content-Length", str(found.size)), *shared)), whole
