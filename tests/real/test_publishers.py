"""Many publishers at once, on every kind of store: processes that know nothing of each other."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence

from twisted.trial.unittest import SynchronousTestCase

from sdr.stores.interface import Store
from sdr.stores.opening import open_store
from tests import images
from tests.directories import new_directory
from tests.publish.trees import broken_references, snapshot_of, stale_documents
from tests.real.programs import environment
from tests.real.s3 import moto
from tests.real.swift import swift

PROCESSES, EACH = 8, 25
SHARED = "acme/shared"

#: Publishes images under tags of one repository, into repositories of their own, and what is attached to one image.
SCRIPT = """
import sys
from sdr.stores.opening import open_store
from tests.publish.publishing import publish
from tests.publish.together import publish_all
store, layout, number, each, together = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
group = []
for turn in range(each):
    mine = f"{number}-{turn}"
    if turn % 5 == 0:
        group.append(("acme/shared", f"artifact-{mine}", f"artifact-{mine}"))
    elif turn % 5 in (1, 2):
        group.append((f"own/of-{mine}", "1", "image"))
    else:
        group.append(("acme/shared", mine, "image"))
if together == "together":
    _, failure = publish_all(open_store(store), layout, group, jobs=4)
    if failure is not None:
        raise failure
else:
    for name, tag, ref in group:
        publish(open_store(store), f"oci:{layout}:{ref}", name=name, tag=tag)
"""


class PublishersTests(SynchronousTestCase):
    """8 processes and 200 publishes."""

    #: The bucket or container: these tests' own.
    place = "publishers"
    #: Whether each process publishes its images one after the other, or ``together``.
    how = "alone"

    def run_at_once(
        self, script: str, arguments: Sequence[str], processes: int, each: int, variables: Mapping[str, str]
    ) -> None:
        """Run a script in so many processes, each with its number, ``each`` and how, after the arguments."""
        command = [sys.executable, "-c", script, *arguments]
        running = [
            subprocess.Popen([*command, str(number), str(each), self.how], env=environment(**variables))
            for number in range(processes)
        ]
        self.assertEqual([process.wait() for process in running], [0] * processes)

    def publish_all(self, text: str, store: Store, variables: Mapping[str, str]) -> None:
        """Publish, and require that nothing is lost in the derived documents."""
        folder = new_directory(self, make=True)
        layout = images.Layout()
        image = layout.tag(layout.image({"a": b"a"}), "image")
        for number in range(PROCESSES):
            for turn in range(0, EACH, 5):
                artifact = layout.artifact(f"{number}-{turn}".encode(), subject=image)
                layout.tag(artifact, f"artifact-{number}-{turn}")
        path = layout.write(folder / "layout")
        self.run_at_once(SCRIPT, [text, str(path)], PROCESSES, EACH, variables)
        tree = snapshot_of(store)
        self.assertEqual(broken_references(tree) + stale_documents(tree), [])
        tags = json.loads(tree[f"v2/{SHARED}/tags/list"])["tags"]
        self.assertEqual(len(tags), PROCESSES * EACH * 3 // 5)
        self.assertEqual(sum(tree[key].count(b"\n") for key in tree if key.endswith(".ndjson")), PROCESSES * 10 + 1)
        referrers = json.loads(tree[f"v2/{SHARED}/referrers/{image['digest']}"])["manifests"]
        self.assertEqual(len(referrers), PROCESSES * EACH // 5)

    def test_directory(self) -> None:
        """In a directory, with its locks."""
        text = str(new_directory(self) / "store")
        self.publish_all(text, open_store(text), {})

    def test_conditional_writes(self) -> None:
        """In S3, with its conditional writes."""
        server = moto()
        text = f"s3://{server.make_bucket(self.place)}"
        store = open_store(text, server.environment)
        self.assertTrue(store.conditional_writes)
        self.publish_all(text, store, server.environment)

    def test_none(self) -> None:
        """In Swift, which has none."""
        server = swift()
        server.make_container(self.place)
        text = f"swift://{self.place}"
        store = open_store(text, server.environment)
        self.assertFalse(store.conditional_writes)
        self.publish_all(text, store, server.environment)


class TogetherTests(PublishersTests):
    """The same, when each process publishes its images together."""

    place = "publishers-together"
    how = "together"
