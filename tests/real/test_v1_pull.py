"""Docker 0.9 to 17.05 pull through a real endpoint, from a directory, over plain http and over https."""

import functools
from pathlib import Path

from tests.real import v1_pulling
from tests.real.programs import fetch, folder
from tests.real.servers import Endpoint
from tests.real.v1_pictures import LINUX, picture
from tests.real.v1_pulling import NAME, PARTS, SecureEndpoint, publish_all, pull
from tests.real.v1_scripted import Script, Scripted
from tests.real.v1_versions import VERSIONS


@functools.cache
def _directory() -> str:
    made = str(folder())
    publish_all(made)
    return made


@functools.cache
def _plain() -> Endpoint:
    return Endpoint(f"--cdn={_directory()}").start()


@functools.cache
def _secure() -> Endpoint:
    return SecureEndpoint(f"--cdn={_directory()}").start()


class DirectoryTests(v1_pulling.V1PullTests):
    """Plain http; the endpoint serves the directory itself."""

    def endpoint(self) -> Endpoint:
        """Return the endpoint to pull from."""
        return _plain()

    def cdn(self) -> str:
        """Return the URL where the files are."""
        return f"{self.endpoint().url}/tree"

    def store(self) -> str:
        """Return where the endpoint reads the tree."""
        return _directory()


class SecureDirectoryTests(DirectoryTests):
    """Everything over https, from the endpoint alone."""

    kind = SecureEndpoint

    def endpoint(self) -> Endpoint:
        """Return the endpoint to pull from."""
        return _secure()


class ForbiddingTests(v1_pulling.V1TestCase):
    """A store that says 403 to what is missing, as S3 does to strangers."""

    def test_missing(self) -> None:
        """What is there is pulled, and what is missing is 404 in JSON."""
        denied = Script(403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>")
        with Scripted(missing=denied) as store:
            for file in filter(Path.is_file, Path(_directory()).rglob("*")):
                store.say(f"/{file.relative_to(_directory())}", Script(body=file.read_bytes(), ranges=True))
            endpoint = Endpoint(f"--cdn={store.url}", f"--store={store.url}").start()
            self.addCleanup(endpoint.stop)
            for version in VERSIONS:
                pulled = pull(version, endpoint.host, NAME)
                self.assert_over_v1(pulled, picture().trees[LINUX], version)
                self.assert_fails(version, endpoint.host, NAME, "none", "Tag none not found")
                self.assert_fails(version, endpoint.host, "acme/none", "1.0", "not found|NAME_UNKNOWN")
            parts = (f"images/{'0' * 64}/{part}" for part in PARTS)
            for path in (*parts, "repositories/acme/none/images", f"repositories/{NAME}/tags/none"):
                got = fetch(f"{endpoint.url}/v1/{path}")
                self.assertEqual((got.status, got.headers["Content-Type"]), (404, "application/json"), path)
