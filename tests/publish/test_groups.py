"""Tests of which images are published together."""

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.groups import COUNT, FILES, SIZE, Group
from sdr.publish.image import BadSource, Blob, Image, ImageManifest
from sdr.publish.member import Wanted
from sdr.registry.grammar import Digest
from sdr.registry.manifests import parse_manifest
from tests.images import Layout


def wanted(name: str, *tags: str, size: int = 1, blob: bytes = b"blob") -> Wanted:
    """Return an image with one blob."""
    layout = Layout()
    data = layout.blobs[layout.image()["digest"]]
    its = Blob(Digest.of(blob), size, lambda: (_ for _ in ()).throw(AssertionError), "nowhere")
    return Wanted(Image((ImageManifest(Digest.of(data), data, parse_manifest(data)),), (its,)), name, tags)


class GroupTests(SynchronousTestCase):
    """What a group takes."""

    def test_so_many(self) -> None:
        """It takes so many images, and with v1 one."""
        for group, count in ((Group(), COUNT), (Group(alone=True), 1)):
            for number in range(count):
                self.assertTrue(group.takes("a", [str(number)]))
                group.add(wanted("a", str(number)), {})
            self.assertFalse(group.takes("a", ["another"]))

    def test_so_large(self) -> None:
        """It takes so many bytes, what several images share once; then it is full."""
        group = Group()
        for number in range(3):
            self.assertTrue(group.takes("a", [str(number)]))
            group.add(wanted("a", str(number), size=SIZE - 1), {})
        group.add(wanted("a", "other", blob=b"other"), {})
        self.assertEqual((len(group.wanted), group.late), (4, None))
        self.assertFalse(group.takes("a", ["more"]))

    def test_too_large(self) -> None:
        """An image that makes it too large is in the next group, alone; the first is taken whatever its size is."""
        group = Group()
        group.add(wanted("a", "1"), {})
        group.add(wanted("a", "2", size=SIZE, blob=b"large"), {"number": 2})
        self.assertEqual([each.tags for each in group.wanted], [("1",)])
        self.assertFalse(group.takes("a", ["3"]))
        late = group.late
        assert late is not None
        self.assertEqual(([each.tags for each in late.wanted], late.more, late.late), ([("2",)], [{"number": 2}], None))
        self.assertFalse(late.takes("a", ["3"]))
        first = Group()
        first.add(wanted("a", "1", size=2 * SIZE), {})
        self.assertEqual((len(first.wanted), first.late), (1, None))

    def test_so_many_open_files(self) -> None:
        """When so many files are open it is full."""
        group = Group()
        group.add(wanted("a", "1"), {})
        self.assertEqual([group.takes("a", ["2"], FILES - 1), group.takes("a", ["2"], FILES)], [True, False])

    def test_a_tag_is_there_once(self) -> None:
        """What goes under a tag that one of them has, be it a further one, is for the next group: the last one wins."""
        group = Group()
        group.add(wanted("a", "1", "latest"), {})
        self.assertEqual([group.takes("a", ["2", "latest"]), group.takes("a", ["1"])], [False, False])
        self.assertEqual([group.takes("a", ["2"]), group.takes("b", ["1", "latest"])], [True, True])

    def test_what_is_in_the_way(self) -> None:
        """A repository whose name is a path among another's files is for the next group, whichever comes first."""
        for shorter, longer, together in (
            ("a", "a/manifests/x", False),
            ("a", "a/tags/list", False),
            ("a/b", "a/b/referrers/x/y", False),
            ("a", "a/manifests", False),
            ("a", "a/b", True),
            ("a", "ab/manifests/x", True),
            ("a", "a/b/manifests/x", True),
            ("a/manifests/x", "a/manifests/y", True),
        ):
            for first, second in ((shorter, longer), (longer, shorter)):
                group = Group()
                group.add(wanted(first, "x"), {})
                self.assertEqual(group.takes(second, ["y"]), together, (first, second))

    def test_a_source_that_cannot_be_opened(self) -> None:
        """What cannot be opened ends the group, which is published first; without any before it, it fails at once."""

        def fail(group: Group) -> None:
            with group.opening():
                raise BadSource("gone")

        self.assertRaises(BadSource, fail, Group())
        group = Group()
        group.add(wanted("a", "1"), {})
        fail(group)
        self.assertIsInstance(group.failure, BadSource)
        self.assertFalse(group.takes("a", ["2"]))
