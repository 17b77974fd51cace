"""Tests of archives that are hostile or damaged."""

import gzip
import io
import os
import tarfile
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.image import BadSource
from sdr.publish.sources.archive import TarFiles
from tests.images import (
    Layout,
    compress,
    fifo_member,
    file_member,
    hardlink_member,
    layer_tar,
    old_docker_archive,
    symlink_member,
    tar,
)
from tests.publish.publishing import NAME, PublishingTestCase
from tests.publish.trees import broken_references, snapshot


def layout_members() -> list[tuple[tarfile.TarInfo, bytes]]:
    """Return the members of an archive of one image."""
    layout = Layout()
    layout.tag(layout.image())
    return [file_member(name, data) for name, data in layout.files().items()]


class ArchiveTests(PublishingTestCase):
    """Archives of OCI layouts."""

    def test_forms(self) -> None:
        """Plain and compressed, with ./ before names and with directories: all the same image."""
        layout = Layout()
        layout.tag(layout.image())
        first = self.publish(layout)
        dotted = [file_member(f"./{name}", data) for name, data in layout.files().items()]
        folder = tarfile.TarInfo("./blobs/")
        folder.type = tarfile.DIRTYPE
        plain = tar([(folder, b""), (folder, b""), *dotted])
        for data in (plain, compress(plain, "gzip"), gzip.compress(plain[:1000]) + gzip.compress(plain[1000:])):
            self.assertEqual(self.publish(self.archive(data, "oci-archive")).digest, first.digest)

    def test_members_that_leave_the_archive(self) -> None:
        """A path or link that leads outside is refused, wherever it is, and nothing outside is read or written."""
        outside = self.folder / "outside"
        outside.write_bytes(b"secret")
        for member in (
            file_member("../outside", b""),
            file_member("/etc/x", b""),
            file_member("a/../../outside", b""),
            file_member("a/../b", b""),
            file_member("..", b""),
            symlink_member("link", str(outside)),
            symlink_member("link", "../outside"),
            symlink_member("a/link", "../../outside"),
            hardlink_member("link", "../outside"),
            hardlink_member("link", "/etc/passwd"),
        ):
            self.refused(self.archive(tar([*layout_members(), member]), "oci-archive"), "leads outside")

    def test_members_that_are_no_files(self) -> None:
        """Pipes, devices and sparse files are refused."""
        device = tarfile.TarInfo("device")
        device.type = tarfile.BLKTYPE
        sparse = tarfile.TarInfo("sparse")
        sparse.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
        sparse.size = 512
        for member in (fifo_member("pipe"), (device, b""), (sparse, b"0\n".ljust(512, b"\0"))):
            self.refused(self.archive(tar([*layout_members(), member]), "oci-archive"), "neither a file")

    def test_twice(self) -> None:
        """A path that occurs twice is refused: programs differ in which of the two they take."""
        members = layout_members()
        self.refused(self.archive(tar([*members, members[0]]), "oci-archive"), "twice")
        self.refused(self.archive(tar([*members, file_member(f"./{members[0][0].name}", b"")]), "oci-archive"), "twice")

    def test_link_loops(self) -> None:
        """Links that lead to themselves are refused."""
        members = [symlink_member("index.json", "b"), symlink_member("b", "index.json")]
        self.refused(self.archive(tar(members), "oci-archive"), "leads to itself")

    def test_hostile_names(self) -> None:
        """Names that would spoil a terminal or a log are escaped in messages."""
        self.refused(self.archive(tar([file_member("../\n\x1b[2J", b"")]), "oci-archive"), "leads outside")

    def test_huge_headers(self) -> None:
        """A header that claims to be huge is refused without reading it into memory."""
        info = tarfile.TarInfo("pax")
        info.type, info.size = tarfile.XHDTYPE, 50_000_000
        data = info.tobuf() + bytes(50_000_000) + bytes(1024)
        self.refused(self.archive(data, "oci-archive"), "a header of")

    def test_long_paths(self) -> None:
        """A path, or a link's, that is longer than any system's is refused: all of them are in memory."""
        for member in (file_member("x" * 4097, b""), symlink_member("x", "y" * 4097)):
            self.refused(self.archive(tar([*layout_members(), member]), "oci-archive"), "more than 4096 characters")

    def test_no_archive(self) -> None:
        """Something else than an archive is told as such."""
        for data in (
            b"",
            b"x",
            b"x" * 5000,
            compress(b"x" * 5000, "gzip"),
            compress(b"", "xz"),
            b"\x1f\x8b",
            b"BZh9x" * 99,
        ):
            for transport in ("oci-archive", "docker-archive"):
                self.refused(self.archive(data, transport), "archive")

    def test_pipe(self) -> None:
        """A pipe is refused with what to do, and nothing waits for its other end: an archive is read in any order."""
        os.mkfifo(self.folder / "pipe")
        self.refused(f"docker-archive:{self.folder / 'pipe'}", "pipe", "save what comes from a pipe")

    def test_every_truncation(self) -> None:
        """An archive cut anywhere is refused, or has everything; plain or compressed, of either form."""
        old = old_docker_archive({"app:1.0": [layer_tar({"a": bytes(3000)})]})
        for members, transport in ((layout_members(), "oci-archive"), (old, "docker-archive")):
            plain = tar(members)
            # A member fills whole blocks; after the last one come zeros only.
            content = -(-len(plain.rstrip(b"\0")) // 512) * 512
            for size in range(0, len(plain), 509):
                self._cut(plain[:size], transport, whole=size >= content)
            packed = compress(plain, "gzip")
            for size in (2, 20, len(packed) // 2, len(packed) - 9, len(packed) - 1):
                self._cut(packed[:size], transport, whole=False)

    def _cut(self, data: bytes, transport: str, *, whole: bool) -> None:
        source = self.archive(data, transport)
        if whole:
            # Only the zeros at the end are missing; tar itself only warns of that.
            self.publish(source)
        else:
            self.refused(source, self.path_of(source).name)

    @given(st.data())
    def test_any_damage(self, data: st.DataObject) -> None:
        """Whatever byte is changed, the archive is refused or what is published is whole."""
        packed = data.draw(st.booleans())
        plain = tar(
            old_docker_archive({"app:1.0": [layer_tar({"a": bytes(3000)})]}, compression="gzip" if packed else "")
        )
        changed = bytearray(plain)
        for _ in range(data.draw(st.integers(1, 3))):
            changed[data.draw(st.integers(0, len(plain) - 1))] = data.draw(st.integers(0, 255))
        before = snapshot(self.root).get(f"v2/{NAME}/manifests/1.0")
        try:
            self.publish(self.archive(bytes(changed)))
        except BadSource as error:
            self.assertNotIn("\n", str(error))
            self.assertEqual(snapshot(self.root).get(f"v2/{NAME}/manifests/1.0"), before)
        self.assertEqual(broken_references(snapshot(self.root)), [])


class FilesTests(SynchronousTestCase):
    """Reading members where they lie."""

    @given(
        st.dictionaries(st.text("abc/", min_size=1, max_size=5), st.binary(max_size=2000), max_size=5), st.booleans()
    )
    def test_same_as_tarfile(self, files: dict[str, bytes], packed: bool) -> None:
        """What is read is what is in the archive."""
        normal = {name.strip("/"): data for name, data in files.items() if name.strip("/") and "//" not in name}
        data = tar([file_member(name, content) for name, content in normal.items()])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "archive")
            path.write_bytes(compress(data, "gzip" if packed else ""))
            archive = TarFiles(path)
            try:
                for name, content in normal.items():
                    self.assertEqual(archive.size(name), len(content))
                    with archive.open(name) as one, archive.open(name) as other:
                        half = one.read(len(content) // 2)
                        self.assertEqual((half + one.read(), other.read()), (content, content))
                self.assertIsNone(archive.size("other"))
                self.assertRaises(BadSource, archive.open, "other")
            finally:
                archive.close()

    def test_seeking(self) -> None:
        """A member is a file of its own: positions count from its own beginning."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "archive")
            path.write_bytes(tar([file_member("a", b"x" * 700), file_member("b", b"0123456789")]))
            archive = TarFiles(path)
            with archive.open("b") as file:
                self.assertEqual(file.seek(-3, io.SEEK_END), 7)
                self.assertEqual((file.read(), file.tell()), (b"789", 10))
                self.assertEqual((file.seek(2), file.read(3)), (2, b"234"))
            archive.close()
