"""Tests of what the tags of a repository stand for, held as plain tuples."""

import gc

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.registry.grammar import Digest
from sdr.registry.media_types import OCI_INDEX
from sdr.tree.documents import decode_repository, encode_repository
from sdr.tree.entries import Entries, EntriesByDigest, ManifestEntry
from tests.texts import DIGESTS, ENTRIES, TAGS


class EntriesTests(SynchronousTestCase):
    """Mappings like any other."""

    @given(st.dictionaries(TAGS, ENTRIES, max_size=5), st.lists(TAGS, max_size=3), st.lists(DIGESTS, max_size=3))
    def test_as_a_dictionary(self, plain: dict[str, ManifestEntry], tags: list[str], digests: list[Digest]) -> None:
        """Whatever is asked, the answer is that of a dictionary of the entries, and the same when asked again."""
        entries = Entries.of(plain)
        self.assertEqual((entries, dict(entries), len(entries)), (plain, plain, len(plain)))
        self.assertIs(Entries.of(entries), entries)
        by_digest = {entry.digest: entry for entry in plain.values()}
        found = EntriesByDigest(entries.rows.values())
        self.assertEqual((found, len(found)), (by_digest, len(by_digest)))
        for _ in range(2):
            for tag in (*tags, *plain):
                self.assertEqual((entries.get(tag), tag in entries), (plain.get(tag), tag in plain))
            for digest in (*digests, *by_digest):
                self.assertEqual((found.get(digest), digest in found), (by_digest.get(digest), digest in by_digest))

    def test_another_algorithm(self) -> None:
        """A digest of the same digits and another algorithm is another digest."""
        digest = Digest.of(b"")
        found = EntriesByDigest([(digest.algorithm, digest.hex, OCI_INDEX, 1)])
        for _ in range(2):
            self.assertIsNone(found.get(Digest("sha512", digest.hex)))
            self.assertIsNotNone(found.get(digest))

    def test_many(self) -> None:
        """Of ten thousand tags the garbage collector has a few objects to go through, whichever are asked for."""
        data = encode_repository(
            decode_repository(
                b'{"schema":1,"name":"a","tags":{%b}}\n'
                % b",".join(
                    b'"%d":["%b","%b",%d]'
                    % (number, str(Digest.of(b"%d" % number)).encode(), OCI_INDEX.encode(), number)
                    for number in range(10_000)
                ),
                "a",
            )
        )
        gc.collect()
        before = len(gc.get_objects())
        repository = decode_repository(data, "a")
        for tag in repository.tag_names:
            entry = repository.tags[tag]
            self.assertIs(repository.tags[tag], entry)
            self.assertEqual((entry.size, entry.digest), (int(tag), Digest.of(tag.encode())))
            self.assertEqual(repository.by_digest[entry.digest], entry)
        gc.collect()
        self.assertLess(len(gc.get_objects()) - before, 1000)
