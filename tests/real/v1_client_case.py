"""What the tests of the v1 client share: a scripted registry, and what a pull from it must bring."""

from twisted.trial.unittest import SynchronousTestCase

from tests.real.certificates import certificates
from tests.real.v1_docker import Docker, Pulled
from tests.real.v1_scripted import BASE, LAYERS, NAME, TAG, TOP, Script, Scripted, registry
from tests.real.v1_versions import VERSIONS, version
from tests.real.v1_wire import PullFailed

LAYER_PATHS = {each: f"/v1/images/{each}/layer" for each in (TOP, BASE)}
IMAGES_PATH = f"/v1/repositories/{NAME}/images"
SPEAKS_V2 = {"Docker-Distribution-Api-Version": "registry/2.0"}


def since(text: str) -> list[str]:
    """Return the versions from one on."""
    names = [str(each) for each in VERSIONS]
    return names[names.index(text) :]


def until(text: str) -> list[str]:
    """Return the versions up to one, and it."""
    names = [str(each) for each in VERSIONS]
    return names[: names.index(text) + 1]


class ClientTests(SynchronousTestCase):
    """What all these tests do."""

    def serve(self, server: Scripted) -> Scripted:
        """Have a server run until the test ends."""
        server.__enter__()
        self.addCleanup(server.__exit__, None, None, None)
        return server

    def pull(self, text: str, server: Scripted, name: str = NAME, tag: str | None = TAG, **options: bool) -> Pulled:
        """Pull as a version does."""
        return Docker(version(text), certificates().trusting()).pull(server.host, name, tag, **options)

    def assert_fails(self, text: str, server: Scripted, why: str = ".") -> Docker:
        """Fail unless a version cannot pull, and says why."""
        docker = Docker(version(text), certificates().trusting())
        with self.assertRaises(PullFailed) as caught:
            docker.pull(server.host, NAME, TAG)
        self.assertRegex(str(caught.exception), why, text)
        return docker

    def assert_whole(self, pulled: Pulled, text: str) -> None:
        """Fail unless the image is the scripted one."""
        self.assertEqual([layer.id for layer in pulled.images[TAG]], [BASE, TOP], text)
        self.assertEqual([layer.data for layer in pulled.images[TAG]], [LAYERS[BASE], LAYERS[TOP]], text)

    def redirecting(self, status: int = 302, *, tls: bool = False, cdn_tls: bool = False) -> tuple[Scripted, Scripted]:
        """Return a registry that redirects ancestry and layers, and where to."""
        server, cdn = self.serve(registry(tls=tls)), self.serve(Scripted(tls=cdn_tls))
        for path in [path for path in server.at if path.endswith(("/ancestry", "/layer"))]:
            cdn.at[path] = server.at.pop(path)
            server.say(path, Script(status, {"Location": f"{cdn.url}{path}"}))
        return server, cdn
