"""Tests of images of protocol v1: ids and their JSON."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.registry.grammar import Digest
from sdr.registry.v1 import EMPTY_DIFF, NotForV1, is_image_id, v1_images
from tests.texts import JSON_VALUES

DIFFS = [f"sha256:{digit * 64}" for digit in "123"]
#: A config, and the images that docker 17.05's own code made of it when it pushed to a v1 registry.
VECTOR = json.loads((Path(__file__).parents[1] / "data" / "v1-vector.json").read_text())


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
        config, result = VECTOR["config"].encode(), VECTOR["result"]
        digest = Digest.of(config)
        made = v1_images(config, digest, len(result["chain_ids"]))
        self.assertEqual([{"id": each.id, "json": each.json.decode()} for each in made], result["push_v1"])
        self.assertEqual(str(digest), result["config_digest"])
        self.assertEqual([f"sha256:{each.id}" for each in made[:-1]], result["chain_ids"][:-1])
        self.assertEqual([each.parent for each in made], [None, *(each.id for each in made[:-1])])

    def test_left_out(self) -> None:
        """What protocol v1 says in another way, or does not know, is not in the top image."""
        data = config(history=[], parent="x", **{"os": "windows", "os.version": "10.0", "os.features": ["win32k"]})
        base, top = v1_images(data, Digest.of(data), 2)
        self.assertEqual(json.loads(top.json), {"id": top.id, "os": "windows", "parent": base.id})

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
