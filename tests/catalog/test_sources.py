"""Tests of where a catalog is read; what a store may do wrong is in test_faults."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.sources import DirectorySource, Fetched, FetchFailed, list_files, read_file
from tests.catalog.polled import at_once
from tests.directories import new_directory

LIMIT = 1000


class ReadFileTests(SynchronousTestCase):
    """A file as a store would serve it."""

    def setUp(self) -> None:
        """Make a directory with one file."""
        self.root = new_directory(self, make=True)
        self.path = self.root / "file"
        self.path.write_bytes(b"hello")

    def read(self, path: Path, limit: int = LIMIT, etag: str = "") -> Fetched:
        """Read a file."""
        return read_file(str(path), limit, etag)

    def test_found(self) -> None:
        """A file is read whole, with a validator."""
        got = self.read(self.path)
        self.assertEqual((got.status, got.body), (200, b"hello"))
        self.assertRegex(got.etag, r'\A"[0-9a-f]+-5"\Z')

    def test_not_modified(self) -> None:
        """A file that still has its validator is not read."""
        first = self.read(self.path)
        self.assertEqual(self.read(self.path, etag=first.etag), Fetched(304, b"", first.etag))

    def test_modified(self) -> None:
        """A file that was replaced by one of the same size is read anew."""
        first = self.read(self.path)
        (self.root / "aside").write_bytes(b"adieu")
        os.utime(self.root / "aside", (1, 1))
        os.replace(self.root / "aside", self.path)
        self.assertEqual(self.read(self.path, etag=first.etag).body, b"adieu")

    def test_missing(self) -> None:
        """What is not there is not there: a file, a directory on the way, or a file in a directory's place."""
        for path in (self.root / "none", self.root / "none" / "file", self.path / "file"):
            self.assertEqual(self.read(path), Fetched(404))

    def test_no_plain_file(self) -> None:
        """A directory or a named pipe is no object, and nothing waits for a pipe's other end."""
        os.mkfifo(self.root / "pipe")
        for path in (self.root, self.root / "pipe"):
            self.assertEqual(self.read(path), Fetched(404))

    def test_forbidden(self) -> None:
        """What may not be read is 403, as a store would say it."""
        # A file that not even root may read.
        path = Path("/proc/sys/vm/compact_memory")
        if not path.exists():
            self.path.chmod(0)
            path = self.path
        self.assertEqual(self.read(path), Fetched(403))

    def test_limit(self) -> None:
        """A file of exactly the limit is read, and a larger one refused."""
        self.assertEqual(self.read(self.path, limit=5).body, b"hello")
        with self.assertRaises(FetchFailed) as caught:
            self.read(self.path, limit=4)
        self.assertEqual((str(caught.exception), caught.exception.kind), ("larger than 4 bytes", "too_large"))

    def test_no_answer(self) -> None:
        """A name that is too long, and links that lead in a circle, say nothing of the object, and why in words."""
        (self.root / "circle").symlink_to("circle")
        for name, why in [("x" * 300, "File name too long"), ("circle", "Too many levels of symbolic links")]:
            with self.assertRaises(FetchFailed) as caught:
                self.read(self.root / name)
            self.assertEqual((str(caught.exception), caught.exception.kind), (why, "unreachable"))


class DirectorySourceTests(SynchronousTestCase):
    """A directory as a store."""

    def setUp(self) -> None:
        """Make a directory with one file below another."""
        self.root = new_directory(self, make=True)
        (self.root / "v2").mkdir()
        (self.root / "v2" / "x").write_bytes(b"hello")
        self.clock = Clock()

    def fetch(self, in_thread: Callable[..., Any] = at_once, **more: Any) -> Deferred[Fetched]:
        """Fetch the file."""
        source = DirectorySource(str(self.root), in_thread, self.clock)
        return Deferred.fromCoroutine(source.fetch("v2/x", **{"limit": LIMIT, "seconds": 2.0, **more}))

    def test_fetch(self) -> None:
        """A key is a path below the directory."""
        self.assertEqual(self.successResultOf(self.fetch()).body, b"hello")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_conditional(self) -> None:
        """A validator is heeded."""
        etag = self.successResultOf(self.fetch()).etag
        self.assertEqual(self.successResultOf(self.fetch(etag=etag)).status, 304)

    def test_too_large(self) -> None:
        """A file that is too large is a failure."""
        self.failureResultOf(self.fetch(limit=4), FetchFailed)

    def test_deadline(self) -> None:
        """A file system that hangs is given up at the deadline."""
        fetching = self.fetch(lambda call: Deferred())
        self.clock.advance(1.9)
        self.assertNoResult(fetching)
        self.clock.advance(0.1)
        failure = self.failureResultOf(fetching, FetchFailed)
        self.assertEqual(str(failure.value), "no complete answer within 2 s")
        self.assertEqual(cast(FetchFailed, failure.value).kind, "timeout")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancel(self) -> None:
        """A fetch that is given up ends at once, and is no failure of the store."""
        fetching = self.fetch(lambda call: Deferred())
        fetching.cancel()
        self.failureResultOf(fetching, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_size(self) -> None:
        """A file has a size; what is no plain file has none."""
        source = DirectorySource(str(self.root), at_once, self.clock)
        for key, size in (("v2/x", 5), ("v2", None), ("v2/none", None), ("v2/x/y", None), ("", None)):
            sizing = Deferred.fromCoroutine(source.size(key, seconds=2.0))
            self.assertEqual(self.successResultOf(sizing), size, key)
        self.failureResultOf(Deferred.fromCoroutine(source.size("x" * 300, seconds=2.0)), FetchFailed)

    def test_list(self) -> None:
        """The files whose names begin so are listed, each with a validator; and nothing where there is no directory."""
        source = DirectorySource(str(self.root), at_once, self.clock)
        for name in ("tag_1", "tag_2", "tag", "xtag_3"):
            (self.root / "v2" / name).write_bytes(b"id")
        (self.root / "v2" / "tag_folder").mkdir()

        def listed(prefix: str) -> dict[str, str]:
            got = self.successResultOf(Deferred.fromCoroutine(source.list(prefix, seconds=2.0)))
            return {each.name: each.validator for each in got}

        before = listed("v2/tag_")
        self.assertEqual(sorted(before), ["1", "2"])
        (self.root / "v2" / "tag_1").write_bytes(b"longer")
        after = listed("v2/tag_")
        self.assertNotEqual(after["1"], before["1"])
        self.assertEqual(after["2"], before["2"])
        for prefix in ("v2/none/tag_", "v2/x/tag_"):
            self.assertEqual(listed(prefix), {})
        self.failureResultOf(Deferred.fromCoroutine(source.list("x" * 300 + "/tag_", seconds=2.0)), FetchFailed)

    def test_list_meanwhile(self) -> None:
        """A file that goes while its directory is listed takes no other with it."""
        for name in ("tag_1", "tag_2"):
            (self.root / "v2" / name).write_bytes(b"id")
        scan = os.scandir

        @contextmanager
        def removing(folder: str) -> Iterator[Iterator[os.DirEntry[str]]]:
            with scan(folder) as entries:
                found = list(entries)
            (self.root / "v2" / "tag_1").unlink()
            yield iter(found)

        self.patch(os, "scandir", removing)
        self.assertEqual([each.name for each in list_files(str(self.root / "v2" / "tag_"))], ["2"])

    def test_stop(self) -> None:
        """There is nothing to let go of."""
        self.assertIsNone(self.successResultOf(DirectorySource("/", at_once, self.clock).stop()))
