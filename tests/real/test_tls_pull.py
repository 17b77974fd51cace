"""Every client pulls over the endpoint's own TLS, by HTTP/1.1 and by HTTP/2, and trusts it for its authority alone."""

import functools
import re
import shutil
import time
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.endpoint.tls.authority import Authority
from tests.real.certificates import certificates
from tests.real.clients import Client, Dockerd, Podman, Skopeo, containerd
from tests.real.edge import Watched, all_closed, listens
from tests.real.programs import Failed, folder, required, run
from tests.real.pulling import MULTI, SINGLE, published, samples
from tests.real.samples import HOST, Tree
from tests.real.tunnel import Tunnel

#: A name that is in no name server: docker believes whatever is at 127.0.0.1, without looking at a certificate.
NAME = "registry.example.com"


class Secure(Watched):
    """An endpoint that serves the published images over TLS."""

    def __init__(self, *options: str) -> None:
        self.access_log = folder() / "access.log"
        super().__init__(f"--cdn={published()}", f"--access-log={self.access_log}", *options)
        self.url = f"https://{self.host}"

    def listening(self) -> list[str]:
        """Return the options that say where it listens."""
        return [f"--tls=tcp:{self.port}:interface=127.0.0.1"]

    def ready(self) -> bool:
        """Tell whether it listens."""
        return listens(self.port)


class HTTP1Tests(SynchronousTestCase):
    """The endpoint without `--http2`."""

    options: ClassVar[tuple[str, ...]] = ()
    protocol: ClassVar[str] = "1.1"

    def setUp(self) -> None:
        """Serve with a certificate for 127.0.0.1, and one for a name."""
        made = certificates()
        self.authority = Authority(time.time())
        named = folder()
        self.authority.write(named, "registry", NAME)
        self.trusted = folder()
        (self.trusted / "ca.crt").write_bytes(made.authority.read_bytes())
        self.endpoint = Secure(
            f"--tls-cert={made.certificate}", f"--tls-key={made.key}", f"--tls-dir={named}", *self.options
        )
        self.endpoint.start()
        self.addCleanup(self.ended)

    def ended(self) -> None:
        """Stop it; no client may have left anything."""
        all_closed(self.endpoint, seconds=90)
        spoken = set(re.findall(r"(?m)(HTTP/[0-9.]+)\" .*\"(\w+)/[^\"]*\"$", self.endpoint.access_log.read_text()))
        # What the clients of registries choose where there is a choice.
        self.assertTrue(all(version == "HTTP/1.1" for version, client in spoken if client != "curl"), spoken)
        self.assertEqual(self.endpoint.stop(), 0)
        self.assertNotIn("Traceback", self.endpoint.log())

    def assert_pulled_whole(self, pull: "functools.partial[Tree] | Client", host: str) -> None:
        """Fail unless a client unpacks the very files of an image of one platform, and of one of several."""
        call = pull if isinstance(pull, functools.partial) else pull.pull
        for name, sample in ((SINGLE, samples().single), (MULTI, samples().multi)):
            self.assertEqual(call(f"{host}/{name}:1.0", HOST), sample.trees[HOST])

    def assert_refused(self, client: Client, host: str) -> None:
        """Fail unless a client refuses what it has no reason to trust, and the endpoint counts that."""
        refused = self.endpoint.metrics().get('sdr_tls_handshake_failures_total{reason="certificate"}', 0.0)
        with self.assertRaises(Failed) as raised:
            client.pull(f"{host}/{SINGLE}:1.0", HOST)
        self.assertIn("certificate", str(raised.exception))
        now = self.endpoint.metrics()['sdr_tls_handshake_failures_total{reason="certificate"}']
        self.assertGreater(now, refused)

    def test_docker(self) -> None:
        """Docker pulls with the authority in ``certs.d``, and not without it."""
        host = f"{NAME}:{self.endpoint.port}"
        place = Path("/etc/docker/certs.d") / host
        with Tunnel(self.endpoint.port) as tunnel, Dockerd(HTTPS_PROXY=tunnel.url, https_proxy=tunnel.url) as docker:
            self.assert_refused(docker, host)
            place.mkdir(parents=True)
            self.addCleanup(shutil.rmtree, place)
            (place / "ca.crt").write_bytes(self.authority.root)
            self.assert_pulled_whole(docker, host)
            # The layers too: the tree is the endpoint's own.
            self.assertEqual(set(tunnel.asked), {host})

    def test_podman(self) -> None:
        """Podman pulls with the authority in a folder, and not without it."""
        self.assert_refused(Podman("--tls-verify=true"), self.endpoint.host)
        self.assert_pulled_whole(Podman(f"--cert-dir={self.trusted}"), self.endpoint.host)

    def test_skopeo(self) -> None:
        """Skopeo copies with the authority in a folder, and not without it."""
        self.assert_refused(Skopeo("--src-tls-verify=true"), self.endpoint.host)
        self.assert_pulled_whole(Skopeo(f"--src-cert-dir={self.trusted}"), self.endpoint.host)

    def test_containerd(self) -> None:
        """Containerd pulls with the authority in a ``hosts.toml``."""
        hosts = folder()
        place = hosts / self.endpoint.host
        place.mkdir()
        (place / "hosts.toml").write_text(
            f'server = "{self.endpoint.url}"\n[host."{self.endpoint.url}"]\n'
            f'  capabilities = ["pull", "resolve"]\n  ca = "{self.trusted}/ca.crt"\n'
        )
        pull = functools.partial(containerd().pull, over=[f"--hosts-dir={hosts}"])
        self.assert_pulled_whole(pull, self.endpoint.host)

    def test_curl(self) -> None:
        """Curl speaks the protocol that there is, and follows the redirect to a layer over it."""
        url = f"{self.endpoint.url}/v2/{SINGLE}/manifests/1.0"
        curl = [required("curl", "curl"), "-sSL", "--http2", "--noproxy", "*", "--cacert", f"{self.trusted}/ca.crt"]
        got = folder() / "manifest"
        said = run([*curl, "-o", str(got), "-w", "%{http_version} %{http_code} %{num_redirects}", url]).stdout
        self.assertEqual(said, f"{self.protocol} 200 1")
        self.assertEqual(got.read_bytes(), samples().single.manifest)


class HTTP2Tests(HTTP1Tests):
    """The endpoint with `--http2`: curl takes it; docker, containerd, podman and skopeo do as before."""

    options = ("--http2",)
    protocol = "2"
