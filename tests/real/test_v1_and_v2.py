"""Protocols v1 and v2 on one endpoint: which docker takes which, and that each gets an image where there is one."""

import functools

from tests.real import v1_pulling
from tests.real.clients import Podman, dockerd
from tests.real.programs import fetch, folder
from tests.real.samples import HOST, Tree
from tests.real.servers import Endpoint, sdr
from tests.real.test_v1_old_stores import HELLO, hello, old_directory
from tests.real.v1_docker import Pulled
from tests.real.v1_pictures import LINUX, picture
from tests.real.v1_pulling import pull
from tests.real.v1_versions import VERSIONS, Version

#: What is there under each name. Of v2 there are manifests of OCI, or schema 2, alone and in a list.
BOTH, OCI_AND_V1, OCI_ALONE, SCHEMA_2_ALONE = "acme/both", "acme/oci-and-v1", "acme/oci", "acme/schema2"
CONVERTED, CONVERTED_AND_V1, AFTERWARDS = "acme/converted", "acme/converted-and-v1", "acme/afterwards"

#: No schema 2 for these: v1 or nothing.
BEFORE_SCHEMA_2 = [each for each in VERSIONS if each.release < (1, 10)]
SINCE_SCHEMA_2 = [each for each in VERSIONS if each.release >= (1, 10)]
PROBING = [each for each in BEFORE_SCHEMA_2 if each.release >= (1, 5)]


@functools.cache
def _tree() -> str:
    made = str(folder())
    for source, name, *options in (
        (picture().schema2, BOTH, "--v1"),
        (picture().oci, OCI_AND_V1, "--v1"),
        (picture().oci, OCI_ALONE),
        (picture().schema2, SCHEMA_2_ALONE, "--platform", LINUX),
        (picture().oci, CONVERTED, "--schema2"),
        (picture().oci, CONVERTED_AND_V1, "--schema2", "--v1"),
        (picture().oci, AFTERWARDS),
    ):
        sdr("publish", "--store", made, *options, source, f"{name}:1.0")
    sdr("v1", "--store", made, f"{AFTERWARDS}:1.0")
    return made


@functools.cache
def _endpoint() -> Endpoint:
    return Endpoint(f"--cdn={_tree()}", f"--v1-store={old_directory()}").start()


def files() -> Tree:
    """Return the files of the image for the platform that v1 is given."""
    return picture().trees[LINUX]


class BothTests(v1_pulling.V1TestCase):
    """What each docker takes."""

    def pulled(self, version: Version, name: str, tag: str = "1.0") -> Pulled:
        """Pull."""
        return pull(version, _endpoint().host, name, tag)

    def assert_over_v2(self, version: Version, name: str) -> None:
        """Fail unless a version takes an image over v2, whole, and asks nothing of v1."""
        pulled = self.pulled(version, name)
        self.assertEqual(pulled.protocol, 2, str(version))
        self.assertTrue(pulled.tree() == files(), str(version))
        self.assertEqual([str(one) for one in pulled.exchanges if "/v1/" in one.url], [])

    def assert_takes_v1(self, version: Version, name: str) -> None:
        """Fail unless a version takes an image over v1, whole."""
        self.assert_over_v1(self.pulled(version, name), files(), f"{version} {name}")

    def test_schema_2_and_v1(self) -> None:
        """Up to 1.9 docker takes v1; from 1.10 on schema 2."""
        for name in (BOTH, CONVERTED_AND_V1):
            for version in BEFORE_SCHEMA_2:
                self.assert_takes_v1(version, name)
            for version in SINCE_SCHEMA_2:
                self.assert_over_v2(version, name)

    def test_v2_was_tried(self) -> None:
        """Docker 1.5 and 1.6 come to v1 by way of a v2 that they do not understand; 1.7 to 1.9 find none."""
        for version in PROBING:
            for name in (BOTH, OCI_AND_V1):
                asked = self.pulled(version, name).asked()
                over_v2 = [f"GET /v2/{name}/manifests/1.0"] if version.release < (1, 7) else []
                self.assertEqual([each for each in asked if "/v2/" in each], ["GET /v2/", *over_v2], str(version))

    def test_oci_and_v1(self) -> None:
        """Every docker takes v1 where v2 has manifests of OCI only, also when v1 was published later."""
        for name in (OCI_AND_V1, AFTERWARDS):
            for version in VERSIONS:
                self.assert_takes_v1(version, name)

    def test_all_tags(self) -> None:
        """So it is with -a, by which docker asks v2 for the tags first."""
        for version in VERSIONS:
            pulled = pull(version, _endpoint().host, OCI_AND_V1, None, all_tags=True)
            self.assert_over_v1(pulled, files(), version)

    def test_only_in_v1(self) -> None:
        """Every docker takes v1 where v2 has no such repository, with -a too."""
        for version in VERSIONS:
            self.assert_over_v1(self.pulled(version, HELLO, "latest"), hello(), version)
            pulled = pull(version, _endpoint().host, HELLO, None, all_tags=True)
            self.assert_over_v1(pulled, hello(), version)

    def test_schema_2_alone(self) -> None:
        """Docker 1.10 and later take schema 2, converted or as it was; there is nothing for earlier ones."""
        for name in (SCHEMA_2_ALONE, CONVERTED):
            for version in SINCE_SCHEMA_2:
                self.assert_over_v2(version, name)
            for version in BEFORE_SCHEMA_2:
                self.assert_fails(version, _endpoint().host, name, "1.0", "not found")

    def test_oci_alone(self) -> None:
        """Of manifests of OCI alone, 1.10 and later are told what would help; earlier ones say "not found"."""
        for version in SINCE_SCHEMA_2:
            self.assert_fails(version, _endpoint().host, OCI_ALONE, "1.0", "--schema2.*--v1")
        for version in BEFORE_SCHEMA_2:
            self.assert_fails(version, _endpoint().host, OCI_ALONE, "1.0", "not found")

    def test_nothing(self) -> None:
        """What is nowhere is "not found", in the words of the protocol that was asked last."""
        for version in VERSIONS:
            self.assert_fails(version, _endpoint().host, "acme/none", "1.0", "not found|NAME_UNKNOWN")
            self.assert_fails(version, _endpoint().host, BOTH, "none", "Tag none not found")

    def test_todays_clients(self) -> None:
        """Docker and podman of today take v2, whatever else there is, with the digest that it was published with."""
        for client in (dockerd(), Podman()):
            for name in (BOTH, OCI_AND_V1):
                pulled = client.pull(f"{_endpoint().host}/{name}:1.0", HOST)
                self.assertTrue(pulled == picture().trees[HOST], f"{client} {name}")
        got = fetch(f"{_endpoint().url}/v2/{OCI_AND_V1}/manifests/1.0", method="HEAD")
        self.assertEqual(got.headers["Docker-Content-Digest"], picture().digest)
