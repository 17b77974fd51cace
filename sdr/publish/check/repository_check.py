"""Checking one repository: its manifests, what they refer to, and whether its documents say so."""

from dataclasses import dataclass

from sdr.publish.check.findings import Fault, Finding
from sdr.publish.check.holdings import Held, Holding
from sdr.publish.check.inspecting import Inspection
from sdr.publish.check.levels import Documents, Levels, entries, lenient, listed_tags
from sdr.publish.check.verdicts import verdicts
from sdr.publish.image import ImageManifest
from sdr.publish.jobs import Jobs
from sdr.publish.referrers import referrer
from sdr.registry.grammar import Digest, Reference, parse_reference
from sdr.registry.manifests import MANIFEST_LIMIT, MalformedManifest, parse_manifest
from sdr.stores.interface import NotReachable, NotThere, Stat, Store, StoreError
from sdr.tree import documents
from sdr.tree.headers import headers_of, manifest_headers
from sdr.tree.keys import manifest_key, place_of, referrers_key


@dataclass(frozen=True, slots=True)
class Wanted:
    """A manifest to be read.

    :param size: as it was listed, in bytes.
    """

    name: str
    reference: Reference
    size: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """What has come out of a repository.

    :param whole: whether all that it refers to is in the store, and its documents are level.
    :param revision: as in :class:`sdr.publish.check.levels.Compared`.
    """

    holding: Holding
    findings: list[Finding]
    whole: bool
    revision: str | None


class RepositoryCheck:
    """Checks the repositories of one store, one at a time. Thread-safe."""

    def __init__(self, store: Store, jobs: Jobs, inspection: Inspection, levels: Levels) -> None:
        self._store, self._jobs, self._inspection, self._levels = store, jobs, inspection, levels

    def held(self, wanted: Wanted) -> tuple[Held | None, list[Finding]]:
        """Read a manifest and inspect it; ``None`` if it is not there."""
        reference = wanted.reference
        key = manifest_key(wanted.name, reference)
        spoilt = Held(wanted.name, reference, wanted.size)
        if wanted.size > MANIFEST_LIMIT:
            return spoilt, [_finding(key, Fault.MALFORMED, f"larger than {MANIFEST_LIMIT} bytes, so no manifest")]
        try:
            data, _ = self._store.get(key)
        except NotThere:
            return None, []
        except NotReachable:
            raise
        except StoreError as error:
            return spoilt, [_finding(key, Fault.UNREADABLE, error.reason)]
        digests = tuple(Digest.of(data, algorithm) for algorithm in ("sha256", "sha512"))
        if isinstance(reference, Digest) and reference not in digests:
            return spoilt, [_finding(key, Fault.DIGEST, f"its bytes are {Digest.of(data, reference.algorithm)}")]
        try:
            manifest = parse_manifest(data)
        except MalformedManifest as error:
            return spoilt, [_finding(key, Fault.MALFORMED, str(error))]
        digest = reference if isinstance(reference, Digest) else digests[0]
        headers = manifest_headers(manifest.media_type, digest, by_tag=isinstance(reference, str))
        entry = None
        if isinstance(reference, Digest) and manifest.subject is not None:
            entry = referrer(ImageManifest(reference, data, manifest))
        found = self._inspection.small(key, headers, data)
        return Held(wanted.name, reference, len(data), digests, manifest, entry), found

    def completed(self, holding: Holding) -> Done:
        """Check what a repository's manifests refer to, and its documents."""
        done = self._completed(holding)
        # Somebody may have published since it was listed.
        return done if done.whole else self._anew(holding.name)

    def _anew(self, name: str) -> Done:
        """Check a repository from its listing on."""
        holding, findings = Holding(name), []
        for stat in self._store.list(f"v2/{name}/"):
            place = place_of(stat.key) if isinstance(stat, Stat) and headers_of(stat.key) is not None else None
            if place is None or place.name != name:
                continue
            self._jobs.go_on()
            if place.kind == "referrers":
                holding.subjects.add(Digest.parse(place.last))
            if place.kind == "manifests":
                held, found = self.held(Wanted(name, parse_reference(place.last)))
                findings += found
                if held is not None:
                    holding.add(held)
        done = self._completed(holding)
        return Done(holding, findings + done.findings, done.whole, done.revision)

    def _completed(self, holding: Holding) -> Done:
        there = self._levels.documents(holding)
        findings = self._nobodys(holding, there)
        whole = True
        while needed := self._needed(holding, there):
            for reference, why in needed.items():
                self._jobs.go_on()
                # A listing may lag behind.
                held, found = self.held(Wanted(holding.name, reference))
                whole = whole and held is not None
                if held is None:
                    found = [_finding(manifest_key(holding.name, reference), Fault.MISSING, f"not there; {why}")]
                findings += found
                holding.add(held or Held(holding.name, reference, 0))
            # What came late may be a referrer, or a tag.
            there = self._levels.documents(holding)
            findings += self._nobodys(holding, there)
        for digest, (size, where) in holding.needed.items():
            if holding.manifests.get(digest, size) != size:
                told = f"says {size} bytes of {digest}, which has {holding.manifests[digest]}"
                findings.append(_finding(where, Fault.LENGTH, told))
        compared = self._levels.repository(holding, there)
        return Done(holding, findings + compared.findings, whole and compared.level, compared.revision)

    def _needed(self, holding: Holding, there: Documents) -> dict[Reference, str]:
        """Return what is referred to and was not seen, with what refers to it."""
        needed: dict[Reference, str] = {
            digest: f"{where} needs it" for digest, (_, where) in holding.needed.items() if not holding.has(digest)
        }
        for tag in listed_tags(holding.name, there) - holding.tags.keys():
            needed[tag] = "the repository's documents name it: publish it again, or run sdr index"
        for subject, data in there.referrers.items():
            for entry in lenient(data, documents.decode_referrers) or ():
                if not holding.has(digest := Digest.parse(entry["digest"])):
                    needed[digest] = f"{referrers_key(holding.name, subject)} names it"
        lines = entries(holding, there.repository)
        for tag, tagged in holding.tags.items():
            if tagged is not None and not any(holding.has(digest) for digest in tagged.digests):
                by_digest = self._there(holding, tagged.digests) or [lines[tag].digest]
                needed[by_digest[0]] = f"{manifest_key(holding.name, tag)} stands for it"
        return needed

    def _nobodys(self, holding: Holding, there: Documents) -> list[Finding]:
        """Find the tags whose bytes are no manifest by digest, and are not what they were published with either."""
        found = []
        document = lenient(there.repository, lambda data: documents.decode_repository(data, holding.name))
        for tag, tagged in list(holding.tags.items()):
            if tagged is None or any(holding.has(digest) for digest in tagged.digests):
                continue
            known = document.tags.get(tag) if document else None
            if known is not None and known.digest not in tagged.digests and not self._there(holding, tagged.digests):
                # Nobody writes a tag before what it stands for: it is these bytes that are wrong.
                told = "there is no manifest by digest that has its bytes; publish it again"
                found.append(_finding(manifest_key(holding.name, tag), Fault.DIGEST, told))
                holding.tags[tag] = None
        return found

    def _there(self, holding: Holding, digests: tuple[Digest, ...]) -> list[Digest]:
        return [digest for digest in digests if self._store.head(manifest_key(holding.name, digest)) is not None]


def _finding(key: str, fault: Fault, detail: str) -> Finding:
    return Finding(key, fault, detail, verdicts(key, fault, ""))
