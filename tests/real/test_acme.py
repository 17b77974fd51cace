"""Certificates from an authority that speaks ACME, got by certbot through the endpoint, without a stop."""

import http.client
import json
import os
import ssl
import time
from pathlib import Path

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.endpoint.tls.authority import Authority
from tests.real.certificates import certificates
from tests.real.edge import Watched, listens
from tests.real.programs import DEADLINE, Process, environment, fetch, folder, free_port, required, run, until

NAME = "registry.example.com"


class Names(Process):
    """A name server for which every name is this machine."""

    def __init__(self) -> None:
        self.port = free_port()
        program = required("pebble-challtestsrv", "pebble")
        off = [f"-{each}=" for each in ("http01", "https01", "tlsalpn01", "defaultIPv6")]
        self._management = free_port()
        here = ["-defaultIPv4=127.0.0.1", f"-dns01=127.0.0.1:{self.port}", f"-management=127.0.0.1:{self._management}"]
        super().__init__([program, *off, *here])

    def ready(self) -> bool:
        """Tell whether it listens."""
        return listens(self._management)


class Pebble(Process):
    """Let's Encrypt's authority for tests.

    :param port: where it looks for the proofs, whatever the name.
    """

    def __init__(self, port: int, names: Names) -> None:
        program = required("pebble", "pebble")
        self.port, made = free_port(), certificates()
        self.url = f"https://127.0.0.1:{self.port}/dir"
        configuration = folder() / "pebble.json"
        values = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{free_port()}",
            "certificate": str(made.certificate),
            "privateKey": str(made.key),
            "httpPort": port,
            "tlsPort": free_port(),
        }
        configuration.write_text(json.dumps({"pebble": values}))
        arguments = [program, "-config", str(configuration), "-dnsserver", f"127.0.0.1:{names.port}"]
        super().__init__(arguments, env=environment(PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0"))

    def ready(self) -> bool:
        """Tell whether it listens."""
        return listens(self.port)


class Certified(Watched):
    """An endpoint that answers an authority's questions on one port, and speaks TLS on another."""

    def __init__(self, webroot: Path, *options: str, port: int) -> None:
        super().__init__(f"--cdn={folder()}", f"--tls-acme={webroot}", *options, port=port)


class ScriptedTests(SynchronousTestCase):
    """The proofs themselves."""

    def test_webroot(self) -> None:
        """What is written into the webroot is served as it is, from then on until it is gone, and nothing beside it."""
        webroot = folder()
        place = webroot / ".well-known" / "acme-challenge"
        (webroot / "secret").write_text("secret")
        with Certified(webroot, port=free_port()) as endpoint:
            url = f"{endpoint.url}/.well-known/acme-challenge"
            self.assertEqual(fetch(f"{url}/token").status, 404)
            place.mkdir(parents=True)
            (place / "token").write_text("token.thumbprint")
            curl = [required("curl", "curl"), "-sS", "--noproxy", "*", "--path-as-is"]
            self.assertEqual(run([*curl, "--fail", f"{url}/token"]).stdout, "token.thumbprint")
            for path in ("../../secret", "%2e%2e/%2e%2e/secret", "", "token/", "/token"):
                self.assertNotIn("secret", run([*curl, f"{url}/{path}"]).stdout.replace(f"/{path}", ""))
                self.assertEqual(run([*curl, "-o", "/dev/null", "-w", "%{http_code}", f"{url}/{path}"]).stdout, "404")
            os.symlink(webroot / "secret", place / "link")
            self.assertNotEqual(fetch(f"{url}/link").status, 200)
            (place / "token").unlink()
            self.assertEqual(fetch(f"{url}/token").status, 404)
            self.assertIn(
                'sdr_requests_total{code="200",method="GET",route="acme"} 1.0', endpoint.admin("metrics").body.decode()
            )
        self.assertNotIn("Traceback", endpoint.log())


class CertbotTests(SynchronousTestCase):
    """Certbot, with an authority of its own kind."""

    def certbot(self, *arguments: str) -> None:
        """Run it, with nothing of this machine's own."""
        program = required("certbot", "certbot")
        places = [f"--{each}-dir={self.folder / each}" for each in ("config", "work", "logs")]
        env = environment(REQUESTS_CA_BUNDLE=str(certificates().authority))
        run([program, *arguments, "--non-interactive", *places], env=env, seconds=2 * DEADLINE)

    def test_first_and_renewed(self) -> None:
        """The first certificate is got without TLS; its renewal, with a deploy hook, is served on the next handshake.

        A connection that was open before goes on.
        """
        self.folder, webroot, port, tls = folder(), folder(), free_port(), free_port()
        with Names() as names, Pebble(port, names) as pebble:
            with Certified(webroot, port=port):
                first = ["certonly", "--webroot", f"--webroot-path={webroot}", f"--domain={NAME}"]
                account = ["--agree-tos", "--register-unsafely-without-email", f"--server={pebble.url}"]
                self.certbot(*first, *account)
            live = self.folder / "config" / "live" / NAME
            pair = [f"--tls-cert={live}/fullchain.pem", f"--tls-key={live}/privkey.pem"]
            with Certified(webroot, f"--tls=tcp:{tls}:interface=127.0.0.1", *pair, port=port) as endpoint:
                context = ssl._create_unverified_context()
                kept = http.client.HTTPSConnection("127.0.0.1", tls, context=context, timeout=10)
                kept.request("GET", "/v2/")
                self.assertEqual(kept.getresponse().read(), b"{}")
                same, before = kept.sock, self.serial(tls)
                self.assertEqual(before, self.written(live))
                self.certbot(
                    "renew", "--force-renewal", "--no-random-sleep-on-renew", f"--deploy-hook=kill -HUP {endpoint.pid}"
                )
                after = self.written(live)
                self.assertNotEqual(after, before)
                until(lambda: self.serial(tls) == after, "the renewed certificate is served", seconds=10)
                kept.request("GET", "/v2/")
                self.assertEqual(kept.getresponse().read(), b"{}")
                self.assertIs(kept.sock, same)
                kept.close()
            self.assertNotIn("Traceback", endpoint.log())

    def serial(self, port: int) -> int:
        """Return the number of the certificate that is served."""
        return x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", port)).encode()).serial_number

    def written(self, live: Path) -> int:
        """Return the number of the certificate that certbot has written."""
        return x509.load_pem_x509_certificates((live / "fullchain.pem").read_bytes())[0].serial_number


class WarningTests(SynchronousTestCase):
    """Certificates that expire soon."""

    def test_two_weeks(self) -> None:
        """The log warns from 14 days before the end, once, and the metrics say when it is."""
        authority, now = Authority(time.time()), time.time()
        for days, warns in ((13.9, True), (14.1, False)):
            directory = folder()
            file = authority.write(directory, "default", NAME, days=days)
            tls = f"--tls=tcp:{free_port()}:interface=127.0.0.1"
            with Watched(f"--cdn={folder()}", tls, f"--tls-dir={directory}") as endpoint:
                metrics = endpoint.metrics()
            end = metrics[f'sdr_certificate_expiry_timestamp_seconds{{file="{file}"}}']
            self.assertLess(abs(end - now - days * 86400), 60)
            lines = [line for line in endpoint.log().splitlines() if str(file) in line and "expires" in line]
            self.assertEqual(len(lines), warns, lines)
