"""The publisher: writes an image into a store, in the order of :class:`sdr.tree.keys.Stage`.

At every moment, and if it dies at any, each reference that a reader can find leads to something whole.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sdr.publish.expecting import Expected
from sdr.publish.image import Image
from sdr.publish.jobs import Jobs
from sdr.publish.member import Member, Wanted
from sdr.publish.progress import Report
from sdr.publish.together import Together
from sdr.publish.writing import Account
from sdr.registry.grammar import Digest
from sdr.stores.interface import Store


@dataclass(frozen=True, slots=True)
class Publication:
    """What has been published.

    :param size: of the manifest that the tags name, in bytes.
    """

    name: str
    tags: tuple[str, ...]
    digest: Digest
    media_type: str
    size: int
    account: Account

    @property
    def tag(self) -> str:
        """The first of the tags."""
        return self.tags[0]

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}@{self.digest}"


class Publisher:
    """Publishes into one store.

    :param sleep: waits for so many seconds.
    """

    def __init__(
        self, store: Store, jobs: Jobs, report: Report, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._store, self._jobs, self._report, self._sleep = store, jobs, report, sleep

    def publish(self, image: Image, name: str, tags: Sequence[str], if_tag: Expected | None = None) -> Publication:
        """Write what is not there yet of an image, and let tags name it.

        :param tags: at least one.
        :param if_tag: what each tag must be before it is moved.
        :raise sdr.stores.interface.StoreError: if the store fails.
        :raise sdr.publish.image.BadSource: if a blob is not what its digest says; no reader sees any of it.
        :raise sdr.publish.refused.Refused: if a tag is not as expected.
        """
        published, failure = self.publish_all([Wanted(image, name, tuple(tags))], if_tag)
        if failure is not None:
            raise failure
        return published[0]

    def publish_all(
        self, wanted: Sequence[Wanted], if_tag: Expected | None = None
    ) -> tuple[list[Publication], Exception | None]:
        """Publish images together, up to the first that fails.

        :param wanted: no two of them under the same tag of one repository.
        :return: what was published, and what became of the first that failed, which is what :meth:`publish` raises.
        :raise sdr.stores.interface.StoreError: if the store fails for all of them.
        """
        together = Together(self._store, self._jobs, self._report, wanted, if_tag, sleep=self._sleep)
        # Everything that can be refused is refused before the first write.
        together.check(objects=True)
        together.write()
        together.name()
        return [_publication(member) for member in together.members], together.failure


def _publication(member: Member) -> Publication:
    wanted, root = member.wanted, member.wanted.image.root
    return Publication(
        wanted.name, wanted.tags, root.digest, root.manifest.media_type, len(root.data), member.writing.account
    )
