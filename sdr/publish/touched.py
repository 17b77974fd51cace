"""What has just been done to a repository, for the derived documents to follow."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sdr.publish.image import ImageManifest
from sdr.registry.grammar import Digest
from sdr.tree.documents import ManifestEntry


@dataclass(frozen=True, slots=True)
class Touched:
    """What has just been done to a repository, so that it is looked at whatever the documents say.

    :param tags: those that were written or removed, with the digest that each was given, if any.
    :param attached: manifests that are there: those of an image that was written.
    :param hidden: tags that are about to be removed.
    :param detached: manifests that are about to be removed; referrers lists do not name them any more.
    :param subjects: of which the referrers are to be looked at, all of them.
    :param leaving: whether the repository as a whole is about to be removed.
    :ivar by_subject: those of the attached that have a subject, and each subject that is to be looked at.
    :ivar given: the tags that were given one of the attached, with what the repository's document says of that.
    """

    tags: Mapping[str, Digest | None] = field(default_factory=dict)
    attached: tuple[ImageManifest, ...] = ()
    hidden: frozenset[str] = frozenset()
    detached: frozenset[Digest] = frozenset()
    subjects: frozenset[Digest] = frozenset()
    leaving: bool = False
    by_subject: Mapping[Digest, list[ImageManifest]] = field(init=False)
    given: Mapping[str, ManifestEntry] = field(init=False)

    def __post_init__(self) -> None:
        found: dict[Digest, list[ImageManifest]] = {subject: [] for subject in self.subjects}
        for manifest in self.attached:
            if manifest.manifest.subject is not None:
                found.setdefault(manifest.manifest.subject.digest, []).append(manifest)
        object.__setattr__(self, "by_subject", found)
        attached = {manifest.digest: manifest for manifest in self.attached}
        given = {
            tag: ManifestEntry(digest, attached[digest].manifest.media_type, len(attached[digest].data))
            for tag, digest in self.tags.items()
            if digest in attached
        }
        object.__setattr__(self, "given", given)

    @property
    def sure(self) -> Collection[Digest]:
        """By which digests manifests are known to be there."""
        return {manifest.digest for manifest in self.attached}

    def beside(self, other: "Touched | None") -> "Touched":
        """Return what another publish and this one have done together: tags, and manifests that they attached."""
        return self if other is None else Touched({**other.tags, **self.tags}, (*other.attached, *self.attached))
