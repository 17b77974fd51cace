"""Tests of platforms and of the names by which images are chosen."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.choosing import whole_name
from sdr.publish.platforms import Platform
from sdr.publish.sources import Source
from tests.texts import JSON_VALUES


class PlatformTests(SynchronousTestCase):
    """os/architecture[/variant]."""

    def test_read(self) -> None:
        """What is read is written alike."""
        for text in ("linux/amd64", "linux/arm/v7", "windows/amd64", "wasip1/wasm", "linux/riscv64", "linux/x86_64"):
            self.assertEqual(str(Platform.parse(text)), text)

    def test_refused(self) -> None:
        """What is no platform is refused."""
        for text in (
            "",
            "linux",
            "linux/",
            "/amd64",
            "linux/amd64/",
            "a/b/c/d",
            "Linux/amd64",
            "linux/amd64\n",
            "linux,arm",
        ):
            self.assertRaises(ValueError, Platform.parse, text)

    def test_distance(self) -> None:
        """A variant that is not asked for is the usual one at best, and any other after that."""
        for asked, having, distance in (
            ("linux/arm64", "linux/arm64", 0),
            ("linux/arm64", "linux/arm64/v8", 0),
            ("linux/arm64/v8", "linux/arm64", 0),
            ("linux/arm", "linux/arm/v7", 0),
            ("linux/arm", "linux/arm/v6", 1),
            ("linux/arm/v6", "linux/arm/v7", None),
            ("linux/amd64", "windows/amd64", None),
            ("linux/amd64", "linux/arm64", None),
        ):
            self.assertEqual(Platform.parse(having).distance(Platform.parse(asked)), distance, (asked, having))

    @given(st.dictionaries(st.sampled_from(["os", "architecture", "variant", "os.version"]), JSON_VALUES))
    def test_of_anything(self, document: dict[str, object]) -> None:
        """Whatever a document says, it is for a platform or for none."""
        platform = Platform.of(document)
        if platform is not None:
            self.assertEqual((platform.os, platform.architecture), (document["os"], document["architecture"]))


class NameTests(SynchronousTestCase):
    """Docker's names, whole."""

    def test_whole_name(self) -> None:
        """What docker lets one leave out is put in."""
        for name, whole in (
            ("app", "docker.io/library/app:latest"),
            ("app:1", "docker.io/library/app:1"),
            ("acme/app", "docker.io/acme/app:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("registry.example.com/app:1", "registry.example.com/app:1"),
        ):
            self.assertEqual(whole_name(name), whole)
            self.assertEqual(whole_name(whole), whole)


class SourceTests(SynchronousTestCase):
    """SOURCE."""

    def test_read(self) -> None:
        """A path ends at the colon, as with skopeo; what follows is the REF, which may have colons."""
        self.assertEqual(Source.parse("oci:a/b"), Source("oci", "a/b", None))
        self.assertEqual(Source.parse("docker-archive:a.tar:x/y:1"), Source("docker-archive", "a.tar", "x/y:1"))
        self.assertEqual(Source.parse("oci-archive:a:@sha256:b"), Source("oci-archive", "a", "@sha256:b"))

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Any text is a source or refused with ValueError."""
        for each in (text, f"oci:{text}"):
            try:
                self.assertTrue(Source.parse(each).path)
            except ValueError as error:
                self.assertTrue(str(error))
