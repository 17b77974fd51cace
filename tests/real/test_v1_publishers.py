"""Many publishers for protocol v1 at once, on every kind of store: processes that know nothing of each other."""

import json
from collections.abc import Mapping

from sdr.stores.interface import Store
from tests import images
from tests.directories import new_directory
from tests.publish.checked import layered
from tests.publish.trees import snapshot_of
from tests.publish.v1_trees import broken_v1, stale_v1
from tests.real import test_publishers

PROCESSES, EACH = 6, 3
SHARED = "acme/shared"

#: Publishes images with a base that all share, under tags of one repository, and moves a tag that all move.
SCRIPT = """
import sys
from sdr.stores.opening import open_store
from tests.publish.v1_trees import publish_v1
store, layout, number, each = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for turn in range(each):
    publish_v1(open_store(store), f"oci:{layout}:image-{number}", "acme/shared", f"{number}-{turn}", "latest")
"""


class V1PublishersTests(test_publishers.PublishersTests):
    """6 processes and 18 publishes, with 19 tags."""

    place = "v1-publishers"

    def publish_all(self, text: str, store: Store, variables: Mapping[str, str]) -> None:
        """Publish, and require that each tag is there, in the documents too, with an image that is whole."""
        layout = images.Layout()
        for number in range(PROCESSES):
            layered(layout, f"image-{number}", ({"a": b"shared"}, ""), ({"b": f"{number}".encode()}, ""))
        path = layout.write(new_directory(self, make=True) / "layout")
        self.run_at_once(SCRIPT, [text, str(path)], PROCESSES, EACH, variables)
        tree = snapshot_of(store)
        self.assertEqual(broken_v1(tree) + stale_v1(tree), [])
        tags = json.loads(tree[f"repositories/{SHARED}/tags"])
        mine = {f"{number}-{turn}" for number in range(PROCESSES) for turn in range(EACH)}
        self.assertEqual(set(tags), mine | {"latest"})
        self.assertEqual(len(set(tags.values())), PROCESSES)
