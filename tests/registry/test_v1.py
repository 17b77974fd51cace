"""Tests of images of protocol v1: ids and their JSON."""

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.registry.grammar import Digest
from sdr.registry.v1 import EMPTY_DIFF, NotForV1, is_image_id, v1_images
from tests.texts import JSON_VALUES

DIFFS = [f"sha256:{digit * 64}" for digit in "123"]
#: A config, and the images that docker 17.05's own code made of it when it pushed to a v1 registry.
CONFIG = (
    '{"architecture":"amd64","config":{"Hostname":"","Env":["PATH=/usr/bin:/bin","X=a&b<c>"],"Cmd":["/bin/sh","-c",'
    '"echo a && b"],"Volumes":null},"container":"aaaa","created":"2017-05-04T22:00:26.123456789Z",'
    '"docker_version":"17.05.0-ce","history":[{"created_by":"ENV","empty_layer":true}],"os":"linux",'
    f'"rootfs":{{"type":"layers","diff_ids":{json.dumps(DIFFS)}}}}}'
).encode()
CHAIN = [
    "1111111111111111111111111111111111111111111111111111111111111111",
    "9932074217c35353d2e03a3f5a86549f7c67bfeb0ba53e23d69f4d4c8f7958f5",
    "50127c0d6b338be78246434b4bce23ecf75e505158ea0bbd15effeb162fbf3ec",
]


def config(**members: object) -> bytes:
    """Return a config with these members."""
    return json.dumps({"rootfs": {"type": "layers", "diff_ids": DIFFS[:2]}, **members}).encode()


class IdTests(SynchronousTestCase):
    """Ids."""

    def test_grammar(self) -> None:
        """An id is 64 lower-case hex digits, or 16 as the registry of 2014 took them."""
        for good in ("a" * 64, "0" * 16):
            self.assertTrue(is_image_id(good))
        for bad in ("", "a" * 63, "A" * 64, "g" * 64, "a" * 32, "a" * 64 + "\n", "../" + "a" * 61):
            self.assertFalse(is_image_id(bad), bad)

    def test_as_docker_makes_them(self) -> None:
        """The base comes first; each but the top has its chain id, the top the config's digest, as in docker 17.05."""
        digest = Digest.of(CONFIG)
        base, middle, top = v1_images(CONFIG, digest, 3)
        self.assertEqual([base.id, middle.id, top.id], [*CHAIN[:2], digest.hex])
        self.assertEqual([base.parent, middle.parent, top.parent], [None, *CHAIN[:2]])
        self.assertEqual(base.json, f'{{"id":"{CHAIN[0]}"}}'.encode())
        self.assertEqual(middle.json, f'{{"id":"{CHAIN[1]}","parent":"{CHAIN[0]}"}}'.encode())
        expected = (
            '{"architecture":"amd64","config":{"Hostname":"","Env":["PATH=/usr/bin:/bin","X=a\\u0026b\\u003cc\\u003e"],'
            '"Cmd":["/bin/sh","-c","echo a \\u0026\\u0026 b"],"Volumes":null},"container":"aaaa",'
            '"created":"2017-05-04T22:00:26.123456789Z","docker_version":"17.05.0-ce",'
            f'"id":"{digest.hex}","os":"linux","parent":"{CHAIN[1]}"}}'
        )
        self.assertEqual(top.json.decode(), expected)

    def test_without_layers(self) -> None:
        """An image without layers is one image over an empty archive."""
        for rootfs in ({"type": "layers", "diff_ids": []}, {"type": "layers", "diff_ids": None}, {"type": "layers"}):
            data = config(rootfs=rootfs)
            (only,) = v1_images(data, Digest.of(data), 0)
            self.assertEqual((only.id, only.parent), (Digest.of(data).hex, None))
        self.assertEqual(EMPTY_DIFF, "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef")

    def test_refused(self) -> None:
        """What is no image's config, or another's, is refused with the reason."""
        good = config()
        for data, layers, word in (
            (b"{", 2, "JSON"),
            (b"[]", 2, "no layers"),
            (b"{}", 2, "no layers"),
            (good, 3, "2 layers, the manifest 3"),
            (config(rootfs={"diff_ids": ["sha256:1"]}), 1, "sha256:1"),
            (config(rootfs={"diff_ids": [1]}), 1, "no layers"),
        ):
            error = self.assertRaises(NotForV1, v1_images, data, Digest.of(data), layers)
            self.assertIn(word, str(error))
        error = self.assertRaises(NotForV1, v1_images, good, Digest.of(good, "sha512"), 2)
        self.assertIn("sha512", str(error))

    @given(st.dictionaries(st.text(), JSON_VALUES, max_size=4))
    def test_any_config(self, members: dict[str, object]) -> None:
        """Whatever else a config says is in the top image, which names itself and its parent rightly."""
        members = {key: value for key, value in members.items() if key != "rootfs"}
        data = config(**members)
        base, top = v1_images(data, Digest.of(data), 2)
        said = json.loads(top.json)
        self.assertEqual((said["id"], said["parent"]), (top.id, base.id))
        left_out = {"id", "parent", "history", "os.version", "os.features"}
        for key in members.keys() - left_out:
            self.assertEqual(json.dumps(said[key]), json.dumps(members[key]))
        self.assertNotIn("rootfs", said)
