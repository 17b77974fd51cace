"""What was just published is what is pulled, behind a CDN that keeps all that it is allowed to keep."""

import functools
import json
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.real.clients import Client, Podman, Skopeo, containerd, dockerd
from tests.real.programs import fetch, folder, until
from tests.real.samples import HOST, Samples
from tests.real.servers import Endpoint, Nginx, caching_nginx, publish

#: Long beside the slack: whoever needs two polls fails.
POLL = 6.0
#: A poll's jitter, the poll itself, and a slow machine.
SLACK = 2.0


@functools.cache
def _samples(text: str) -> Samples:
    return Samples(folder(), text)


class FreshnessTests(SynchronousTestCase):
    """An origin, a caching nginx in front of it, and an endpoint that polls the origin."""

    def serve(self, *, poll: float, empty: bool = False) -> tuple[Path, Nginx, Endpoint]:
        """Start them over a store with one image, unless it is to be empty; return store, CDN and endpoint."""
        store = folder()
        if not empty:
            publish(store, _samples("first").source(_samples("first").single), "acme/base:1.0")
        # An endpoint that serves a directory sends the types and headers that an object store would.
        origin = Endpoint(f"--cdn={store}")
        cdn = caching_nginx(f"{origin.url}/tree")
        endpoint = Endpoint(f"--cdn={cdn.url}", f"--store={origin.url}/tree", f"--poll={poll}")
        for program in (origin, cdn, endpoint):
            program.start()
            self.addCleanup(program.stop)
        if not empty:
            until(lambda: endpoint.knows("acme/base", "1.0"), "the store's catalog is loaded")
        return store, cdn, endpoint

    def move(self, store: Path, text: str) -> str:
        """Publish an image under the tag that every test here pulls, and return its digest."""
        sample = _samples(text).multi
        publish(store, _samples(text).source(sample), "acme/app:1.0")
        return sample.digest

    def assert_moves(self, client: Client) -> None:
        """Fail unless a client pulls what a tag was moved to, within one poll, past a CDN that kept the old."""
        store, cdn, endpoint = self.serve(poll=POLL)
        reference = f"{endpoint.host}/acme/app:1.0"
        for_this_machine = [_samples(text).multi.trees[HOST] for text in ("first", "second")]
        self.move(store, "first")
        self.assertEqual(client.pull(reference, HOST), for_this_machine[0])
        on_cdn = f"{cdn.url}/v2/acme/app/manifests/1.0"
        kept = fetch(on_cdn).body

        moved = self.move(store, "second")
        published = time.monotonic()
        until(lambda: endpoint.digest("acme/app", "1.0") == moved, "the moved tag is seen", seconds=POLL + SLACK)
        self.assertEqual(client.pull(reference, HOST), for_this_machine[1])

        self.assertLess(time.monotonic() - published, 30, "too slow to tell: the CDN's own copy may have expired")
        self.assertEqual(fetch(on_cdn).body, kept, "the CDN kept nothing, so this showed nothing")

    def test_docker_pulls_a_moved_tag(self) -> None:
        """Docker gets the new image within one poll of the second ``sdr publish``."""
        self.assert_moves(dockerd())

    def test_containerd_pulls_a_moved_tag(self) -> None:
        """Containerd gets the new image within one poll of the second ``sdr publish``."""
        self.assert_moves(containerd())

    def test_podman_pulls_a_moved_tag(self) -> None:
        """Podman gets the new image within one poll of the second ``sdr publish``."""
        self.assert_moves(Podman())

    def test_skopeo_copies_a_moved_tag(self) -> None:
        """Skopeo gets the new image within one poll of the second ``sdr publish``."""
        self.assert_moves(Skopeo())

    def test_new_repository_is_pulled_at_once(self) -> None:
        """A repository that was published a second ago is pulled, however long the time between polls."""
        store, _, endpoint = self.serve(poll=600)
        sample = _samples("first").multi
        publish(store, _samples("first").source(sample), "acme/new:1.0")
        self.assertEqual(Skopeo().pull(f"{endpoint.host}/acme/new:1.0", HOST), sample.trees[HOST])

    def test_new_tag_is_pulled_at_once(self) -> None:
        """A tag that was published a second ago into a repository in use is pulled, however long between polls."""
        store, _, endpoint = self.serve(poll=600)
        sample = _samples("second").multi
        publish(store, _samples("second").source(sample), "acme/base:2.0")
        self.assertEqual(Skopeo().pull(f"{endpoint.host}/acme/base:2.0", HOST), sample.trees[HOST])

    def test_first_publication_into_an_empty_store_is_pulled_at_once(self) -> None:
        """An endpoint that was started before anything was published serves the first image without a restart."""
        store, _, endpoint = self.serve(poll=1, empty=True)
        self.move(store, "first")
        tree = _samples("first").multi.trees[HOST]
        self.assertEqual(Skopeo().pull(f"{endpoint.host}/acme/app:1.0", HOST), tree)

    def test_what_was_asked_for_too_early_is_pulled_soon(self) -> None:
        """A "no" is forgotten within seconds by the endpoint, and at once by the CDN, for manifests and blobs."""
        store, cdn, endpoint = self.serve(poll=600)
        sample = _samples("second").single
        self.assertEqual(fetch(f"{endpoint.url}/v2/acme/early/manifests/1.0").status, 404)
        self.assertEqual(fetch(f"{cdn.url}/v2/acme/early/manifests/1.0").status, 404)
        layer = json.loads(sample.manifest)["layers"][0]["digest"]
        self.assertEqual(fetch(f"{cdn.url}/blobs/{layer.replace(':', '/')}").status, 404)
        publish(store, _samples("second").source(sample), "acme/early:1.0")
        until(lambda: endpoint.knows("acme/early", "1.0"), "the early question is forgotten", seconds=15)
        self.assertEqual(Skopeo().pull(f"{endpoint.host}/acme/early:1.0", HOST), sample.trees[HOST])

    def test_layers_are_cached(self) -> None:
        """The CDN asks its origin once for what is addressed by digest, however often it is pulled."""
        store, cdn, endpoint = self.serve(poll=600)
        self.move(store, "first")
        for _ in range(3):
            Skopeo().pull(f"{endpoint.host}/acme/app:1.0", HOST)
        asked = [line.split()[1:] for line in cdn.asked() if "/blobs/" in line or "sha256:" in line]
        missed = [target for cached, _, target in asked if cached == "MISS"]
        self.assertEqual(len(missed), len(set(missed)), asked)
        self.assertTrue([target for cached, _, target in asked if cached == "HIT"])
