"""Tests of making the derived documents anew."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from sdr.publish.jobs import Jobs
from sdr.publish.progress import Silent
from sdr.publish.rebuilding import Rebuilding
from sdr.stores.interface import Bytes, Store
from sdr.tree.headers import LISTS_HEADERS
from tests.publish.publishing import NAME, MemoryTestCase
from tests.publish.trees import snapshot_of
from tests.stores.memory import MemoryStore


def is_derived(key: str) -> bool:
    """Tell whether an object can be made again from others."""
    return key.startswith("v2/") and "/manifests/" not in key


class RebuildingTests(MemoryTestCase):
    """sdr index."""

    def setUp(self) -> None:
        """Publish all kinds of images."""
        super().setUp()
        self.publish("index", "1")
        self.publish("signature", "sig")
        self.publish("image", "2")
        self.whole = self.tree()

    def rebuild(self, store: Store | None = None) -> tuple[str, ...]:
        """Rebuild, and return what was written."""
        return Rebuilding(store or self.store, Jobs(2), Silent()).rebuild().written

    def test_nothing_wrong(self) -> None:
        """Where nothing is wrong, nothing is written."""
        before = dict(self.store.objects)
        self.assertEqual(self.rebuild(), ())
        self.assertEqual(self.store.objects, before)

    def test_everything_lost(self) -> None:
        """From the manifests alone every document is made again, byte for byte."""
        for key in [key for key in self.store.objects if is_derived(key)]:
            self.store.delete(key)
        self.rebuild()
        self.assertEqual(snapshot_of(self.store), self.whole)

    def test_empty_store(self) -> None:
        """Where nothing is published nothing is written."""
        store = MemoryStore()
        self.assertEqual(self.rebuild(store), ())
        self.assertEqual(store.objects, {})

    def test_any_damage(self) -> None:
        """Whatever was lost, spoiled, or made up in the documents is mended, with or without conditional writes."""
        derived = sorted(key for key in self.whole if is_derived(key))
        other = json.dumps({"schemaVersion": 2, "mediaType": "x", "manifests": [{"digest": f"sha256:{'0' * 64}"}]})
        made_up = {"schema": 1, "name": NAME, "tags": {"gone": [f"sha256:{'0' * 64}", "x", 1]}}
        spoiled = st.sampled_from([None, b"", b"?", b"{}", other.encode(), json.dumps(made_up).encode()])

        @settings(max_examples=60, deadline=None)
        @given(st.dictionaries(st.sampled_from(derived), spoiled), st.booleans())
        def check(damage: dict[str, bytes | None], conditional: bool) -> None:
            store = MemoryStore(conditional_writes=conditional)
            store.objects = dict(self.store.objects)
            for key, data in damage.items():
                if data is None:
                    store.delete(key)
                else:
                    store.put(key, Bytes(data), LISTS_HEADERS)
            Rebuilding(store, Jobs(2), Silent(), sleep=lambda _: None).rebuild()
            self.assertEqual(snapshot_of(store), self.whole)
            self.assertEqual(Rebuilding(store, Jobs(2), Silent()).rebuild().written, ())

        check()

    def test_stale_tags(self) -> None:
        """A tag that was moved, made or removed behind the documents' back is told as it is."""
        data, headers, _ = self.store.objects[f"v2/{NAME}/manifests/2"]
        self.store.put(f"v2/{NAME}/manifests/1", Bytes(data), headers)
        self.store.put(f"v2/{NAME}/manifests/new", Bytes(data), headers)
        self.store.delete(f"v2/{NAME}/manifests/2")
        self.rebuild()
        self.assertEqual(json.loads(self.tree()[f"v2/{NAME}/tags/list"])["tags"], ["1", "new", "sig"])
