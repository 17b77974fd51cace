"""What every docker from 0.9 to 17.05 is promised, whichever way the tree is served: one class of tests."""

import sys
from collections.abc import Iterable, Mapping
from http.client import HTTPSConnection
from urllib.parse import urlsplit

from twisted.trial.unittest import SynchronousTestCase

from tests.real.certificates import certificates
from tests.real.cutting import Cutting
from tests.real.programs import Process, Response, environment, fetch, free_port, run
from tests.real.samples import Tree
from tests.real.servers import Endpoint, twistd
from tests.real.v1_docker import Docker, Pulled
from tests.real.v1_pictures import LINUX, NOISE, later, picture
from tests.real.v1_versions import VERSIONS, Trait, Version, kinds
from tests.real.v1_wire import PullFailed

#: What is published for v1 and, with manifests of OCI, for v2: no docker that speaks v1 takes those.
NAME, DEEP, SHORT = "acme/app", "acme/team/app", "short"

#: What docker asks of an image.
PARTS = ("json", "ancestry", "layer")

#: Names that some versions do not take, and one of the library.
NAMES = (NAME, DEEP, SHORT)


def publish(store: str, source: str, name: str, *options: str, env: Mapping[str, str] | None = None) -> None:
    """Publish an image for v1 and v2, as a user would; ``env`` is added to the environment."""
    command = [sys.executable, "-m", "sdr", "publish", "--v1", "--store", store, *options]
    run([*command, source, name], env=environment(**(env or {})))


def publish_all(store: str, env: Mapping[str, str] | None = None) -> None:
    """Publish what the tests of this module pull."""
    for name in NAMES:
        publish(store, picture().oci, f"{name}:1.0", env=env)
    publish(store, later().oci, f"{NAME}:latest", env=env)


class SecureEndpoint(Endpoint):
    """``twistd sdr`` over https."""

    def __init__(self, *options: str) -> None:
        port = free_port()
        made = certificates()
        listen = f"ssl:{port}:interface=127.0.0.1:privateKey={made.key}:certKey={made.certificate}"
        Process.__init__(self, [*twistd(), "-n", "--pidfile=", "sdr", f"--listen={listen}", *options])
        self.port, self.host = port, f"127.0.0.1:{port}"
        self.url = f"https://{self.host}"

    def ready(self) -> bool:
        """Tell whether it answers the registry handshake."""
        try:
            return self.fetch("/v2/").status == 200
        except OSError:
            return False

    def fetch(self, path: str) -> Response:
        """Make one request, and follow nothing."""
        connection = HTTPSConnection(self.host, timeout=10, context=certificates().trusting())
        try:
            connection.request("GET", path)
            got = connection.getresponse()
            return Response(got.status, got.headers, got.read())
        finally:
            connection.close()


def pull(version: Version, host: str, name: str, tag: str | None = "1.0", *, all_tags: bool = False) -> Pulled:
    """Pull as a version does, over https if the host speaks it."""
    return Docker(version, certificates().trusting()).pull(host, name, tag, all_tags=all_tags)


def takers(name: str) -> Iterable[Version]:
    """Return the versions for which this is a name."""
    return [version for version in VERSIONS if version.takes(name)]


class V1TestCase(SynchronousTestCase):
    """What tests of protocol v1 assert."""

    def assert_over_v1(self, pulled: Pulled, tree: Tree, about: object, tag: str | None = None) -> None:
        """Fail unless a tag came over v1, whole, with each layer's very size, and as every docker wants it."""
        self.assertEqual(pulled.protocol, 1, about)
        self.assertTrue(pulled.tree(tag) == tree, f"{about}: other files: {sorted(pulled.tree(tag))}")
        for layers in pulled.images.values():
            self.assertEqual([layer.size for layer in layers], [len(layer.data) for layer in layers], about)
        self.assertEqual(pulled.naps, 0, about)
        for one in pulled.exchanges:
            self.assertLessEqual(one.hop, 1, f"{about} {one}")
            self.assertNotEqual(one.status, 308, f"{about} {one}")
            for header in ("Content-Encoding", "Set-Cookie", "X-Docker-Token"):
                self.assertNotIn(header, one.headers, f"{about} {one}")

    def assert_fails(self, version: Version, host: str, name: str, tag: str, why: str) -> list[str]:
        """Fail unless a version cannot pull, and says why; return what it asked."""
        docker = Docker(version, certificates().trusting())
        with self.assertRaises(PullFailed) as caught:
            docker.pull(host, name, tag)
        self.assertRegex(str(caught.exception), why, str(version))
        return [str(one) for one in docker.exchanges if not one.hop]


class V1PullTests(V1TestCase):
    """Images come out of every docker of 2014 to 2017 as they went into the store."""

    def endpoint(self) -> Endpoint:
        """Return the endpoint to pull from."""
        raise NotImplementedError

    #: What serves them.
    kind: type[Endpoint] = Endpoint

    def store(self) -> str:
        """Return where the endpoint reads the tree."""
        raise NotImplementedError

    def through(self, cdn: str) -> Endpoint:
        """Start another endpoint of the same tree, whose CDN is elsewhere."""
        endpoint = self.kind(f"--cdn={cdn}", f"--store={self.store()}").start()
        self.addCleanup(endpoint.stop)
        return endpoint

    def cdn(self) -> str:
        """Return the URL where the files are."""
        raise NotImplementedError

    def fetch(self, path: str) -> Response:
        """Ask the endpoint."""
        endpoint = self.endpoint()
        return endpoint.fetch(path) if isinstance(endpoint, SecureEndpoint) else fetch(f"{endpoint.url}{path}")

    def test_every_version_pulls(self) -> None:
        """Every docker pulls the image whole, for linux/amd64, whatever kind of name it has."""
        for name in NAMES:
            for version in takers(name):
                pulled = pull(version, self.endpoint().host, name)
                self.assert_over_v1(pulled, picture().trees[LINUX], f"{version} {name}")

    def test_layers_come_from_the_cdn(self) -> None:
        """Ancestry and layers are one 302 away, and nothing else is; the endpoint sends no layer."""
        for version in kinds():
            pulled = pull(version, self.endpoint().host, NAME)
            followed = [one for one in pulled.exchanges if one.hop]
            self.assertEqual({urlsplit(one.url)._replace(path="").geturl() for one in followed}, {self.cdn_root()})
            redirects = [one for one in pulled.exchanges if 300 <= one.status < 400 and "/v1/" in one.url]
            self.assertEqual({one.status for one in redirects}, {302}, str(version))
            parts = {one.url.rpartition("/")[2] for one in redirects}
            self.assertEqual(parts, {"ancestry", "layer"}, str(version))

    def cdn_root(self) -> str:
        """Return the CDN's scheme and host."""
        return urlsplit(self.cdn())._replace(path="").geturl()

    def test_the_cdn_is_told_nothing(self) -> None:
        """No ``Authorization`` reaches the CDN."""
        for version in kinds():
            pulled = pull(version, self.endpoint().host, NAME)
            told = {one.sent["Authorization"] for one in pulled.exchanges if one.hop and "Authorization" in one.sent}
            self.assertEqual(told, set(), str(version))

    def test_all_tags(self) -> None:
        """With -a every docker pulls every tag; without a tag the oldest do, too, and the others :latest."""
        for version in kinds():
            pulled = pull(version, self.endpoint().host, NAME, None, all_tags=True)
            self.assertEqual(set(pulled.images), {"1.0", "latest"}, str(version))
            for tag, made in (("1.0", picture()), ("latest", later())):
                self.assert_over_v1(pulled, made.trees[LINUX], f"{version} -a {tag}", tag)
            without = set(pull(version, self.endpoint().host, NAME, None).images)
            expected = {"1.0", "latest"} if version.has(Trait.ALL_TAGS_BY_DEFAULT) else {"latest"}
            self.assertEqual(without, expected, str(version))

    def test_what_is_not_there(self) -> None:
        """A tag or repository that is not there ends each pull in docker's own words, and no other."""
        for version in kinds():
            self.assert_fails(version, self.endpoint().host, NAME, "none", "Tag none not found")
            self.assert_fails(version, self.endpoint().host, "acme/none", "1.0", "not found|NAME_UNKNOWN")

    def test_errors_are_json(self) -> None:
        """What is not there is 404, in the JSON of 2014."""
        for path in (
            "repositories/acme/none/images",
            "repositories/acme/none/tags",
            "repositories/acme/none/tags/1.0",
            f"repositories/{NAME}/tags/none",
            *(f"images/{'0' * 64}/{part}" for part in PARTS),
            "images/none/json",
            "none",
        ):
            got = self.fetch(f"/v1/{path}")
            self.assertEqual((got.status, got.headers["Content-Type"]), (404, "application/json"), path)
            self.assertIsInstance(got.json()["error"], str, path)

    def test_headers(self) -> None:
        """The endpoint itself says what docker up to 0.10 insists on, and is nobody's standalone registry."""
        ping = self.fetch("/v1/_ping")
        self.assertEqual(ping.status, 200)
        self.assertTrue(ping.headers["X-Docker-Registry-Version"])
        self.assertEqual(ping.headers["X-Docker-Registry-Standalone"], "false")
        index = self.fetch(f"/v1/repositories/{NAME}/images")
        self.assertEqual(index.headers.get_all("X-Docker-Endpoints"), [self.endpoint().host])
        top = self.fetch(f"/v1/repositories/{NAME}/tags/1.0").json()
        about = self.fetch(f"/v1/images/{top}/json")
        self.assertEqual(about.json()["id"], top)
        self.assertRegex(about.headers["X-Docker-Size"], "^[0-9]+$")
        self.assertEqual(self.fetch(f"/v1/repositories/{NAME}/tags").json()["1.0"], top)

    def test_both_spellings_of_a_short_name(self) -> None:
        """``short`` and ``library/short`` are one repository in each request."""
        for what in ("images", "tags", "tags/1.0"):
            one, other = (self.fetch(f"/v1/repositories/{name}/{what}") for name in (SHORT, f"library/{SHORT}"))
            self.assertEqual((one.status, one.body), (200, other.body), what)

    def test_goes_on_after_a_cut(self) -> None:
        """A layer that was cut goes on through the redirect from docker 0.12 on; earlier ones fail."""
        with Cutting(self.cdn()) as network:
            endpoint = self.through(self.cdn().replace(self.cdn_root(), network.url.replace("http", self.scheme())))
            for version in kinds():
                before = network.cuts
                # Past the headers, past the ancestry, and well within the larger layer.
                network.cut(received=NOISE // 2)
                if not version.has(Trait.RESUMES):
                    self.assert_fails(version, endpoint.host, NAME, "1.0", "unexpected EOF")
                    self.assertEqual(network.cuts, before + 1)
                    continue
                pulled = pull(version, endpoint.host, NAME)
                self.assertEqual(network.cuts, before + 1, str(version))
                self.assert_over_v1(pulled, picture().trees[LINUX], str(version))
                (resumed,) = [one for one in pulled.exchanges if "Range" in one.sent and one.hop]
                self.assertEqual(resumed.status, 206, str(version))
                layer = max((layer for layers in pulled.images.values() for layer in layers), key=lambda one: one.size)
                first, _, last = resumed.sent["Range"].removeprefix("bytes=").partition("-")
                # One past the last byte.
                self.assertEqual(int(last), layer.size)
                self.assertGreater(int(first), 0)

    def scheme(self) -> str:
        """Return the CDN's scheme."""
        return urlsplit(self.cdn()).scheme

    def test_not_over_v2(self) -> None:
        """Docker 1.10 and later are led back to v1 by the manifest's answer, and by no other."""
        for version in kinds():
            if version.has(Trait.ASKS_UNCONFIRMED_V2):
                pulled = pull(version, self.endpoint().host, NAME)
                (asked,) = [one for one in pulled.exchanges if "/manifests/" in one.url]
                self.assertEqual(asked.status, 404)
