"""Tests of the manifests that are kept on disk."""

import os

from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.lookups import FoundManifest, ManifestLookup
from sdr.catalog.saved_manifests import SavedManifests
from sdr.registry.grammar import Digest
from tests.catalog.store import manifest
from tests.directories import new_directory

NAME = "acme/app"


def found(text: str) -> FoundManifest:
    """Return a manifest as a look finds it."""
    body = manifest(text)
    return ManifestLookup(NAME, Digest.of(body)).read(body)


class SavedManifestsTests(SynchronousTestCase):
    """A directory of manifests."""

    def setUp(self) -> None:
        """Make the directory."""
        self.root = new_directory(self, make=True)

    def keep(self, *texts: str, limit: int = 1_000_000) -> SavedManifests:
        """Keep manifests."""
        kept = SavedManifests(self.root, limit)
        for number, text in enumerate(texts):
            kept.note(NAME, found(text))
            taken = kept.take()
            kept.write(taken)
            for key in taken:
                path = self.root / key
                if path.exists():
                    os.utime(path, (number, number))
        return kept

    def loaded(self) -> dict[ManifestLookup, FoundManifest]:
        """Return what the next start finds."""
        return dict(SavedManifests(self.root).load())

    def test_kept(self) -> None:
        """What was noted is there at the next start, by its digest, and is taken to be written once."""
        kept = self.keep("a", "b")
        self.assertEqual(kept.take(), {})
        wanted = {ManifestLookup(NAME, each.entry.digest): each for each in (found("a"), found("b"))}
        self.assertEqual(self.loaded(), wanted)

    def test_spoiled(self) -> None:
        """What is not what its digest says is removed, and so is what is no manifest by digest."""
        self.keep("a", "b")
        first, second = sorted((self.root / "v2" / NAME / "manifests").iterdir())
        first.write_bytes(b"spoiled")
        (first.parent / "latest").write_bytes(found("c").body)
        self.assertEqual([str(lookup.reference) for lookup in self.loaded()], [second.name])
        self.assertEqual(list(first.parent.iterdir()), [second])

    def test_limit(self) -> None:
        """Beyond the limit the oldest go, and the newest stay."""
        texts = [f"{number:03}" for number in range(100)]
        limit = 10 * len(found("000").body)
        self.keep(*texts, limit=limit)
        kept = self.loaded()
        self.assertLessEqual(sum(len(each.body) for each in kept.values()), limit)
        self.assertIn(ManifestLookup(NAME, found("099").entry.digest), kept)
        self.assertNotIn(ManifestLookup(NAME, found("000").entry.digest), kept)

    def test_limit_counts_what_was_there(self) -> None:
        """What an earlier run has kept counts."""
        self.keep(*(f"{number:03}" for number in range(50)))
        again = SavedManifests(self.root, 10 * len(found("000").body))
        list(again.load())
        again.note(NAME, found("new"))
        again.write(again.take())
        self.assertLessEqual(len(self.loaded()), 10)
