"""Keeping the derived documents of protocol v1 level with the tags' own objects, beside others that do the same.

``repositories/<namespace>/<name>/tags`` and ``…/images`` say what the objects ``tag_<TAG>`` beside them say. They are
kept as :mod:`sdr.publish.index` keeps those of protocol v2: read, merged, and put back if nobody has changed them.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

from sdr.publish.jobs import Jobs
from sdr.publish.keeping import SETTLE, Documents
from sdr.publish.progress import Report
from sdr.publish.truth import SLACK, read
from sdr.publish.writing import Writing
from sdr.stores.interface import ANY_VERSION, Bytes, Changed, NotThere, Stat, Store
from sdr.tree import v1
from sdr.tree.documents import BadDocument
from sdr.tree.headers import V1_REPOSITORY_HEADERS, V1_TAG_HEADERS

#: How often a tag has to be found in ``tags`` and nowhere else, before it counts as written by another registry.
LOOKS = 3


class V1Index:
    """The derived documents of protocol v1 in one store. ``library/app`` and ``app`` are one repository in it.

    :param writing: puts, and keeps count.
    :param mends: whether a document that is malformed is made anew, instead of being refused.
    :param sleep: waits for so many seconds.
    """

    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        report: Report,
        writing: Writing,
        *,
        mends: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store, self._jobs, self._report, self._writing, self._sleep = store, jobs, report, writing, sleep
        self._documents = Documents(store, jobs, writing, mends=mends, sleep=sleep)
        #: Of images that were found whole.
        self._ancestries: dict[str, tuple[str, ...]] = {}
        self._adopted: set[str] = set()

    def check(self, name: str) -> None:
        """Read the documents that :meth:`level` would change: a malformed one is better known before the tag moves.

        :raise StoreError: if one is not what is written there.
        """
        self._documents.hold(_needed(name))
        for key, found in self._documents.held.items():
            self._documents.decoded(found, v1.decode_tags if key == v1.tags_key(name) else v1.decode_images)

    def level(self, name: str, touched: Collection[str] = (), hidden: Collection[str] = ()) -> None:
        """Bring the documents of a repository level.

        :param touched: tags that were written or removed just now.
        :param hidden: tags that are about to be removed.
        :raise StoreError: if a document cannot be written, or is not what is written there.
        """
        self._adopt(name, {*touched, *hidden})
        self._documents.settle([lambda: self._level(name, touched, hidden)], lambda: _needed(name))

    def _level(self, name: str, touched: Collection[str], hidden: Collection[str]) -> bool:
        images, tags = (self._documents.read(key) for key in _needed(name))
        self._documents.decoded(images, v1.decode_images)
        known = self._documents.decoded(tags, v1.decode_tags) or {}
        entries = {tag: each for tag, each in self._tags(name, known, tags.since, touched).items() if tag not in hidden}
        # A repository without a tag has no documents, unless it had one.
        if not entries and tags.data is None:
            return False
        ancestors = {each for ancestry in self._ancestries_of(entries.values()) for each in ancestry}
        wrote = self._documents.write(images, v1.encode_images(entries, ancestors), V1_REPOSITORY_HEADERS)
        wrote |= self._documents.write(tags, v1.encode_tags(entries), V1_REPOSITORY_HEADERS)
        changed = [tag for tag in {*known, *entries} - {*hidden} if known.get(tag) != entries.get(tag)]
        # Who has moved a tag back meanwhile, to what the document said then, has left that alone. Where nothing is
        # conditional all is looked at again anyway.
        if self._store.conditional_writes and any(self._tagged(name, tag) != entries.get(tag) for tag in changed):
            raise Changed(self._store.location, tags.key, "a tag was moved meanwhile")
        return wrote

    def _tags(
        self, name: str, known: Mapping[str, str], since: float | None, touched: Collection[str]
    ) -> dict[str, str]:
        """Return what each tag names by now; see :func:`sdr.publish.truth.tags_of`."""
        began = time.monotonic()
        listed = self._listed(name)

        def is_sure(tag: str) -> bool:
            if tag not in known or tag not in listed or tag in touched or not self._store.conditional_writes:
                return False
            return since is not None and listed[tag].modified < since - SLACK

        def look(tags: Iterable[str]) -> dict[str, str | None]:
            doubtful = sorted(tags)
            return dict(zip(doubtful, self._jobs.run(partial(self._tagged, name), doubtful), strict=True))

        found: dict[str, str | None] = {**known}
        # A listing may lag behind, so a tag that it lacks is read before it is believed to be gone.
        found |= look(tag for tag in {*known, *listed, *touched} if not is_sure(tag))
        while time.monotonic() - began > SLACK / 2:
            # What has moved while all that was read would count as older than the document that is written from it.
            began, before = time.monotonic(), listed
            listed = self._listed(name)
            moved = [tag for tag in {*before, *listed} if before.get(tag) != listed.get(tag)]
            if not moved:
                break
            found |= look(moved)
        return {tag: each for tag, each in sorted(found.items()) if each is not None}

    def _tagged(self, name: str, tag: str) -> str | None:
        """Return the image that a tag names, or ``None`` where it is not there, or names none that is whole."""
        data, _ = read(self._store, v1.tag_key(name, tag))
        if data is None:
            return None
        try:
            image_id = v1.decode_tag(data)
        except BadDocument:
            return None
        return image_id if self._is_whole(image_id) else None

    def _is_whole(self, image_id: str) -> bool:
        if image_id not in self._ancestries:
            if self._store.head(v1.image_key(image_id, v1.JSON)) is None:
                return False
            if self._store.head(v1.image_key(image_id, v1.IN_PROGRESS)) is not None:
                return False
        return True

    def _ancestries_of(self, ids: Iterable[str]) -> Iterable[tuple[str, ...]]:
        """Return the ancestry of each; an image's never changes."""
        wanted = sorted({*ids})
        new = [each for each in wanted if each not in self._ancestries]
        self._ancestries |= zip(new, self._jobs.run(self._ancestry, new), strict=True)
        return [self._ancestries[each] for each in wanted]

    def _ancestry(self, image_id: str) -> tuple[str, ...]:
        data, _ = read(self._store, v1.image_key(image_id, v1.ANCESTRY))
        try:
            return v1.decode_ancestry(data) if data is not None else (image_id,)
        except BadDocument:
            return (image_id,)

    def _listed(self, name: str) -> dict[str, Stat]:
        tags = {}
        try:
            for found in self._store.list(f"{v1.repository_prefix(name)}tag_", delimiter="/"):
                entry = v1.entry_of(found.key) if isinstance(found, Stat) else None
                if isinstance(found, Stat) and entry is not None and entry.tag is not None:
                    tags[entry.tag] = found
        except NotThere:
            # The store itself is still to be made.
            return {}
        return tags

    def _adopt(self, name: str, besides: Collection[str]) -> None:
        """Give the tags that only ``tags`` names objects of their own.

        A tree that was copied from an ActiveState registry may have none, and they would be lost when ``tags`` is next
        derived. The same is seen for a moment while somebody removes a tag, so it is looked at again.
        """
        key = v1.tags_key(name)
        if key in self._adopted:
            return
        self._adopted.add(key)
        for look in range(LOOKS):
            if look:
                self._sleep(SETTLE[1] / 1000)
            if not (lost := self._without_object(name, besides)):
                return
        for tag, image_id in lost.items():
            if not self._is_whole(image_id):
                self._report.say(f"{key}: {tag} names {image_id}, which is not there or not whole; left out")
                continue
            replaces = None if self._store.conditional_writes else ANY_VERSION
            try:
                self._writing.put(
                    v1.tag_key(name, tag), Bytes(v1.encode_tag(image_id)), V1_TAG_HEADERS, replaces=replaces
                )
            except Changed:
                # Somebody else has tagged it just now.
                continue
            self._report.say(f"{key}: {tag} had no object of its own, as another registry leaves it; it has one now")

    def _without_object(self, name: str, besides: Collection[str]) -> dict[str, str]:
        data, _ = read(self._store, v1.tags_key(name))
        if data is None:
            return {}
        try:
            known = v1.decode_tags(data)
        except BadDocument:
            # That is told, or mended, where it is read to be changed.
            return {}
        listed = self._listed(name)
        doubtful = sorted(tag for tag in known if tag not in listed and tag not in besides)
        there = self._jobs.run(lambda tag: self._store.head(v1.tag_key(name, tag)), doubtful)
        return {tag: known[tag] for tag, stat in zip(doubtful, there, strict=True) if stat is None}


def _needed(name: str) -> tuple[str, str]:
    return v1.images_key(name), v1.tags_key(name)
