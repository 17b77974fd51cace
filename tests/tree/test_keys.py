"""Tests of the keys of the tree."""

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from sdr.registry.grammar import Digest
from sdr.tree.keys import (
    GC_PREFIX,
    LISTS_KEY,
    RESERVED_TAG,
    Stage,
    blob_key,
    list_key,
    list_of,
    manifest_key,
    referrers_key,
    repository_key,
    tags_key,
)
from tests.texts import DIGESTS, NAMES, TAGS


class KeyTests(SynchronousTestCase):
    """Where everything is."""

    def test_table(self) -> None:
        """The keys are those of docs/tree.md."""
        digest = Digest.of(b"")
        self.assertEqual(blob_key(digest), f"blobs/sha256/{digest.hex}")
        self.assertEqual(manifest_key("acme/app", digest), f"v2/acme/app/manifests/sha256:{digest.hex}")
        self.assertEqual(manifest_key("acme/app", "1.0"), "v2/acme/app/manifests/1.0")
        self.assertEqual(tags_key("acme/app"), "v2/acme/app/tags/list")
        self.assertEqual(referrers_key("acme/app", digest), f"v2/acme/app/referrers/sha256:{digest.hex}")
        self.assertEqual(repository_key("acme/app"), "v2/acme/app/_repository.json")
        self.assertEqual(list_of("acme/app"), "5f8")
        self.assertEqual(list_key("5f8"), "v2/_repositories/5f8.ndjson")

    @given(NAMES, NAMES, TAGS, DIGESTS)
    def test_no_two_things_share_a_key(self, name: str, other: str, tag: str, digest: Digest) -> None:
        """Each thing has a key of its own, whatever the names of repositories and tags."""
        keys = [
            LISTS_KEY,
            list_key(list_of(name)),
            blob_key(digest),
            *(
                key
                for each in {name, other}
                for key in (
                    manifest_key(each, tag),
                    manifest_key(each, digest),
                    tags_key(each),
                    referrers_key(each, digest),
                    repository_key(each),
                )
            ),
        ]
        self.assertEqual(len(set(keys)), len(keys))
        for key in keys:
            self.assertFalse(key.startswith(GC_PREFIX))
            self.assertFalse({"", ".", ".."} & set(key.split("/")))

    def test_the_one_tag_that_would_collide(self) -> None:
        """One tag is reserved, because a repository may be called ``…/manifests``."""
        self.assertEqual(manifest_key("a", RESERVED_TAG), repository_key("a/manifests"))


class StageTests(SynchronousTestCase):
    """The order of writes."""

    def test_order(self) -> None:
        """What is referred to comes before what refers to it."""
        self.assertEqual(
            sorted(Stage),
            [
                Stage.BLOB,
                Stage.MANIFEST,
                Stage.TAG,
                Stage.TAGS_AND_REFERRERS,
                Stage.REPOSITORY,
                Stage.LIST,
                Stage.LISTS,
            ],
        )
