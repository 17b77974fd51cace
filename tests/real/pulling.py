"""What every way of serving a tree promises to every client: one class of tests, run in :mod:`tests.real.test_pull`."""

import functools
import json
from pathlib import Path
from urllib.parse import urlsplit

from oras.client import OrasClient  # type: ignore[import-untyped]
from twisted.trial.unittest import SynchronousTestCase

from tests.real.clients import Client, Podman, Skopeo, containerd, dockerd
from tests.real.programs import fetch, folder
from tests.real.samples import HOST, Sample, Samples
from tests.real.servers import Endpoint, publish

SINGLE, MULTI = "acme/single", "acme/team/multi-platform"


@functools.cache
def samples() -> Samples:
    """Return the images, made once a run."""
    return Samples(folder())


@functools.cache
def published() -> Path:
    """Return a directory into which the images have been published, once a run."""
    store = folder()
    store.chmod(0o755)
    made = samples()
    publish(store, made.source(made.single), f"{SINGLE}:1.0")
    publish(store, made.source(made.multi), f"{MULTI}:1.0")
    publish(store, made.source(made.artifact), f"{MULTI}:sbom")
    return store


class PullTests(SynchronousTestCase):
    """Images come out of every client as they went into the store."""

    def endpoint(self) -> Endpoint:
        """Return the endpoint to pull from."""
        raise NotImplementedError

    def references(self, *, by_digest: bool) -> list[tuple[str, Sample]]:
        """Return what to pull: an image of one platform and one of several."""
        pairs = [(SINGLE, samples().single), (MULTI, samples().multi)]
        host = self.endpoint().host
        return [(f"{host}/{name}@{it.digest}" if by_digest else f"{host}/{name}:1.0", it) for name, it in pairs]

    def assert_pulled_whole(self, client: Client, *, by_digest: bool) -> None:
        """Fail unless a client unpacks each platform's very files."""
        for reference, sample in self.references(by_digest=by_digest):
            for platform in sample.platforms:
                files = client.pull(reference, platform)
                self.assertEqual(files, sample.trees[platform], f"{reference} for {platform}")

    def test_docker_pulls_by_tag(self) -> None:
        """Docker unpacks the source's files from a tag, for this machine's platform and for another."""
        self.assert_pulled_whole(dockerd(), by_digest=False)

    def test_docker_pulls_by_digest(self) -> None:
        """Docker unpacks the source's files from a digest."""
        self.assert_pulled_whole(dockerd(), by_digest=True)

    def test_docker_names_the_digest_that_was_published(self) -> None:
        """After a pull by tag, docker knows the image by the digest that the publisher printed."""
        docker = dockerd()
        (reference, sample), _ = self.references(by_digest=False)
        docker("pull", "--quiet", reference)
        self.addCleanup(docker, "rmi", reference)
        known = json.loads(docker("image", "inspect", "--format={{json .RepoDigests}}", reference).stdout)
        self.assertEqual(known, [f"{self.endpoint().host}/{SINGLE}@{sample.digest}"])

    def test_podman_pulls_by_tag(self) -> None:
        """Podman unpacks the source's files from a tag, for this machine's platform and for another."""
        self.assert_pulled_whole(Podman(), by_digest=False)

    def test_podman_pulls_by_digest(self) -> None:
        """Podman unpacks the source's files from a digest."""
        self.assert_pulled_whole(Podman(), by_digest=True)

    def test_containerd_pulls_by_tag(self) -> None:
        """Containerd unpacks the source's files from a tag, for this machine's platform and for another."""
        self.assert_pulled_whole(containerd(), by_digest=False)

    def test_containerd_pulls_by_digest(self) -> None:
        """Containerd unpacks the source's files from a digest."""
        self.assert_pulled_whole(containerd(), by_digest=True)

    def test_skopeo_copies_by_tag(self) -> None:
        """Skopeo copies layers that hold the source's files from a tag."""
        self.assert_pulled_whole(Skopeo(), by_digest=False)

    def test_skopeo_copies_by_digest(self) -> None:
        """Skopeo copies layers that hold the source's files from a digest."""
        self.assert_pulled_whole(Skopeo(), by_digest=True)

    def test_skopeo_copies_bytes_unchanged(self) -> None:
        """A copy with all its platforms has the source's manifest, byte for byte."""
        for reference, sample in self.references(by_digest=False):
            self.assertEqual((Skopeo().copy(reference) / "manifest.json").read_bytes(), sample.manifest)

    def test_skopeo_inspects(self) -> None:
        """``skopeo inspect`` names the digest, the platform and the tags."""
        for reference, sample in self.references(by_digest=False):
            shown = json.loads(Skopeo()("inspect", "--tls-verify=false", f"docker://{reference}").stdout)
            self.assertEqual(
                (shown["Digest"], f"{shown['Os']}/{shown['Architecture']}", "1.0" in shown["RepoTags"]),
                (sample.digest, HOST, True),
            )

    def test_skopeo_lists_tags(self) -> None:
        """``skopeo list-tags`` lists what was published."""
        shown = json.loads(
            Skopeo()("list-tags", "--tls-verify=false", f"docker://{self.endpoint().host}/{MULTI}").stdout
        )
        self.assertEqual(shown["Tags"], ["1.0", "sbom"])

    def test_oras_pulls_an_artifact(self) -> None:
        """``oras`` from PyPI pulls the files of an artifact by tag."""
        pulled = folder()
        client = OrasClient(hostname=self.endpoint().host, insecure=True)
        client.pull(target=f"{self.endpoint().host}/{MULTI}:sbom", outdir=str(pulled))
        self.assertEqual({path.name: path.read_bytes() for path in pulled.iterdir()}, samples().artifact_files)

    def test_referrers_lead_to_the_artifact(self) -> None:
        """The referrers of an image name the artifact, which oras pulls by that digest."""
        url = f"{self.endpoint().url}/v2/{MULTI}/referrers/{samples().multi.digest}"
        (found,) = fetch(url).json()["manifests"]
        self.assertEqual((found["digest"], found["artifactType"]), (samples().artifact.digest, samples().artifact_type))
        client = OrasClient(hostname=self.endpoint().host, insecure=True)
        manifest = client.get_manifest(f"{self.endpoint().host}/{MULTI}@{found['digest']}")
        self.assertEqual(manifest["subject"]["digest"], samples().multi.digest)
        pulled = folder()
        client.pull(target=f"{self.endpoint().host}/{MULTI}@{found['digest']}", outdir=str(pulled))
        self.assertEqual({path.name: path.read_bytes() for path in pulled.iterdir()}, samples().artifact_files)

    def test_layers_come_from_the_cdn(self) -> None:
        """A blob is never sent by the endpoint: it is one redirect away."""
        digest = json.loads(samples().single.manifest)["layers"][0]["digest"]
        got = fetch(f"{self.endpoint().url}/v2/{SINGLE}/blobs/{digest}")
        self.assertEqual((got.status, got.body), (307, b""))
        target = str(got.headers["Location"])
        self.assertEqual(urlsplit(target).path.rpartition("/blobs/")[2], digest.replace(":", "/"))
        layer = fetch(target)
        self.assertEqual(
            (layer.status, layer.headers["Content-Type"], layer.headers["Content-Encoding"]),
            (200, "application/octet-stream", None),
        )
