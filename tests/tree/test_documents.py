"""Tests of the codec of the derived documents."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.registry.grammar import Digest
from sdr.tree.documents import (
    BadDocument,
    ManifestEntry,
    Repository,
    decode_list,
    decode_lists,
    decode_referrers,
    decode_repository,
    decode_tags,
    encode_list,
    encode_lists,
    encode_referrers,
    encode_repository,
    encode_tags,
    revision,
)
from sdr.tree.keys import list_of
from tests.texts import DIGESTS, ENTRIES, JSON_VALUES, NAMES, TAGS

REVISIONS = st.binary(max_size=4).map(revision)
PREFIXES = st.integers(0, 0xFFF).map(lambda number: f"{number:03x}")


class RoundTripTests(SynchronousTestCase):
    """What is written is read again."""

    @given(NAMES, st.dictionaries(TAGS, ENTRIES, max_size=5))
    def test_repository(self, name: str, tags: dict[str, ManifestEntry]) -> None:
        """A repository's document holds its tags, and its bytes do not depend on their order."""
        data = encode_repository(Repository(name, tags))
        self.assertEqual(decode_repository(data, name), Repository(name, tags))
        self.assertEqual(encode_repository(Repository(name, dict(reversed(tags.items())))), data)

    @given(NAMES, st.sets(TAGS, max_size=5))
    def test_tags(self, name: str, tags: set[str]) -> None:
        """The list of tags is sorted as the specification asks."""
        data = encode_tags(name, tags)
        self.assertEqual(list(decode_tags(data, name)), sorted(tags))
        self.assertEqual(json.loads(data), {"name": name, "tags": sorted(tags)})

    @given(st.dictionaries(DIGESTS, st.dictionaries(st.text(), st.text(), max_size=2), max_size=4))
    def test_referrers(self, annotations: dict[Digest, dict[str, str]]) -> None:
        """Referrers come back as they stand, whatever is in their annotations."""
        entries = [{"digest": str(digest), "annotations": each} for digest, each in annotations.items()]
        found = decode_referrers(encode_referrers(entries))
        self.assertEqual(list(found), sorted(entries, key=lambda entry: str(entry["digest"])))

    def test_referrers_with_half_a_surrogate_pair(self) -> None:
        """JSON can escape what UTF-8 cannot hold, and a manifest's annotations may do so."""
        entry = {"digest": str(Digest.of(b"")), "annotations": {"a": json.loads('"\\ud800"')}}
        self.assertEqual(decode_referrers(encode_referrers([entry])), (entry,))

    @given(st.lists(NAMES, max_size=6), REVISIONS)
    def test_list(self, names: list[str], rev: str) -> None:
        """A list has one line a repository, sorted by name."""
        for prefix in {list_of(name) for name in names}:
            repositories = {name: rev for name in names if list_of(name) == prefix}
            data = encode_list(repositories)
            self.assertEqual(decode_list(data, prefix), repositories)
            self.assertEqual([json.loads(line)[0] for line in data.splitlines()], sorted(repositories))

    @given(st.dictionaries(PREFIXES, REVISIONS, max_size=5))
    def test_lists(self, lists: dict[str, str]) -> None:
        """The lists' own document comes back whole."""
        self.assertEqual(decode_lists(encode_lists(lists)), lists)

    def test_revision(self) -> None:
        """A revision is the first 16 hex digits of the SHA-256."""
        self.assertEqual(revision(b"abc"), "ba7816bf8f01cfea")


class MalformedTests(SynchronousTestCase):
    """What does not have its shape is refused, with BadDocument and nothing else."""

    def test_repository(self) -> None:
        """A repository's document must be that repository's, of this schema, with whole entries."""
        entry = [str(Digest.of(b"")), "application/vnd.oci.image.index.v1+json", 1]
        good = {"schema": 1, "name": "a", "tags": {"1": entry}}
        decode_repository(json.dumps(good).encode(), "a")
        changes: tuple[dict[str, Any], ...] = (
            {"schema": 2},
            {"schema": None},
            {"name": "b"},
            {"tags": []},
            {"tags": {"a/b": entry}},
            {"tags": {"1": entry[:2]}},
            {"tags": {"1": [*entry[:2], -1]}},
            {"tags": {"1": [*entry[:2], True]}},
            {"tags": {"1": ["sha256:x", *entry[1:]]}},
            {"tags": {"1": [entry[0], "text/plain", 1]}},
            {"tags": {"1": [entry[0], [], 1]}},
        )
        for change in changes:
            self.assertRaises(BadDocument, decode_repository, json.dumps({**good, **change}).encode(), "a")

    @given(st.dictionaries(TAGS, ENTRIES, min_size=1, max_size=3), st.data())
    def test_spoilt_repository(self, tags: dict[str, ManifestEntry], data: st.DataObject) -> None:
        """A document in canonical form is read as any JSON is, and refused alike where it is spoilt."""
        good = encode_repository(Repository("acme/app", tags))
        start = data.draw(st.integers(0, len(good)))
        end = data.draw(st.integers(start, min(len(good), start + 3)))
        piece = data.draw(st.sampled_from([b"", b",", b'"', b"}", b"]", b"0", b"a", b"\\u0031", b"\xff", good[end:]]))
        spoilt = good[:start] + piece + good[end:]
        # White space before it makes any document one that is not canonical.
        got, expected = self._decoded(spoilt), self._decoded(b" " + spoilt)
        self.assertEqual(got, expected)
        self.assertEqual(self._decoded(good), Repository("acme/app", tags))
        self.assertEqual(self._decoded(b" " + good), Repository("acme/app", tags))

    def _decoded(self, data: bytes) -> Repository | None:
        try:
            return decode_repository(data, "acme/app")
        except BadDocument:
            return None

    def test_list(self) -> None:
        """A list must end with a whole line, and hold only what belongs into it."""
        good = encode_list({"acme/app": revision(b"")})
        prefix = list_of("acme/app")
        self.assertRaises(BadDocument, decode_list, good[:-1], prefix)
        self.assertRaises(BadDocument, decode_list, good, "000")
        self.assertRaises(BadDocument, decode_list, good.replace(b"acme", b"ACME"), prefix)
        self.assertRaises(BadDocument, decode_list, b"\n", prefix)

    def test_cut_short(self) -> None:
        """No beginning of a document passes for the whole."""
        repository = Repository("a", {"1": ManifestEntry(Digest.of(b""), "application/vnd.oci.image.index.v1+json", 1)})
        data = encode_repository(repository)
        for size in range(len(data) - 1):
            self.assertRaises(BadDocument, decode_repository, data[:size], "a")

    @given(
        JSON_VALUES | st.dictionaries(st.sampled_from(["schema", "name", "tags", "lists", "manifests"]), JSON_VALUES)
    )
    def test_any_json(self, value: object) -> None:
        """Any JSON is read or refused by every decoder."""
        self._read_or_refuse(json.dumps(value).encode())

    @given(st.binary() | st.sampled_from([b"[" * 100_000, b"9" * 10_000, "{}".encode("utf-16")]))
    def test_any_bytes(self, data: bytes) -> None:
        """So are any bytes."""
        self._read_or_refuse(data)

    def _read_or_refuse(self, data: bytes) -> None:
        decoders: list[Any] = [
            lambda: decode_repository(data, "a"),
            lambda: decode_tags(data, "a"),
            lambda: decode_referrers(data),
            lambda: decode_list(data, "000"),
            lambda: decode_lists(data),
        ]
        for decode in decoders:
            try:
                decode()
            except BadDocument as error:
                self.assertTrue(str(error))
