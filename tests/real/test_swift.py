"""The whole of it over a real Swift: a public container, nginx as a CDN before it, the endpoint, and every client."""

import functools
import json
import signal
import sys
import time
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.jobs import Jobs
from sdr.publish.progress import Silent
from sdr.publish.publisher import Publisher
from sdr.publish.sources.opening import Source, open_image
from sdr.stores.swift import SwiftStore
from sdr.stores.swift_credentials import login
from tests.real import pulling
from tests.real.clients import Client, Podman, Skopeo, containerd, dockerd
from tests.real.programs import Process, answers, environment, fetch, folder, run, until
from tests.real.pulling import MULTI, SINGLE, samples
from tests.real.samples import HOST, Sample, Samples
from tests.real.servers import Endpoint, Nginx, caching_nginx
from tests.real.swift import Swift, swift

#: The container; in the Swift that all tests share, it is one of these tests only.
CONTAINER = "pulled"

LARGE = "acme/large"

#: Of a size that cuts the larger layer of a sample into four.
SEGMENT_SIZE = 1 << 20

#: What nobody has published.
NOBODYS = f"sha256:{'0' * 64}"


def publish(running: Swift, source: str, name: str, container: str = CONTAINER) -> None:
    """Publish into a container as a user would, with credentials from the environment."""
    command = [sys.executable, "-m", "sdr", "publish", "--store", f"swift://{container}"]
    run([*command, source, name], env=environment(**running.environment))


def publish_in_segments(running: Swift, source: str, name: str, tag: str) -> None:
    """Publish into the container with layers in segments, as they are when they are larger than 1 GiB."""
    store = SwiftStore(f"swift://{CONTAINER}", CONTAINER, "", login(running.environment), segment_size=SEGMENT_SIZE)
    jobs, report = Jobs(8), Silent()
    with open_image(Source.parse(source), None, jobs, report) as image:
        Publisher(store, jobs, report).publish(image, name, [tag])


def tree(running: Swift, container: str = CONTAINER) -> str:
    """Return the container's public URL."""
    return f"{running.storage_url}/{container}"


@functools.cache
def _large() -> Samples:
    return Samples(folder(), "large")


@functools.cache
def _second() -> Samples:
    return Samples(folder(), "second")


@functools.cache
def _published() -> str:
    swift().make_container(CONTAINER)
    made = samples()
    publish(swift(), made.source(made.single), f"{SINGLE}:1.0")
    publish(swift(), made.source(made.multi), f"{MULTI}:1.0")
    publish(swift(), made.source(made.artifact), f"{MULTI}:sbom")
    publish_in_segments(swift(), _large().source(_large().multi), LARGE, "1.0")
    return tree(swift())


@functools.cache
def _cdn() -> Nginx:
    return caching_nginx(_published()).start()


@functools.cache
def _endpoint() -> Endpoint:
    return Endpoint(f"--cdn={_cdn().url}", f"--store={_published()}", "--poll=1").start()


def clients() -> tuple[Client, ...]:
    """Return every client."""
    return dockerd(), containerd(), Podman(), Skopeo()


def complaints(reference: str) -> Iterator[tuple[str, str]]:
    """Have every client fail to pull, and tell what each says."""
    yield "docker", dockerd()("pull", reference, ok=False).stderr
    yield "containerd", containerd()("images", "pull", "--plain-http", reference, ok=False).stderr
    yield "podman", Podman()("pull", "--tls-verify=false", reference, ok=False).stderr
    copy = ["copy", "--src-tls-verify=false", f"docker://{reference}", f"dir:{folder()}"]
    yield "skopeo", Skopeo()(*copy, ok=False).stderr


class SwiftTests(pulling.PullTests):
    """Manifests and blobs from nginx, which caches what Swift has."""

    def endpoint(self) -> Endpoint:
        """Return the endpoint to pull from."""
        return _endpoint()

    def test_layers_in_segments(self) -> None:
        """A layer that Swift holds in segments is one blob to every client, by tag and by digest."""
        sample = _large().multi
        for client in clients():
            for reference in (f"{LARGE}:1.0", f"{LARGE}@{sample.digest}"):
                for platform in sample.platforms:
                    pulled = client.pull(f"{_endpoint().host}/{reference}", platform)
                    self.assertEqual(pulled, sample.trees[platform], f"{client} {reference} {platform}")
        large = [line for line in _cdn().asked() if f" GET /{self.segmented()}" in line]
        self.assertEqual({line.split()[0] for line in large}, {"200"})

    def segmented(self) -> str:
        """Return the key of a layer that is in segments."""
        child = next(key for key in swift().objects(CONTAINER, "_segments/") if key.endswith("/00000003"))
        key = child.removeprefix("_segments/").rsplit("/", 2)[0]
        self.assertEqual(fetch(f"{_published()}/{key}", method="HEAD").headers["X-Static-Large-Object"], "True")
        return key

    def test_part_of_a_segmented_layer(self) -> None:
        """An interrupted download goes on in the middle of a segment, whether the CDN had the layer before or not."""
        url = f"{_cdn().url}/{self.segmented()}"
        for _ in range(2):
            part = fetch(url, Range=f"bytes={SEGMENT_SIZE - 10}-{SEGMENT_SIZE + 9}")
            self.assertEqual((part.status, part.body), (206, fetch(url).body[SEGMENT_SIZE - 10 : SEGMENT_SIZE + 10]))

    def test_swift_is_asked_once(self) -> None:
        """What one client has pulled, the next one gets from the CDN without Swift."""
        for _ in range(2):
            before = len(_cdn().asked())
            Skopeo().copy(f"{_endpoint().host}/{MULTI}:1.0")
        said = [line.split()[:2] for line in _cdn().asked()[before:]]
        self.assertEqual([one for one in said if one != ["200", "HIT"]], [])
        self.assertGreater(len(said), 6)

    def test_asked_for_before_it_was_published(self) -> None:
        """Whoever came too early, by tag or by digest, leaves no 404 behind that spoils the pull after publishing."""
        sample, early = _second().single, "acme/early"
        for reference in (f"{early}:1.0", f"{early}@{sample.digest}"):
            for who, said in complaints(f"{_endpoint().host}/{reference}"):
                self.assertRegex(said, "(?i)not found|unknown", who)
        publish(swift(), _second().source(sample), f"{early}:1.0")
        # That something is not there is remembered for five seconds.
        until(lambda: _endpoint().knows(early, "1.0"), "the tag is seen", seconds=15)
        until(lambda: _endpoint().knows(early, sample.digest), "the manifest is seen", seconds=15)
        for reference in (f"{early}:1.0", f"{early}@{sample.digest}"):
            for client in clients():
                self.assertEqual(client.pull(f"{_endpoint().host}/{reference}", HOST), sample.trees[HOST], str(client))


class RightsTests(SynchronousTestCase):
    """What strangers may do in the container, and what the endpoint makes of Swift's answers."""

    def start(self, container: str, rights: str) -> Endpoint:
        """Publish into a container with an ACL, and start an endpoint over it."""
        swift().make_container(container)
        publish(swift(), samples().source(samples().single), f"{SINGLE}:1.0", container)
        self.assertEqual(swift().ask("POST", container, X_Container_Read=rights), 204)
        store = tree(swift(), container)
        endpoint = Endpoint(f"--cdn={store}", f"--store={store}", "--poll=1").start()
        self.addCleanup(endpoint.stop)
        return endpoint

    def assert_missing_is_missing(self, container: str, rights: str) -> None:
        """Fail unless what is not there is 404, in the specification's words."""
        endpoint = self.start(container, rights)
        until(lambda: endpoint.knows(SINGLE, "1.0"), "the repository is known")
        for path, code in (
            (f"{SINGLE}/manifests/none", "MANIFEST_UNKNOWN"),
            (f"{SINGLE}/manifests/{NOBODYS}", "MANIFEST_UNKNOWN"),
            ("acme/none/manifests/1.0", "NAME_UNKNOWN"),
            ("acme/none/tags/list", "NAME_UNKNOWN"),
        ):
            got = fetch(f"{endpoint.url}/v2/{path}")
            self.assertEqual((got.status, got.json()["errors"][0]["code"]), (404, code), path)
        self.assertEqual(fetch(f"{endpoint.url}/v2/{SINGLE}/referrers/{NOBODYS}").json()["manifests"], [])

    def test_reading_and_listing(self) -> None:
        """Where anybody may read and list, what is not there is 404."""
        self.assert_missing_is_missing("listed", ".r:*,.rlistings")

    def test_reading_without_listing(self) -> None:
        """Where anybody may read and nobody may list, it is 404 just so: the endpoint needs no listings."""
        self.assert_missing_is_missing("unlisted", ".r:*")

    def test_no_reading(self) -> None:
        """A container that strangers may not read is said so in the log, and nothing in it is said to be missing."""
        endpoint = self.start("closed", "")
        until(lambda: "HTTP status 401" in endpoint.log(), "the endpoint says what Swift answers")
        for reference in ("1.0", "none", NOBODYS):
            got = fetch(f"{endpoint.url}/v2/{SINGLE}/manifests/{reference}")
            self.assertEqual(got.status, 307)


class Parts(Swift):
    """A Swift whose servers can be stopped one by one."""

    def part(self, kind: str) -> Process:
        """Return one of its servers: ``memcached``, ``account``, ``container``, ``object`` or ``proxy``."""
        kinds = ("memcached", "account", "container", "object", "proxy")
        return dict(zip(kinds, self._processes, strict=True))[kind]


class OutageTests(SynchronousTestCase):
    """What goes on when Swift, or the CDN, is gone or ill."""

    def setUp(self) -> None:
        """Start a Swift with images, a CDN that has them, and an endpoint that knows them."""
        self.swift = Parts()
        self.addCleanup(self.swift.stop)
        self.swift.start().make_container(CONTAINER)
        for name, sample in ((SINGLE, samples().single), (MULTI, samples().multi)):
            publish(self.swift, samples().source(sample), f"{name}:1.0")
        self.cdn = caching_nginx(tree(self.swift)).start()
        self.addCleanup(self.cdn.stop)
        self.endpoint = self.start(f"--state-dir={folder()}")
        for name in (SINGLE, MULTI):
            Skopeo().copy(f"{self.endpoint.host}/{name}:1.0")

    def start(self, *options: str) -> Endpoint:
        """Start an endpoint."""
        endpoint = Endpoint(f"--cdn={self.cdn.url}", f"--store={tree(self.swift)}", "--poll=1", *options).start()
        self.addCleanup(endpoint.stop)
        return endpoint

    def assert_pulls(self, tag: str = "1.0", sample: Sample | None = None) -> None:
        """Fail unless every client pulls an image of several platforms by tag and by digest."""
        sample = sample or samples().multi
        for client in clients():
            for reference in (f"{MULTI}:{tag}", f"{MULTI}@{sample.digest}"):
                pulled = client.pull(f"{self.endpoint.host}/{reference}", HOST)
                self.assertEqual(pulled, sample.trees[HOST], f"{client} {reference}")

    def assert_never_missing(self, what: str) -> None:
        """Fail if the endpoint says that something is not there, which nobody can know now."""
        for path in (f"{MULTI}/manifests/{what}", f"acme/{what}/manifests/1.0", f"acme/{what}/tags/list"):
            got = fetch(f"{self.endpoint.url}/v2/{path}")
            self.assertEqual((got.status, got.headers["Location"]), (307, f"{self.cdn.url}/v2/{path}"))

    def restart(self) -> None:
        """Restart the endpoint, on the same port and with the same state."""
        self.endpoint.stop()
        self.endpoint.start()

    def test_the_whole_picture(self) -> None:
        """Swift goes and comes back, then the CDN, the endpoint restarted within each: pulls end with the CDN only."""
        self.swift.stop()
        self.assert_pulls()
        self.restart()
        until(lambda: "starting from the saved catalog" in self.endpoint.log(), "it starts from the saved catalog")
        self.assertEqual(self.endpoint.digest(MULTI, "1.0"), samples().multi.digest)
        self.assert_pulls()

        self.swift.start()
        until(lambda: "the store is well again" in self.endpoint.log(), "the endpoint has noticed")
        second = _second().multi
        publish(self.swift, _second().source(second), f"{MULTI}:2.0")
        until(lambda: self.endpoint.digest(MULTI, "2.0") == second.digest, "a new tag is seen", seconds=5)
        publish(self.swift, _second().source(second), f"{MULTI}:1.0")
        until(lambda: self.endpoint.digest(MULTI, "1.0") == second.digest, "a moved tag is seen", seconds=5)
        self.assert_pulls("2.0", second)

        self.cdn.stop()
        self.assert_well_without_the_cdn(second)
        self.restart()
        until(lambda: self.endpoint.knows(MULTI, "2.0"), "the repository is known")
        self.assert_well_without_the_cdn(second)

        self.cdn.start()
        self.assert_pulls("1.0", second)

    def assert_well_without_the_cdn(self, sample: Sample) -> None:
        """Fail unless the endpoint says what it knows, and every client names the CDN's address and the reason."""
        self.assertTrue(answers(f"{self.endpoint.url}/v2/"))
        for reference in ("1.0", "2.0", sample.digest):
            self.assertEqual(self.endpoint.digest(MULTI, reference), sample.digest)
        tags = fetch(f"{self.endpoint.url}/v2/{MULTI}/tags/list")
        self.assertEqual(json.loads(tags.body), {"name": MULTI, "tags": ["1.0", "2.0"]})
        for who, said in complaints(f"{self.endpoint.host}/{MULTI}:2.0"):
            self.assertIn(f"127.0.0.1:{self.cdn.port}", said, who)
            self.assertIn("connection refused", said, who)

    def test_both_restart_while_swift_is_gone(self) -> None:
        """A CDN and an endpoint that restart while Swift is gone go on with what each has on its disk."""
        self.swift.kill()
        self.cdn.stop()
        self.cdn.start()
        self.restart()
        self.assert_pulls()

    def test_nothing_kept(self) -> None:
        """An endpoint that kept nothing, Swift gone: pulls by digest go on; by tag, clients name the CDN's 502."""
        self.swift.kill()
        self.endpoint = self.start()
        sample = samples().multi
        for client in clients():
            pulled = client.pull(f"{self.endpoint.host}/{MULTI}@{sample.digest}", HOST)
            self.assertEqual(pulled, sample.trees[HOST], client)
        for who, said in complaints(f"{self.endpoint.host}/{MULTI}:1.0"):
            self.assertRegex(said, "502", who)

    def test_unavailable(self) -> None:
        """Swift answers 503 for everything, there or not: nothing is said to be missing, and pulls go on."""
        self.swift.part("object").stop()
        self.assertEqual(fetch(f"{tree(self.swift)}/v2/_none").status, 503)
        self.assert_sits_it_out()

    def test_unauthorized(self) -> None:
        """Swift, which cannot see its accounts, takes everything for private: that is an outage too, and no absence."""
        self.swift.part("account").stop()
        # Where it remembers the account, and that anybody may read the container.
        self.swift.part("memcached").stop()
        self.assertEqual(fetch(f"{tree(self.swift)}/v2/_repositories.json").status, 401)
        self.assert_sits_it_out()

    def test_slow(self) -> None:
        """Swift takes requests and does not answer: nothing waits long, nothing is missing, and pulls go on."""
        self.swift.part("object").send(signal.SIGSTOP)
        self.addCleanup(self.swift.part("object").send, signal.SIGCONT)
        began = time.monotonic()
        self.assert_never_missing("first")
        # Some looks of two seconds each.
        self.assertLess(time.monotonic() - began, 20)
        self.assert_sits_it_out()

    def assert_sits_it_out(self) -> None:
        """Fail unless an ill Swift spoils nothing, from the first moment on and once it is well again."""
        self.assert_never_missing("at-once")
        until(lambda: " fails: " in self.endpoint.log(), "the endpoint says that polls fail")
        self.assert_never_missing("later")
        self.assert_pulls()
        self.swift.part("object").send(signal.SIGCONT)
        # All of it: its proxy leaves a server alone for a minute that has failed often.
        self.swift.stop()
        self.swift.start()
        until(lambda: "the store is well again" in self.endpoint.log(), "the endpoint has noticed")
        publish(self.swift, _second().source(_second().multi), f"{MULTI}:2.0")
        until(lambda: self.endpoint.knows(MULTI, "2.0"), "a new tag is seen", seconds=5)
        self.assert_pulls("2.0", _second().multi)
