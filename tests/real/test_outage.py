"""What goes on when something is gone."""

import functools
import json
import signal
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.real.clients import Client, Podman, Skopeo, containerd, dockerd
from tests.real.programs import answers, fetch, folder, until
from tests.real.samples import HOST, Samples
from tests.real.servers import Endpoint, Nginx, caching_nginx, directory_nginx, publish


@functools.cache
def _samples() -> Samples:
    return Samples(folder())


@functools.cache
def _published() -> Path:
    store = folder()
    for name in ("acme/asked-for", "acme/never-asked-for"):
        publish(store, _samples().source(_samples().multi), f"{name}:1.0")
    return store


class StoreOutageTests(SynchronousTestCase):
    """A store that goes away, and a CDN that has its files."""

    def setUp(self) -> None:
        """Start a store, a CDN with an origin of its own, and give the endpoint a place for its state."""
        self.store = Endpoint(f"--cdn={_published()}").start()
        self.addCleanup(self.store.stop)
        self.origin = Endpoint(f"--cdn={_published()}").start()
        self.addCleanup(self.origin.stop)
        self.cdn = caching_nginx(f"{self.origin.url}/tree").start()
        self.addCleanup(self.cdn.stop)
        self.state = folder()

    def start(self, *options: str) -> Endpoint:
        """Start an endpoint."""
        endpoint = Endpoint(f"--cdn={self.cdn.url}", f"--store={self.store.url}/tree", "--poll=1", *options).start()
        self.addCleanup(endpoint.stop)
        return endpoint

    def assert_pulls(self, endpoint: Endpoint, *clients: Client) -> None:
        """Fail unless clients pull the image, asked for before or not, by tag and by digest."""
        sample = _samples().multi
        for client in clients:
            for name in ("acme/asked-for", "acme/never-asked-for"):
                for reference in (":1.0", f"@{sample.digest}"):
                    pulled = client.pull(f"{endpoint.host}/{name}{reference}", HOST)
                    self.assertEqual(pulled, sample.trees[HOST], f"{client} {name}{reference}")

    def test_pulls_go_on(self) -> None:
        """With the store gone, every client pulls what the CDN has, asked for before or not."""
        endpoint = self.start(f"--state-dir={self.state}")
        until(lambda: endpoint.knows("acme/asked-for", "1.0"), "the repository is known")
        self.store.kill()
        self.assert_pulls(endpoint, dockerd(), containerd(), Podman(), Skopeo())

    def test_pulls_go_on_after_a_restart(self) -> None:
        """An endpoint that starts while the store is gone goes on with the state that it kept."""
        endpoint = self.start(f"--state-dir={self.state}")
        until(lambda: endpoint.knows("acme/asked-for", "1.0"), "the repository is known")
        until(lambda: any(self.state.iterdir()), "the state is kept")
        endpoint.stop()
        self.store.kill()
        again = self.start(f"--state-dir={self.state}")
        # What was kept, and not the CDN alone: HEAD of the tag is answered by the endpoint itself.
        self.assertTrue(again.knows("acme/asked-for", "1.0"))
        until(lambda: "starting from the saved catalog" in again.log(), "it starts from the saved catalog")
        self.assert_pulls(again, dockerd(), containerd(), Podman(), Skopeo())

    def test_pulls_go_on_after_a_restart_that_kept_nothing(self) -> None:
        """An endpoint that has never seen the store leaves all decisions to the CDN."""
        self.store.kill()
        self.assert_pulls(self.start(), dockerd(), containerd(), Podman(), Skopeo())

    def test_hanging_store_does_not_hold_up_pulls(self) -> None:
        """A store that takes connections and says nothing is as good as gone."""
        endpoint = self.start()
        until(lambda: endpoint.knows("acme/asked-for", "1.0"), "the repository is known")
        self.store.send(signal.SIGSTOP)
        self.addCleanup(self.store.send, signal.SIGCONT)
        began = time.monotonic()
        self.assert_pulls(endpoint, Skopeo())
        self.assertLess(time.monotonic() - began, 30)

    def test_state_may_be_spoiled(self) -> None:
        """State that cannot be read is no reason not to start."""
        endpoint = self.start(f"--state-dir={self.state}")
        until(lambda: endpoint.knows("acme/asked-for", "1.0"), "the repository is known")
        until(lambda: any(path.is_file() for path in self.state.rglob("*")), "the state is kept")
        endpoint.stop()
        for path in self.state.rglob("*"):
            if path.is_file():
                path.write_bytes(b"\x00 not what was written")
        again = self.start(f"--state-dir={self.state}")
        self.assert_pulls(again, Skopeo())
        self.assertNotIn("Traceback", again.log())

    def test_inline_manifests_go_on(self) -> None:
        """With ``--manifests inline``, a manifest that the store cannot give is taken from the CDN by the client."""
        endpoint = self.start("--manifests=inline")
        until(lambda: endpoint.knows("acme/asked-for", "1.0"), "the repository is known")
        self.store.kill()
        self.assert_pulls(endpoint, dockerd(), containerd(), Podman(), Skopeo())

    def test_inline_manifests_over_plain_files(self) -> None:
        """Over web servers that know no types, what was pulled once is pulled after a restart too, the store gone."""
        store, cdn = directory_nginx(_published()).start(), directory_nginx(_published()).start()
        self.addCleanup(store.stop)
        self.addCleanup(cdn.stop)
        options = (f"--cdn={cdn.url}", f"--store={store.url}", "--manifests=inline", f"--state-dir={self.state}")
        with Endpoint(*options) as endpoint:
            Skopeo().pull(f"{endpoint.host}/acme/asked-for:1.0", HOST)
        store.stop()
        with Endpoint(*options) as again:
            for client in (dockerd(), containerd(), Podman(), Skopeo()):
                pulled = client.pull(f"{again.host}/acme/asked-for:1.0", HOST)
                self.assertEqual(pulled, _samples().multi.trees[HOST], client)


class CdnOutageTests(SynchronousTestCase):
    """A CDN that goes away, and a store that is well."""

    def setUp(self) -> None:
        """Start a store, and an endpoint whose CDN is not there."""
        store = Endpoint(f"--cdn={_published()}").start()
        self.addCleanup(store.stop)
        self.cdn: Nginx = caching_nginx(f"{store.url}/tree")
        self.endpoint = Endpoint(f"--cdn={self.cdn.url}", f"--store={store.url}/tree").start()
        self.addCleanup(self.endpoint.stop)
        until(lambda: self.endpoint.knows("acme/asked-for", "1.0"), "the repository is known")
        self.reference = f"{self.endpoint.host}/acme/asked-for:1.0"

    def assert_clear(self, said: str) -> None:
        """Fail unless what a client said names the place that is gone and why."""
        self.assertIn(f"127.0.0.1:{self.cdn.port}", said)
        self.assertIn("connection refused", said)

    def test_docker_says_so(self) -> None:
        """Docker fails with the CDN's address and the reason."""
        self.assert_clear(dockerd()("pull", self.reference, ok=False).stderr)

    def test_containerd_says_so(self) -> None:
        """Containerd fails with the CDN's address and the reason."""
        self.assert_clear(containerd()("images", "pull", "--plain-http", self.reference, ok=False).stderr)

    def test_podman_says_so(self) -> None:
        """Podman fails with the CDN's address and the reason."""
        self.assert_clear(Podman()("pull", "--tls-verify=false", self.reference, ok=False).stderr)

    def test_skopeo_says_so(self) -> None:
        """Skopeo fails with the CDN's address and the reason."""
        copy = Skopeo()("copy", "--src-tls-verify=false", f"docker://{self.reference}", f"dir:{folder()}", ok=False)
        self.assert_clear(copy.stderr)

    def test_endpoint_is_well(self) -> None:
        """The endpoint answers what it knows by itself, and pulls work again once the CDN is back."""
        Skopeo()("copy", "--src-tls-verify=false", f"docker://{self.reference}", f"dir:{folder()}", ok=False)
        self.assertTrue(answers(f"{self.endpoint.url}/v2/"))
        self.assertEqual(self.endpoint.digest("acme/asked-for", "1.0"), _samples().multi.digest)
        tags = fetch(f"{self.endpoint.url}/v2/acme/asked-for/tags/list")
        self.assertEqual(json.loads(tags.body), {"name": "acme/asked-for", "tags": ["1.0"]})
        with self.cdn:
            self.assertEqual(Skopeo().pull(self.reference, HOST), _samples().multi.trees[HOST])
