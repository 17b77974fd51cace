"""Tests of a directory as a store."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sdr.stores.aside import Aside
from sdr.stores.directory import DirectoryStore
from sdr.stores.interface import Bytes, NotAllowed, NotThere, Store, StoreError
from tests.directories import new_directory
from tests.stores import contract
from tests.stores.contract import HEADERS

#: Writes half of a body in a process of its own, says so, and waits.
HALF_WRITTEN = """
import io, sys, time
from pathlib import Path
from sdr.stores.directory import DirectoryStore
from sdr.tree.headers import LISTS_HEADERS

class Half(io.BytesIO):
    def read(self, size=-1):
        piece = super().read(size)
        if not piece:
            print("half", flush=True)
            time.sleep(60)
        return piece

class Body:
    size = 100
    def open(self):
        return Half(b"x" * 50)

DirectoryStore(Path(sys.argv[1])).put("a", Body(), LISTS_HEADERS)
"""

#: Adds 1 to a number, so many times, on condition that nobody else has.
ADDING = """
import sys
from pathlib import Path
from sdr.stores.directory import DirectoryStore
from sdr.stores.interface import Bytes, Changed
from sdr.tree.headers import LISTS_HEADERS

store, left = DirectoryStore(Path(sys.argv[1])), int(sys.argv[2])
while left:
    data, stat = store.get("n")
    try:
        store.put("n", Bytes(b"%d" % (int(data) + 1)), LISTS_HEADERS, replaces=stat.version)
        left -= 1
    except Changed:
        pass
"""


class DirectoryContractTests(contract.ConditionalContract):
    """A directory keeps the contract of all stores."""

    def new_store(self) -> Store:
        """Return a store in a directory that does not exist yet."""
        return DirectoryStore(new_directory(self))


class DirectoryTests(SynchronousTestCase):
    """What is particular to a directory."""

    def setUp(self) -> None:
        """Make a store."""
        self.root = new_directory(self)
        self.store = DirectoryStore(self.root)

    def test_synced(self) -> None:
        """A file is on the disk before it has its name, and its name is on the disk before anybody is told."""
        self.store.put("a/first", Bytes(b"first"), HEADERS)
        synced: list[tuple[bytes | None, bool]] = []
        fsync = os.fsync

        def watched(descriptor: int) -> None:
            path = Path(f"/proc/self/fd/{descriptor}").resolve()
            body = path.read_bytes() if path.is_file() else None
            synced.append((body, (self.root / "a/b").exists()))
            fsync(descriptor)

        self.patch(os, "fsync", watched)
        self.store.put("a/b", Bytes(b"body"), HEADERS)
        self.assertEqual(synced, [(b"body", False), (None, True)])

    def refused(self, kind: type[StoreError], message: str, call: object, *arguments: object) -> None:
        """Require that a call is refused with one line."""
        error = self.assertRaises(kind, call, *arguments)
        self.assertIn(message, str(error))
        self.assertNotIn("\n", str(error))

    def put(self, key: str, data: bytes = b"") -> None:
        """Write an object."""
        self.store.put(key, Bytes(data), HEADERS)

    def test_modes(self) -> None:
        """Files and directories can be read by a web server, whatever the umask."""
        before = os.umask(0o077)
        try:
            self.put("v2/acme/app/manifests/1.0")
        finally:
            os.umask(before)
        for path in (self.root, *self.root.joinpath("v2").rglob("*")):
            self.assertEqual(oct(path.stat().st_mode & 0o777), "0o755" if path.is_dir() else "0o644")

    def test_a_replaced_file_is_a_second_younger(self) -> None:
        """Each replacement has a later whole second: nginx's ETag is made of that and of the size."""
        seconds = []
        for number in range(4):
            self.put("a", b"%d" % number)
            seconds.append(int((self.root / "a").stat().st_mtime))
        self.assertEqual(sorted(set(seconds)), seconds)

    def test_an_old_file_is_replaced_by_one_of_now(self) -> None:
        """The mtime runs ahead only where it must."""
        self.put("a")
        os.utime(self.root / "a", (1, 1))
        self.put("a")
        self.assertLess(abs((self.root / "a").stat().st_mtime - time.time()), 60)

    def test_a_copy_is_another_name(self) -> None:
        """A copy takes no space: it is a hard link, and nothing is left of how it was made."""
        self.put("a", b"1" * 100)
        version = self.store.copy("a", "images/1/layer", HEADERS)
        self.assertTrue((self.root / "a").samefile(self.root / "images/1/layer"))
        self.assertEqual({self.store.head(key).version for key in ("a", "images/1/layer")}, {version})  # type: ignore[union-attr]
        for key in ("a", "images/1/layer"):
            self.assertEqual(self.store.copy("a", key, HEADERS), version)
        self.assertEqual(list((self.root / ".sdr").glob("*.part")), [])

    def test_a_copy_is_no_link_to_a_link(self) -> None:
        """Where the source is a symbolic link, the copy is the file."""
        self.put("v2/a", b"1")
        (self.root / "v2/link").symlink_to("a")
        self.assertIsNotNone(self.store.copy("v2/link", "images/layer", HEADERS))
        self.store.delete("v2/a")
        self.assertEqual(self.store.get("images/layer")[0], b"1")

    def test_a_copy_is_younger_than_what_it_replaces(self) -> None:
        """Over a file of the same second nothing is copied: nginx would take the two for one; later it is."""
        self.put("b", b"before")
        self.put("a", b"copied")
        for back, copied in ((0, False), (-1, False), (1, True)):
            second = int((self.root / "b").stat().st_mtime)
            os.utime(self.root / "a", (second + back, second + back))
            self.assertEqual(self.store.copy("a", "b", HEADERS) is not None, copied)
            self.assertEqual(self.store.get("b")[0], b"copied" if copied else b"before")
        self.assertEqual(list((self.root / ".sdr").glob("*.part")), [])

    def test_a_copy_is_synced(self) -> None:
        """A copy is on the disk before it has its name, and its name is before anybody is told."""
        self.put("a", b"body")
        self.put("b/c")
        synced: list[tuple[bool, bool]] = []
        fsync = os.fsync

        def watched(descriptor: int) -> None:
            is_file = Path(f"/proc/self/fd/{descriptor}").resolve().is_file()
            synced.append((is_file, (self.root / "b/d").exists()))
            fsync(descriptor)

        self.patch(os, "fsync", watched)
        self.store.copy("a", "b/d", HEADERS)
        self.assertEqual(synced, [(True, False), (False, True)])

    def test_no_hard_links(self) -> None:
        """A file system without hard links, or with too many of one file, copies nothing, and says so."""
        self.put("a", b"1")
        for number in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):

            def refuse(*_: object, number: int = number) -> None:
                raise OSError(number, os.strerror(number))

            self.patch(os, "link", refuse)
            self.assertIsNone(self.store.copy("a", "b", HEADERS))
            self.assertIsNone(self.store.head("b"))
        self.assertEqual(list((self.root / ".sdr").glob("*.part")), [])

    def test_a_copy_that_is_made_is_not_swept(self) -> None:
        """Another publisher that begins leaves alone what is being linked, and removes what was left."""
        self.put("a", b"1")
        with Aside(self.root / ".sdr").link(self.root / "a") as part:
            DirectoryStore(self.root).put("b", Bytes(b""), HEADERS)
            self.assertTrue(Path(part.name).samefile(self.root / "a"))
        os.link(self.root / "a", self.root / ".sdr/left.part")
        DirectoryStore(self.root).copy("a", "c", HEADERS)
        self.assertEqual(list((self.root / ".sdr").glob("*.part")), [])

    def test_copies_from_many_threads(self) -> None:
        """One file is copied by many at once, while it is replaced: each copy is one or the other."""
        bodies = {b"1", b"2" * 100}
        self.put("a", b"1")
        stop = threading.Event()

        def replace() -> None:
            while not stop.is_set():
                for body in bodies:
                    self.put("a", body)

        replacer = threading.Thread(target=replace)
        replacer.start()
        try:
            with ThreadPoolExecutor(4) as pool:
                made = list(pool.map(lambda number: self.store.copy("a", f"images/{number}", HEADERS), range(60)))
        finally:
            stop.set()
            replacer.join()
        self.assertNotIn(None, made)
        self.assertEqual({self.store.get(f"images/{number}")[0] for number in range(60)} - bodies, set())
        self.assertEqual(list((self.root / ".sdr").glob("*.part")), [])

    def test_keys_stay_inside(self) -> None:
        """A key that would leave the directory, or reach the hidden part of it, is refused by every call."""
        for key in ("", "/a", "a/", "a//b", ".", "..", "../a", "a/../../b", "a/.", "\0", ".sdr", ".sdr/x"):
            for call in (self.store.get, self.store.open, self.store.head, self.store.delete, self.put):
                self.refused(StoreError, "not a key", call, key)
            for names in ((key, "b"), ("b", key)):
                self.refused(StoreError, "not a key", self.store.copy, *names, HEADERS)
        for prefix in ("../", "/", "a/../b"):
            self.refused(StoreError, "not a key", lambda prefix=prefix: list(self.store.list(prefix)))
        self.assertEqual(list(self.root.parent.iterdir()), [])

    def test_repository_under_a_tag(self) -> None:
        """A file that stands where a directory is needed is refused with one line, before and after."""
        self.put("v2/a/manifests/x", b"tag")
        for call in (self.put, self.store.head, self.store.get):
            self.refused(StoreError, "a directory cannot hold both", call, "v2/a/manifests/x/manifests/1")
        self.assertEqual(self.store.get("v2/a/manifests/x")[0], b"tag")

    def test_tag_over_a_repository(self) -> None:
        """So is a directory where a file should go."""
        self.put("v2/a/manifests/x/manifests/1", b"")
        for call in (self.put, self.store.head, self.store.get, self.store.delete):
            self.refused(StoreError, "a directory cannot hold both", call, "v2/a/manifests/x")

    def test_hidden_files_are_not_listed(self) -> None:
        """The listing has objects only: nothing that is being written, no lock, no pipe."""
        self.put("a")
        os.mkfifo(self.root / "pipe")
        (self.root / "nowhere").symlink_to("gone")
        (self.root / "empty").mkdir()
        self.assertTrue(list((self.root / ".sdr").iterdir()))
        self.assertEqual([found.key for found in self.store.list("") if not isinstance(found, str)], ["a"])
        self.assertEqual(list(self.store.list("e", delimiter="/")), [])

    def test_strange_files(self) -> None:
        """What is no regular file is refused by every call, and nothing hangs on it."""
        self.put("v2/a")
        os.mkfifo(self.root / "v2/pipe")
        for call in (self.store.get, self.store.open, self.store.head, self.store.delete, self.put):
            self.refused(StoreError, "v2/pipe: not a regular file", call, "v2/pipe")

    def test_listing_nothing(self) -> None:
        """A store that is not there is no empty store."""
        self.refused(NotThere, "no such directory", lambda: list(self.store.list("")))

    def test_a_killed_writer_leaves_nothing(self) -> None:
        """What a killed process was writing is not seen, and is removed by the next publisher, but not before."""
        command = [sys.executable, "-c", HALF_WRITTEN, str(self.root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            self.assertEqual(process.stdout.readline(), b"half\n")
            DirectoryStore(self.root).put("b", Bytes(b""), HEADERS)
            self.assertEqual(len(list((self.root / ".sdr").glob("*.part"))), 1)
            process.send_signal(signal.SIGKILL)
        self.assertIsNone(self.store.head("a"))
        DirectoryStore(self.root).put("c", Bytes(b""), HEADERS)
        self.assertEqual(list((self.root / ".sdr").glob("*.part")), [])

    def test_a_failed_write_leaves_nothing(self) -> None:
        """What could not be written whole is removed at once."""
        for body in (contract.Broken(), contract.Short()):
            self.assertRaises((ZeroDivisionError, StoreError), self.store.put, "a", body, HEADERS)
            self.assertEqual(list(self.root.glob(".sdr/*.part")), [])

    def test_no_update_is_lost_between_processes(self) -> None:
        """Conditional writes hold between processes too."""
        self.put("n", b"0")
        command = [sys.executable, "-c", ADDING, str(self.root), "10"]
        processes = [subprocess.Popen(command) for _ in range(4)]
        self.assertEqual([process.wait() for process in processes], [0, 0, 0, 0])
        self.assertEqual(self.store.get("n")[0], b"40")

    def test_readers_see_whole_files(self) -> None:
        """Somebody who reads while an object is replaced gets the one or the other."""
        sizes = (1, 300_000)
        bodies = {b"%d" % size * size for size in sizes}
        self.put("a", min(bodies))
        stop, seen = threading.Event(), []

        def read() -> None:
            while not stop.is_set():
                seen.append(self.store.get("a")[0])

        reader = threading.Thread(target=read)
        reader.start()
        for body in [*bodies] * 20:
            self.put("a", body)
        stop.set()
        reader.join()
        self.assertEqual(set(seen) - bodies, set())

    def test_directories_vanish_meanwhile(self) -> None:
        """A delete that removes an empty directory does not make a put into it fail."""
        done = threading.Event()

        def other() -> None:
            while not done.is_set():
                self.put("v2/a/other")
                self.store.delete("v2/a/other")

        self.put("v2/kept")
        deleter = threading.Thread(target=other)
        deleter.start()
        try:
            for _ in range(100):
                self.put("v2/a/mine", b"mine")
                self.store.delete("v2/a/mine")
        finally:
            done.set()
            deleter.join()

    def test_no_permission(self) -> None:
        """No permission is told as such, with the store and the key."""
        self.put("v2/a", b"before")
        self.put("c")
        self.root.joinpath("c").chmod(0o666)
        self.root.joinpath("v2").chmod(0o555)
        self.root.joinpath(".sdr").chmod(0o777)
        self.root.parent.chmod(0o755)
        root = os.geteuid() == 0
        if root:
            for lock in self.root.joinpath(".sdr").iterdir():
                lock.chmod(0o666)
            os.seteuid(65534)
        try:
            for key in ("v2/a", "v2/b"):
                self.refused(NotAllowed, f"{self.root}: {key}: permission denied", self.put, key)
            self.refused(NotAllowed, "v2/b: permission denied", self.store.copy, "c", "v2/b", HEADERS)
        finally:
            if root:
                os.seteuid(0)
        self.assertEqual(self.store.get("v2/a")[0], b"before")
