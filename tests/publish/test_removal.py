"""Tests of taking tags, manifests and repositories away."""

import contextlib
import json

from sdr.publish.refused import Refused
from sdr.stores.interface import NotReachable, Store
from tests.publish.interleaving import SteppedStore
from tests.publish.publishing import NAME, MemoryTestCase, publish
from tests.publish.trees import broken_references, snapshot_of
from tests.stores.memory import MemoryStore


class RemovalTests(MemoryTestCase):
    """sdr untag and sdr rm."""

    def test_untag(self) -> None:
        """A tag goes, from everywhere; what it named stays by its digest."""
        self.publish("image", "1")
        self.publish("image", "2")
        changes = self.removal().untag(NAME, "1")
        self.assertEqual(changes.removed, (f"v2/{NAME}/manifests/1",))
        self.assertEqual(changes.cached, (f"v2/{NAME}/manifests/1", f"v2/{NAME}/tags/list"))
        tree = self.tree()
        self.assertEqual(json.loads(tree[f"v2/{NAME}/tags/list"])["tags"], ["2"])
        self.assertEqual(list(json.loads(tree[f"v2/{NAME}/_repository.json"])["tags"]), ["2"])
        self.assertIn(f"v2/{NAME}/manifests/{self.digests['image']}", tree)

    def test_no_such_thing(self) -> None:
        """What is not there is told by its name, and nothing is written."""
        removal = self.removal()
        self.assertIn(f"{NAME}:1", str(self.assertRaises(Refused, removal.untag, NAME, "1")))
        self.assertIn(NAME, str(self.assertRaises(Refused, removal.remove, NAME, None)))
        self.assertEqual(self.store.objects, {})
        self.publish("image", "1")
        before = self.store.snapshot()
        self.assertIn(f"{NAME}:2", str(self.assertRaises(Refused, removal.untag, NAME, "2")))
        self.assertIn("sha256", str(self.assertRaises(Refused, removal.remove, NAME, self.digests["other"])))
        # A name that only begins the name of another is none.
        self.assertRaises(Refused, removal.remove, "acme", None)
        self.assertEqual(self.store.snapshot(), before)

    def test_in_use(self) -> None:
        """A manifest that a tag names, or an index lists, goes only when that is said."""
        self.publish("index", "1")
        before = self.store.snapshot()
        for ref, user in (("index", "1"), ("image", str(self.digests["index"]))):
            error = self.assertRaises(Refused, self.removal().remove, NAME, self.digests[ref])
            self.assertIn(f"in use by {user}", str(error))
            self.assertIn("--force", str(error))
            self.assertEqual(self.store.snapshot(), before)
        changes = self.removal().remove(NAME, self.digests["index"], force=True)
        keys = [f"v2/{NAME}/manifests/{reference}" for reference in ("1", self.digests["index"])]
        self.assertEqual(list(changes.removed), keys)
        self.assertEqual(json.loads(self.tree()[f"v2/{NAME}/tags/list"])["tags"], [])

    def test_referrers(self) -> None:
        """A manifest with a subject is no referrer any more once it is gone."""
        self.publish("index", "1")
        self.publish("signature", "sig")
        self.removal().remove(NAME, self.digests["signature"], force=True)
        listed = json.loads(self.tree()[f"v2/{NAME}/referrers/{self.digests['index']}"])
        self.assertEqual(listed["manifests"], [])

    def test_repository(self) -> None:
        """A repository goes with all that is its own; another whose name begins with its name, and blobs, stay."""
        self.publish("index", "1")
        self.publish("signature", "sig")
        other = MemoryStore()
        other.objects = dict(self.store.objects)
        blobs = self.blobs()
        changes = self.removal().remove(NAME, None)
        tree = self.tree()
        self.assertEqual([key for key in tree if NAME in key], [])
        self.assertEqual(self.blobs(), blobs)
        self.assertEqual(json.loads(tree["v2/_repositories.json"])["lists"].keys() & {"5f8"}, {"5f8"})
        # Whatever named something went before it did.
        kinds = ["referrers" if "/referrers/" in key else "digest" if ":" in key else "tag" for key in changes.removed]
        self.assertEqual(kinds, ["tag"] * 2 + ["referrers"] + ["tag"] * 2 + ["digest"] * (len(kinds) - 5))

    def test_names_that_look_like_keys(self) -> None:
        """A repository whose name has the words of keys in it goes in the same order, and alone."""
        name = "a/referrers/manifests/tags"
        for each in (name, "a", "a/referrers"):
            publish(self.store, f"oci:{self.path}:index", each, "list", sleep=lambda _: None)
        changes = self.removal().remove(name, None)
        digests = [":" in key for key in changes.removed]
        self.assertEqual(digests, sorted(digests))
        self.assertEqual([key for key in self.store.objects if key.startswith(f"v2/{name}/")], [])
        self.assertEqual(self.removal().remove("a", None).removed[-1].count("/"), 3)
        self.assertTrue([key for key in self.store.objects if key.startswith("v2/a/referrers/manifests/list")])

    def test_interrupted(self) -> None:
        """Whenever it is interrupted, no reader finds a broken reference, and the same command ends it."""
        steps = 1
        while True:
            self.store = MemoryStore()
            self.publish("index", "1")
            self.publish("signature", "sig")

            def fails(number: int, at: int = steps) -> None:
                if number == at:
                    raise NotReachable("memory", "", "the connection was lost")

            stepped = SteppedStore(self.store, fails)
            try:
                self.removal(stepped).remove(NAME, None)
            except NotReachable:
                self.assertEqual(broken_references(snapshot_of(self.store)), [], f"step {steps}")
            else:
                break
            self.end(self.store)
            self.assertEqual([key for key in self.tree() if NAME in key], [], f"step {steps}")
            steps += 1
        self.assertGreater(steps, 25)

    def end(self, store: Store) -> None:
        """Remove the rest, if there is one."""
        try:
            self.removal(store).remove(NAME, None)
        except Refused:
            self.assertEqual([key for key in snapshot_of(store) if NAME in key], [])

    def test_untag_interrupted(self) -> None:
        """The same of a tag."""
        steps = 1
        while True:
            self.store = MemoryStore()
            self.publish("image", "1")
            self.publish("other", "2")

            def fails(number: int, at: int = steps) -> None:
                if number == at:
                    raise NotReachable("memory", "", "the connection was lost")

            try:
                self.removal(SteppedStore(self.store, fails)).untag(NAME, "1")
            except NotReachable:
                self.assertEqual(broken_references(snapshot_of(self.store)), [], f"step {steps}")
            else:
                break
            with contextlib.suppress(Refused):
                self.removal().untag(NAME, "1")
            self.assertEqual(json.loads(self.tree()[f"v2/{NAME}/tags/list"])["tags"], ["2"], f"step {steps}")
            steps += 1
        self.assertGreater(steps, 10)
