"""Comparing one object, as it is read, with what the tree says of it."""

import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial

from sdr.publish.check.comparing import Expected, Faults, compare
from sdr.publish.check.findings import Fault, Finding
from sdr.publish.check.reading import OK, PARTIAL, Reader, Reply, StoreReader
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Report
from sdr.registry.grammar import Digest
from sdr.stores.interface import NotReachable, NotThere, Store, StoreError
from sdr.tree.headers import V1_LAYER_HEADERS, Headers, blob_headers
from sdr.tree.keys import blob_key

#: How much is asked for where a part of a blob is, in bytes.
PART = 64
#: A body that breaks off is asked for again so often.
ATTEMPTS = 2

#: One block of a tar archive, in bytes.
BLOCK = 512

#: What is wrong with something, if anything is.
Wrong = tuple[Fault, str] | None
#: Reads a body, piece by piece, and tells what is wrong with it.
Judge = Callable[[Iterator[bytes]], Wrong]

_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+|\*)")
_METHOD_NOT_ALLOWED = 405
#: After which there is nothing more to be seen.
_FATAL = frozenset({Fault.MISSING, Fault.UNREADABLE})


class Inspection:
    """Reads objects, and counts them. Thread-safe.

    :param store: where the objects are.
    :param reader: what they are read through, if not the store itself.
    """

    def __init__(self, store: Store, reader: Reader | None, jobs: Jobs, report: Report) -> None:
        self._store, self._jobs, self._report = store, jobs, report
        self._reader: Reader = reader or StoreReader(store)
        self._elsewhere = reader is not None
        self._lock = threading.Lock()
        # Hashes are enough to count by, and smaller than keys.
        self._seen: set[int] = set()
        #: How many answers there were that brought an object or its headers, and how many bytes were read.
        self.there = self.size = 0

    @property
    def objects(self) -> int:
        """How many objects were looked at, each once."""
        return len(self._seen)

    def small(self, key: str, headers: Headers, data: bytes) -> list[Finding]:
        """Inspect a manifest or a document.

        :param headers: with the type that is in the manifest's bytes.
        :param data: what is in the store.
        """
        self._count(len(data))
        both = frozenset(str(Digest.of(data, algorithm)) for algorithm in ("sha256", "sha512"))
        expected = Expected(headers, len(data), both if headers.digest else frozenset())
        return self._inspected(key, lambda faults: self._small(faults, expected, data))

    def _small(self, faults: Faults, expected: Expected, data: bytes) -> None:
        if self._elsewhere:
            with self._reader.get(faults.key) as reply:
                if not self._compare(faults, reply, expected):
                    return
                if not faults.found.keys() & {Fault.ENCODING, Fault.LENGTH}:
                    self._same(faults, expected.headers, data, _read(reply.pieces, len(data) + 1))
        self._head(faults, expected)

    def blob(self, digest: Digest, size: int, where: str, *, deep: bool) -> list[Finding]:
        """Inspect a config or a layer.

        :param size: in bytes, as its manifest says.
        :param where: the key of that manifest.
        :param deep: read it whole.
        """
        return self._inspected(blob_key(digest), lambda faults: self._blob(faults, digest, size, where, deep=deep))

    def _blob(self, faults: Faults, digest: Digest, size: int, where: str, *, deep: bool) -> None:
        expected = Expected(blob_headers(digest), size, frozenset({str(digest)}), f"; {where} needs it")
        if self._elsewhere:
            found = self._store.head(faults.key)
            if found is None:
                return faults.add(Fault.MISSING, f"not in {self._store.location}; {where} needs it")
            if found.size != size:
                return faults.add(Fault.LENGTH, f"{found.size} bytes in the store where {where} says {size}", "")
        return self._large(faults, expected, partial(_of_digest, digest) if deep else None)

    def layer(self, key: str, where: str, begins: Callable[[bytes], Wrong], judge: Judge | None) -> list[Finding]:
        """Inspect a layer of protocol v1; there is nothing that says its size or digest.

        :param where: the key of what needs it.
        :param begins: tells of the beginning, one block of tar, what is wrong with it.
        :param judge: tells of all of it what is wrong, if it is to be read.
        """
        return self._inspected(key, lambda faults: self._layer(faults, where, begins, judge))

    def _layer(self, faults: Faults, where: str, begins: Callable[[bytes], Wrong], judge: Judge | None) -> None:
        found = self._store.head(faults.key)
        if found is None:
            return faults.add(Fault.MISSING, f"not there; {where} needs it")
        with closing(self._store.open(faults.key, size=BLOCK)) as stream:
            wrong = begins(stream.read())
        if wrong is not None:
            faults.add(*wrong)
        expected = Expected(V1_LAYER_HEADERS, found.size, needed=f"; {where} needs it")
        return self._large(faults, expected, judge if wrong is None else None)

    def _large(self, faults: Faults, expected: Expected, judge: Judge | None) -> None:
        size = expected.size
        if judge is not None:
            self._judge(faults, expected, judge)
        elif self._elsewhere:
            with self._reader.get(faults.key) as reply:
                self._compare(faults, reply, expected)
        if not faults.found.keys() & _FATAL:
            self._head(faults, expected)
        if size and not faults.found.keys() & {*_FATAL, Fault.LENGTH}:
            for start in dict.fromkeys((0, size // 2)):
                self._part(faults, start, size)

    def _head(self, faults: Faults, expected: Expected) -> None:
        """Compare what HEAD is answered; what GET has shown already is not said again."""
        reply = self._reader.head(faults.key)
        if self._elsewhere and reply.status != OK:
            # Clients send GET then, all of them.
            if reply.status != _METHOD_NOT_ALLOWED:
                faults.add(Fault.HEAD, f"HEAD is answered {reply.status} where GET is answered 200", f"{reply.status}")
            return
        self._compare(faults, reply, expected)

    def _compare(self, faults: Faults, reply: Reply, expected: Expected) -> bool:
        """Compare the beginning of an answer, and tell whether the object is there."""
        if not compare(faults, reply, expected):
            return False
        with self._lock:
            self.there += 1
        return True

    def _same(self, faults: Faults, headers: Headers, data: bytes, got: bytes) -> None:
        """Compare a small object with the store's own."""
        self._count(len(got))
        if got == data:
            return
        if headers.digest is not None and ":" in faults.key:
            faults.add(Fault.DIGEST, f"its bytes are {Digest.of(got, headers.digest.algorithm)}")
        else:
            faults.add(
                Fault.STALE,
                f"other bytes than in {self._store.location}; a copy may be as old as its Cache-Control says",
            )

    def _part(self, faults: Faults, start: int, size: int) -> None:
        """Ask for a part of a blob, as a client that lost its connection does."""
        length = min(PART, size - start)
        with self._reader.get(faults.key, start=start, size=length) as reply:
            told = f"bytes {start}-{start + length - 1}"
            if reply.status != PARTIAL:
                faults.add(Fault.RANGE, f"{told} were asked for, and answered {reply.status}")
                return
            found = _CONTENT_RANGE.fullmatch(reply.content_range or "")
            if found is None or (found[1], found[2]) != (f"{start}", f"{start + length - 1}"):
                faults.add(Fault.RANGE, f"{told} were asked for, and {reply.content_range or 'no Content-Range'} came")
                return
            got = _read(reply.pieces, length + 1)
        self._count(len(got))
        if found[3] not in ("*", f"{size}") or len(got) != length:
            faults.add(Fault.RANGE, f"{told} were asked for: {len(got)} bytes came, of {found[3]}")
        elif self._elsewhere:
            with closing(self._store.open(faults.key, start=start, size=length)) as stream:
                if stream.read() != got:
                    faults.add(Fault.DIGEST, f"{told} are others than in {self._store.location}")

    def _judge(self, faults: Faults, expected: Expected, judge: Judge) -> None:
        """Read an object whole."""
        for attempt in range(ATTEMPTS):
            task, outcome = self._report.begin(faults.key, expected.size), "wrong"
            try:
                self._read_whole(faults, expected, judge, task.moved)
                outcome = "wrong" if faults.found else "well"
                return
            except StoreError as error:
                if isinstance(error, NotReachable) or attempt == ATTEMPTS - 1:
                    raise
            finally:
                task.ended(outcome)

    def _read_whole(self, faults: Faults, expected: Expected, judge: Judge, moved: Callable[[int], None]) -> None:
        read = 0

        def pieces(reply: Reply) -> Iterator[bytes]:
            nonlocal read
            for piece in reply.pieces:
                self._jobs.go_on()
                read += len(piece)
                moved(len(piece))
                self._count(len(piece))
                yield piece
                if read > expected.size:
                    return

        with self._reader.get(faults.key) as reply:
            is_there = self._compare(faults, reply, expected)
            if not is_there or faults.found.keys() & {Fault.ENCODING, Fault.LENGTH}:
                return
            coming = pieces(reply)
            wrong = judge(coming)
            for _ in coming:
                # Whatever has been seen of it, its length is to be known.
                pass
        if read != expected.size:
            told = "more" if read > expected.size else f"{read}"
            faults.add(Fault.LENGTH, f"{told} bytes came where {expected.size} belong", told)
        elif wrong is not None:
            faults.add(*wrong)

    def _inspected(self, key: str, inspect: Callable[[Faults], None]) -> list[Finding]:
        """Inspect an object; what fails for this one alone is a fault of it."""
        self._jobs.go_on()
        with self._lock:
            self._seen.add(hash(key))
        faults = Faults(key)
        try:
            inspect(faults)
        except NotReachable:
            raise
        except NotThere as error:
            faults.add(Fault.MISSING, error.reason)
        except StoreError as error:
            faults.add(Fault.UNREADABLE, error.reason)
        return list(faults.found.values())

    def _count(self, size: int) -> None:
        with self._lock:
            self.size += size


def _of_digest(digest: Digest, pieces: Iterator[bytes]) -> Wrong:
    """Tell whether these bytes are those that a digest stands for."""
    hashing = hashlib.new(digest.algorithm)
    for piece in pieces:
        hashing.update(piece)
    if hashing.hexdigest() == digest.hex:
        return None
    return Fault.DIGEST, f"its bytes are {digest.algorithm}:{hashing.hexdigest()}"


def _read(pieces: Iterable[bytes], limit: int) -> bytes:
    """Return a body, or as much of it as shows that it is too long."""
    got = bytearray()
    for piece in pieces:
        got += piece
        if len(got) >= limit:
            break
    return bytes(got[:limit])
