"""Tests of platforms."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.platforms import Platform
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
