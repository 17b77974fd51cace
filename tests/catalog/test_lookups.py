"""Tests of lookups: what is fetched, and how it is read."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.lookups import DOCUMENT_LIMIT, Lookup, ManifestLookup, ReferrersLookup, RepositoryLookup, TagsLookup
from sdr.registry.grammar import Digest
from sdr.registry.manifests import MANIFEST_LIMIT
from sdr.registry.media_types import OCI_INDEX
from sdr.tree.documents import BadDocument, ManifestEntry, Repository, decode_referrers, encode_repository
from tests.catalog.store import manifest

NAME = "acme/app"
BODY = manifest()
DIGEST = Digest.of(BODY)


class LookupTests(SynchronousTestCase):
    """Lookups are values with keys and limits."""

    def test_keys(self) -> None:
        """Each kind of lookup has its key in the tree."""
        keys: list[tuple[Lookup[Any], str]] = [
            (RepositoryLookup(NAME), "v2/acme/app/_repository.json"),
            (ManifestLookup(NAME, "1.0"), "v2/acme/app/manifests/1.0"),
            (ManifestLookup(NAME, DIGEST), f"v2/acme/app/manifests/{DIGEST}"),
            (TagsLookup(NAME), "v2/acme/app/tags/list"),
            (ReferrersLookup(NAME, DIGEST), f"v2/acme/app/referrers/{DIGEST}"),
        ]
        for lookup, key in keys:
            self.assertEqual(lookup.key, key)

    def test_limits(self) -> None:
        """A manifest is read up to the size that the specification sets, a document up to ours."""
        self.assertEqual(ManifestLookup(NAME, "1.0").limit, MANIFEST_LIMIT)
        for lookup in (RepositoryLookup(NAME), TagsLookup(NAME), ReferrersLookup(NAME, DIGEST)):
            self.assertEqual(lookup.limit, DOCUMENT_LIMIT)

    def test_values(self) -> None:
        """Equal lookups are one key of a mapping; lookups of two kinds for one repository are two."""
        lookups = [RepositoryLookup(NAME), RepositoryLookup(NAME), TagsLookup(NAME), ManifestLookup(NAME, "1.0")]
        self.assertEqual(len({*lookups, ManifestLookup(NAME, "1.0")}), 3)

    def test_any_bytes(self) -> None:
        """Whatever the bytes, each kind reads them or says that they are no such document."""

        @given(st.binary(max_size=40) | st.sampled_from([b"{}", b"[]", b"null", b'{"tags":1}', b'{"manifests":[1]}']))
        def check(data: bytes) -> None:
            for lookup in (
                RepositoryLookup(NAME),
                TagsLookup(NAME),
                ReferrersLookup(NAME, DIGEST),
                ManifestLookup(NAME, "1.0"),
            ):
                with self.assertRaises(BadDocument):
                    lookup.read(data)

        check()


class RepositoryLookupTests(SynchronousTestCase):
    """A repository's document."""

    def test_read(self) -> None:
        """The document is read."""
        repository = Repository(NAME, {"1.0": ManifestEntry(DIGEST, OCI_INDEX, len(BODY))})
        self.assertEqual(RepositoryLookup(NAME).read(encode_repository(repository)), repository)

    def test_another_repository(self) -> None:
        """Another repository's document is none of this one."""
        with self.assertRaises(BadDocument):
            RepositoryLookup(NAME).read(encode_repository(Repository("acme/other", {})))


class ManifestLookupTests(SynchronousTestCase):
    """A manifest's own object."""

    def test_by_tag(self) -> None:
        """By tag, the digest is computed from the bytes, the type is read from them, and the size is theirs."""
        found = ManifestLookup(NAME, "1.0").read(BODY)
        self.assertEqual((found.entry, found.body), (ManifestEntry(DIGEST, OCI_INDEX, len(BODY)), BODY))

    def test_by_digest(self) -> None:
        """By digest, in either algorithm, the entry has the digest that was asked for."""
        for algorithm in ("sha256", "sha512"):
            digest = Digest.of(BODY, algorithm)
            self.assertEqual(ManifestLookup(NAME, digest).read(BODY).entry.digest, digest)

    def test_wrong_digest(self) -> None:
        """Bytes of another digest are not taken, and the message names it."""
        with self.assertRaises(BadDocument) as caught:
            ManifestLookup(NAME, Digest.of(b"else")).read(BODY)
        self.assertIn(str(DIGEST), str(caught.exception))

    def test_no_type(self) -> None:
        """Bytes with the right digest and no recognisable type are not taken: clients would make nonsense of them."""
        data = b'{"schemaVersion":2}'
        for reference in ("1.0", Digest.of(data)):
            with self.assertRaises(BadDocument):
                ManifestLookup(NAME, reference).read(data)


class TagsLookupTests(SynchronousTestCase):
    """The plain list of tags."""

    def test_read(self) -> None:
        """The tags come sorted."""
        self.assertEqual(TagsLookup(NAME).read(b'{"name":"acme/app","tags":["b","a"]}'), ("a", "b"))

    def test_another_repository(self) -> None:
        """Another repository's list is none of this one."""
        with self.assertRaises(BadDocument):
            TagsLookup(NAME).read(b'{"name":"acme/other","tags":[]}')


class ReferrersLookupTests(SynchronousTestCase):
    """The index of referrers."""

    def test_read(self) -> None:
        """The descriptors come as they stand, whatever members they have."""
        data = f'{{"manifests":[{{"digest":"{DIGEST}","annotations":{{"a":"b"}}}}]}}'.encode()
        expected = ({"digest": str(DIGEST), "annotations": {"a": "b"}},)
        self.assertEqual(decode_referrers(ReferrersLookup(NAME, DIGEST).read(data).index()), expected)
