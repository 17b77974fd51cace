"""Reading a tree as clients of protocol v1 do: from the tags' own objects to the layers, and the documents beside."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from sdr.publish.check.findings import Fault, Finding
from sdr.publish.check.inspecting import Inspection
from sdr.publish.check.levels import MEND, lenient
from sdr.publish.check.v1_image_check import V1ImageCheck, Wanted, finding, unless_old
from sdr.publish.jobs import Jobs
from sdr.publish.truth import read
from sdr.publish.v1.origins import Layer, Origin, images_of, origins_of, v2_names
from sdr.stores.interface import NotReachable, Stat, Store, StoreError
from sdr.tree import v1
from sdr.tree.documents import BadDocument
from sdr.tree.headers import V1_REPOSITORY_HEADERS, V1_TAG_HEADERS, headers_of

#: Of a tag.
AGAIN = "publish it with --v1 again, or run sdr v1"


@dataclass(slots=True)
class _Repository:
    """What was listed of a repository.

    :param is_old: whether an old docker-registry wrote it: its documents need not be there, nor be as sdr writes them.
    """

    name: str
    tags: set[str] = field(default_factory=set)
    is_old: bool = False

    def note(self, entry: v1.Entry) -> None:
        if entry.tag is not None:
            self.tags.add(entry.tag)
        elif entry.last not in ("tags", "images"):
            self.is_old = True


@dataclass(frozen=True, slots=True)
class _Look:
    """What has come out of a tag.

    :param image: what it names; ``None`` where that cannot be read.
    :param ancestry: ``None`` where there is none that can be read.
    :param sound: whether the documents have to name it.
    :param origins: by image.
    """

    tag: str
    image: str | None = None
    ancestry: tuple[str, ...] | None = None
    sound: bool = False
    findings: tuple[Finding, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)


class V1Check:
    """One check of what a store has for protocol v1.

    :ivar notes: what deserves a word and is no fault.
    """

    def __init__(self, store: Store, jobs: Jobs, inspection: Inspection) -> None:
        self._store, self._jobs, self._inspection = store, jobs, inspection
        self.findings: list[Finding] = []
        self.notes: list[str] = []

    def check(self, name: str | None, *, deep: bool) -> bool:
        """Read everything, or one repository with all that it needs; tell whether there is anything.

        :param deep: read layers whole.
        """
        repositories = self._listed(name)
        tags = [(each, tag) for each in repositories.values() for tag in sorted(each.tags)]
        looks: dict[str, list[_Look]] = {each: [] for each in repositories}
        for (each, _), look in zip(tags, self._jobs.run(lambda which: self._tag(*which), tags), strict=True):
            looks[each.name].append(look)

        def judge(each: _Repository) -> tuple[list[_Look], list[Finding]]:
            return self._repository(each, looks[each.name])

        wanted: dict[str, Wanted] = {}
        judged = self._jobs.run(judge, repositories.values())
        for each, (seen, found) in zip(repositories.values(), judged, strict=True):
            self.findings += found
            for look in seen:
                self._want(wanted, v1.tag_key(each.name, look.tag), look)
        images = V1ImageCheck(self._store, self._jobs, self._inspection, deep=deep)
        for found in self._jobs.run(lambda each: images.check(*each), list(wanted.items())):
            self.findings += found
        self.notes += sorted(images.notes)
        if name is None:
            self._strangers(wanted)
        return bool(repositories)

    def _listed(self, name: str | None) -> dict[str, _Repository]:
        prefix = v1.REPOSITORIES_PREFIX if name is None else v1.repository_prefix(name)
        found: dict[str, _Repository] = {}
        for stat in self._store.list(prefix):
            if not isinstance(stat, Stat):
                continue
            entry = v1.entry_of(stat.key)
            if entry is None or headers_of(stat.key) is None:
                self.notes.append(f"{stat.key}: not of the tree")
            elif name is None or v1.repository_prefix(entry.name) == prefix:
                found.setdefault(entry.name, _Repository(entry.name)).note(entry)
        return found

    def _repository(self, repository: _Repository, looks: list[_Look]) -> tuple[list[_Look], list[Finding]]:
        """Compare the documents of a repository; where something is wrong all of it is looked at again."""
        looks, found = self._compared(repository, looks)
        if not any(each.fault in (Fault.STALE, Fault.MISSING) for each in found):
            return looks, found
        # Somebody may have published since it was listed.
        anew = self._listed_one(repository.name)
        return self._compared(anew, [self._tag(anew, tag) for tag in sorted(anew.tags)])

    def _compared(self, repository: _Repository, looks: list[_Look]) -> tuple[list[_Look], list[Finding]]:
        try:
            return self._documents(repository, looks)
        except NotReachable:
            raise
        except StoreError as error:
            found = [each for look in looks for each in look.findings]
            return looks, [*found, finding(error.key, Fault.UNREADABLE, error.reason)]

    def _listed_one(self, name: str) -> _Repository:
        found = _Repository(name)
        for stat in self._store.list(v1.repository_prefix(name), delimiter="/"):
            if isinstance(stat, Stat) and (entry := v1.entry_of(stat.key)) is not None:
                found.note(entry)
        return found

    def _tag(self, repository: _Repository, tag: str) -> _Look:
        """Read a tag, and what tells of the image that it names; what fails there is a fault of what fails."""
        self._jobs.go_on()
        try:
            return self._looked(repository, tag)
        except NotReachable:
            raise
        except StoreError as error:
            return _Look(tag, findings=(finding(error.key, Fault.UNREADABLE, error.reason),))

    def _looked(self, repository: _Repository, tag: str) -> _Look:
        name, key = repository.name, v1.tag_key(repository.name, tag)
        data, _ = read(self._store, key)
        if data is None:
            # Only listed, or removed meanwhile; the documents tell which.
            return _Look(tag)
        try:
            image = v1.decode_tag(data)
        except BadDocument as error:
            return _Look(tag, findings=(finding(key, Fault.MALFORMED, f"{error}; {AGAIN}"),))
        if data != v1.encode_tag(image):
            found = [finding(key, Fault.MALFORMED, f"more than the id of an image; {AGAIN}")]
        else:
            found = unless_old(self._inspection.small(key, V1_TAG_HEADERS, data), is_old=repository.is_old)
        layers, stale = self._in_v2(name, tag, image)
        look = self._image(tag, image, layers)
        return replace(look, findings=(*found, *stale))

    def _image(self, tag: str, image: str, layers: tuple[Layer, ...] | None) -> _Look:
        ancestry = lenient(read(self._store, v1.image_key(image, v1.ANCESTRY))[0], v1.decode_ancestry)
        if ancestry is not None and ancestry[0] != image:
            ancestry = None
        is_whole = self._store.head(v1.image_key(image, v1.JSON)) is not None
        is_uploaded = self._store.head(v1.image_key(image, v1.IN_PROGRESS)) is None
        return _Look(tag, image, ancestry, is_whole and is_uploaded, origins=origins_of(self._store, image, layers))

    def _in_v2(self, name: str, tag: str, image: str) -> tuple[tuple[Layer, ...] | None, list[Finding]]:
        """Return the layers of an image as protocol v2 has them, and whether its tag names that image."""
        there = {each: images_of(self._store, each, tag) for each in v2_names(name)}
        known = {each: images for each, images in there.items() if images is not None}
        for images in known.values():
            if image in images:
                return images[image], []
        if not known:
            return None, []
        named = f"{min(known)}:{tag}"
        told = f"{named} is another image by now; publish it with --v1, or run sdr v1 {named}"
        return None, [finding(v1.tag_key(name, tag), Fault.STALE, told)]

    def _documents(self, repository: _Repository, looks: list[_Look]) -> tuple[list[_Look], list[Finding]]:
        name = repository.name
        tags_key, images_key = v1.tags_key(name), v1.images_key(name)
        tags, images = (read(self._store, key)[0] for key in (tags_key, images_key))
        known = lenient(tags, v1.decode_tags) or {}
        found = [each for look in looks for each in look.findings]
        looks = [look for look in looks if look.image is not None or look.findings]
        for tag in sorted(known.keys() - {look.tag for look in looks}):
            told = f"not there, and {tags_key} names it; {MEND}"
            found.append(finding(v1.tag_key(name, tag), Fault.MISSING, told))
            looks.append(self._image(tag, known[tag], None))
        entries = {look.tag: look.image for look in looks if look.image is not None and look.sound}
        # What is wrong with these is told of themselves.
        entries |= {look.tag: known[look.tag] for look in looks if not look.sound and look.tag in known}
        expected = v1.encode_tags(entries)
        if repository.is_old and known == entries and tags is not None:
            expected = tags
        found += self._document(repository, tags_key, tags, expected, needed=bool(entries))
        ancestors = {each for look in looks for each in look.ancestry or ()}
        expected = v1.encode_images(entries, ancestors)
        is_loose = repository.is_old or any(not look.sound or look.ancestry is None for look in looks)
        if is_loose and images is not None and lenient(images, v1.decode_images) is not None:
            # Clients read nothing of it.
            expected = images
        return looks, found + self._document(repository, images_key, images, expected, needed=bool(entries))

    def _document(
        self, repository: _Repository, key: str, data: bytes | None, expected: bytes, *, needed: bool
    ) -> list[Finding]:
        if data is None:
            missing = needed and not repository.is_old
            return [finding(key, Fault.MISSING, f"not there; {MEND}")] if missing else []
        if data != expected:
            decode: Callable[[bytes], object] = v1.decode_tags if key.endswith("/tags") else v1.decode_images
            try:
                decode(data)
            except BadDocument as error:
                return [finding(key, Fault.MALFORMED, f"{error}; {MEND}")]
            return [finding(key, Fault.STALE, f"not what the tags' own objects say; {MEND}")]
        return unless_old(self._inspection.small(key, V1_REPOSITORY_HEADERS, data), is_old=repository.is_old)

    def _want(self, wanted: dict[str, Wanted], where: str, look: _Look) -> None:
        """Note what a tag needs."""
        if look.image is None:
            return
        origin = look.origins.get(look.image)
        ancestry = origin.ancestry if origin else look.ancestry
        for place, each in enumerate(ancestry or (look.image,)):
            rest = ancestry[place:] if ancestry else None
            there = wanted.setdefault(each, Wanted(where, rest))
            if its := look.origins.get(each):
                there.add(its)
            if there.ancestry is None:
                there.ancestry = rest
            elif rest not in (None, there.ancestry):
                told = f"names other images below {each} than {there.where} needs"
                self.findings.append(finding(v1.image_key(look.image, v1.ANCESTRY), Fault.MALFORMED, told))

    def _strangers(self, wanted: Iterable[str]) -> None:
        """Note what is strange among the images."""
        known = set(wanted)
        for stat in self._store.list(v1.IMAGES_PREFIX):
            if not isinstance(stat, Stat):
                continue
            named = v1.image_of(stat.key)
            if named is None:
                self.notes.append(f"{stat.key}: not of the tree")
            elif named[1] == v1.IN_PROGRESS and named[0] not in known:
                self.notes.append(
                    f"{stat.key}: half pushed, and no tag needs it; nobody is offered it, sdr gc leaves it"
                )
