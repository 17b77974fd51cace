"""``sdr tag``: another name for what is in the store already."""

import time
from collections.abc import Callable

from sdr.publish.changes import Changes
from sdr.publish.expecting import Expected
from sdr.publish.image import Image
from sdr.publish.jobs import Jobs
from sdr.publish.member import Wanted
from sdr.publish.progress import Report
from sdr.publish.references import stored_image
from sdr.publish.refused import Refused
from sdr.publish.together import Together
from sdr.publish.truth import tagged
from sdr.registry.grammar import Digest, Reference
from sdr.stores.interface import Store
from sdr.tree.keys import manifest_key


class Tagging:
    """Lets tags name what is there.

    :param sleep: waits for so many seconds.
    """

    def __init__(
        self, store: Store, jobs: Jobs, report: Report, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._store, self._jobs, self._report, self._sleep = store, jobs, report, sleep

    def tag(self, name: str, reference: Reference, new_tag: str, if_tag: Expected | None = None) -> Changes:
        """Let a new tag name what another tag or a digest names.

        :param if_tag: what the new tag must be before it is moved.
        :raise Refused: if there is nothing under that reference, or the new tag is not as expected.
        :raise sdr.stores.interface.StoreError: if the store fails.
        """
        digest = self._resolved(name, reference)
        manifests, blobs = stored_image(self._store, name, digest)
        wanted = Wanted(Image(tuple(manifests), tuple(blobs)), name, (new_tag,))
        together = Together(self._store, self._jobs, self._report, [wanted], if_tag, sleep=self._sleep)
        together.check(objects=False)
        together.name()
        if together.failure is not None:
            raise together.failure
        return Changes(written=together.members[0].writing.account.written)

    def _resolved(self, name: str, reference: Reference) -> Digest:
        if isinstance(reference, Digest):
            if self._store.head(manifest_key(name, reference)) is None:
                raise Refused(f"{self._store.location}: there is no {name}@{reference}")
            return reference
        entry = tagged(self._store, name, reference)
        if entry is None:
            raise Refused(f"{self._store.location}: there is no {name}:{reference}")
        return entry.digest
