"""Checking one image of protocol v1: what it is, what is below it, and its layer."""

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sdr.publish.check.findings import Fault, Finding
from sdr.publish.check.inspecting import Inspection
from sdr.publish.check.v1_judging import LayerJudge, begins
from sdr.publish.check.verdicts import verdicts
from sdr.publish.jobs import Jobs
from sdr.publish.truth import parsed, read
from sdr.publish.v1.origins import Origin
from sdr.stores.interface import NotReachable, Stat, Store, StoreError
from sdr.tree import v1
from sdr.tree.documents import BadDocument
from sdr.tree.headers import V1_IMAGE_HEADERS
from sdr.tree.keys import blob_key

#: What an old docker-registry keeps beside an image.
CHECKSUM = "_checksum"

_AGAIN = "publish the tag with --v1 again, or run sdr v1"


@dataclass(slots=True)
class Wanted:
    """An image that a tag needs.

    :param where: the key of the tag.
    :param ancestry: its own id first; ``None`` where that is not known.
    :param origin: what it was made of, where that is known.
    """

    where: str
    ancestry: tuple[str, ...] | None
    origin: Origin | None = None

    def add(self, origin: Origin) -> None:
        """Note what it was made of; different images may share it, with a layer that was packed differently."""
        self.ancestry = origin.ancestry
        if self.origin is None:
            self.origin = origin
        else:
            layers = self.origin.layers | origin.layers
            self.origin = replace(self.origin, layers=layers, packed=self.origin.packed or origin.packed)


class V1ImageCheck:
    """Checks the images of one store. Thread-safe.

    :param deep: read layers whole.
    """

    def __init__(self, store: Store, jobs: Jobs, inspection: Inspection, *, deep: bool) -> None:
        self._store, self._jobs, self._inspection, self._deep = store, jobs, inspection, deep
        self._lock = threading.Lock()
        self.notes: list[str] = []

    def check(self, image: str, wanted: Wanted) -> list[Finding]:
        """Inspect all of an image."""
        self._jobs.go_on()
        listed = self._store.list(f"{v1.IMAGES_PREFIX}{image}/")
        sizes = {each.key.rpartition("/")[2]: each.size for each in listed if isinstance(each, Stat)}
        is_old = CHECKSUM in sizes
        found: list[Finding] = []
        if v1.IN_PROGRESS in sizes:
            told = f"half pushed, so nobody is offered it; {wanted.where} needs the image: push or publish that again"
            found.append(finding(v1.image_key(image, v1.IN_PROGRESS), Fault.UNREADABLE, told))
        data, faults = self._document(image, v1.JSON, wanted)
        found += faults
        found += self._document(image, v1.ANCESTRY, wanted)[1]
        found += self._layer(image, wanted, data or b"", sizes)
        return unless_old(found, is_old=is_old)

    def _document(self, image: str, part: str, wanted: Wanted) -> tuple[bytes | None, list[Finding]]:
        """Read and inspect what is said of an image."""
        key = v1.image_key(image, part)
        try:
            data, _ = read(self._store, key)
        except NotReachable:
            raise
        except StoreError as error:
            return None, [finding(key, Fault.UNREADABLE, error.reason)]
        if data is None:
            return None, [finding(key, Fault.MISSING, f"not there; {wanted.where} needs it")]
        wrong = _json(image, data, wanted) if part == v1.JSON else _ancestry(image, data, wanted)
        if wrong is not None:
            fault, told = wrong
            return data, [finding(key, fault, f"{told}; {_AGAIN}")]
        return data, self._inspection.small(key, V1_IMAGE_HEADERS, data)

    def _layer(self, image: str, wanted: Wanted, data: bytes, sizes: dict[str, int]) -> list[Finding]:
        key, origin = v1.image_key(image, v1.LAYER), wanted.origin
        # Of another length than any that is expected: its bytes tell whether it was packed differently.
        known = {size for _, size in origin.layers} if origin and not origin.packed else set()
        is_doubtful = bool(known) and sizes.get(v1.LAYER) not in known
        judge = None
        if self._deep or is_doubtful:
            digests = {digest for digest, _ in origin.layers} if origin else set()
            packed = origin is not None and origin.packed

            def is_known(digest: str) -> bool:
                return packed or digest in digests or self._is_blob(digest)

            judge = LayerJudge(
                key, origin.diff if origin else None, self._checksums(image, sizes), data, is_known, self._note
            )
        return self._inspection.layer(key, wanted.where, begins, judge)

    def _checksums(self, image: str, sizes: dict[str, int]) -> frozenset[str]:
        """Return what an old registry says of an image and its layer; there are other sums than this."""
        if CHECKSUM not in sizes:
            return frozenset()
        data, _ = read(self._store, v1.image_key(image, CHECKSUM))
        try:
            told = json.loads(data or b"[]")
        except (ValueError, RecursionError):
            return frozenset()
        sums = told if isinstance(told, list) else [told]
        simple = "sha256:"
        return frozenset(
            each.removeprefix(simple) for each in sums if isinstance(each, str) and each.startswith(simple)
        )

    def _is_blob(self, digest: str) -> bool:
        found = parsed(digest)
        return found is not None and self._store.head(blob_key(found)) is not None

    def _note(self, line: str) -> None:
        with self._lock:
            self.notes.append(line)


def _json(image: str, data: bytes, wanted: Wanted) -> tuple[Fault, str] | None:
    """Tell what is wrong with an image's json."""
    try:
        document = json.loads(data.decode())
    except (ValueError, RecursionError):
        return Fault.MALFORMED, "not JSON"
    if not isinstance(document, dict) or document.get("id") != image:
        return Fault.MALFORMED, "it says another id"
    if wanted.ancestry is not None:
        parent = wanted.ancestry[1] if len(wanted.ancestry) > 1 else None
        # An image without one has none, or an empty one.
        if (document.get("parent") or None) != parent:
            return Fault.MALFORMED, f"its parent is {document.get('parent')}, and {parent} by its ancestry"
    if wanted.origin is not None and data != wanted.origin.json:
        return Fault.DIGEST, "not what the image's config makes of it"
    return None


def _ancestry(image: str, data: bytes, wanted: Wanted) -> tuple[Fault, str] | None:
    """Tell what is wrong with an image's ancestry."""
    try:
        ids = v1.decode_ancestry(data)
    except BadDocument as error:
        return Fault.MALFORMED, str(error)
    if wanted.origin is not None and data != v1.encode_ancestry(wanted.origin.ancestry):
        return Fault.DIGEST, "not the layers that the image's config names"
    if ids[0] != image:
        return Fault.MALFORMED, f"it is that of {ids[0]}"
    if wanted.ancestry is not None and ids != wanted.ancestry:
        return Fault.MALFORMED, f"it names others than {wanted.where} needs"
    return None


def finding(key: str, fault: Fault, detail: str) -> Finding:
    """Return a fault of an object."""
    return Finding(key, fault, detail, verdicts(key, fault, ""))


def unless_old(findings: Iterable[Finding], *, is_old: bool) -> list[Finding]:
    """Return the findings; an old docker-registry gave its objects no headers that would have to be compared."""
    return [each for each in findings if not is_old or each.fault not in (Fault.TYPE, Fault.CACHING)]
