"""The real endpoint, the real command, and nginx as a web server and as a CDN."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.real.programs import ROOT, Process, answers, environment, fetch, folder, free_port, required, run


class Nginx(Process):
    """nginx with the lines of one of the files in ``docs/nginx``.

    :param name: the file.
    :param changes: what stands there for a reader, and what it is here. Each must occur.
    """

    def __init__(self, name: str, changes: Mapping[str, str], *, port: int | None = None) -> None:
        program = required("nginx", "nginx-light")
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder()
        lines = (ROOT / "docs" / "nginx" / name).read_text()
        for old, new in {"listen 80;": f"listen 127.0.0.1:{self.port};", **changes}.items():
            assert old in lines, (name, old)
            lines = lines.replace(old, new)
        self.access_log = self.folder / "access.log"
        temporary = "".join(
            f"  {kind}_temp_path {self.folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration = self.folder / "nginx.conf"
        configuration.write_text(
            # The workers must be able to read what the tests write, which only its owner may.
            ("user root;\n" if os.geteuid() == 0 else "")
            + f"daemon off;\nworker_processes 1;\npid {self.folder}/pid;\nerror_log stderr warn;\n"
            f"events {{ worker_connections 256; }}\nhttp {{\n{temporary}"
            f'  log_format cdn "$status $upstream_cache_status $request_method $request_uri";\n'
            f"  access_log {self.access_log} cdn;\n{lines}}}\n"
        )
        super().__init__([program, "-p", str(self.folder), "-c", str(configuration), "-e", "stderr"])

    def ready(self) -> bool:
        """Tell whether it answers, whatever."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def asked(self) -> list[str]:
        """Return what it was asked: status, what its cache did, method and target."""
        return self.access_log.read_text().splitlines()


def directory_nginx(tree: Path) -> Nginx:
    """Return an nginx that serves the blobs of a directory as ``docs/nginx/directory.conf`` has it."""
    return Nginx("directory.conf", {"/srv/sdr": str(tree)})


def caching_nginx(origin: str) -> Nginx:
    """Return an nginx that is a CDN in front of an origin as ``docs/nginx/caching.conf`` has it."""
    return Nginx("caching.conf", {"https://store.example.com/tree": origin, "/var/cache/nginx/sdr": str(folder())})


class Endpoint(Process):
    """``twistd sdr`` on a port of 127.0.0.1, with the options of the test.

    :param before: twistd's own options.
    :param command: what stands before twistd itself, and starts it.
    :param env: what is added to its environment.
    """

    def __init__(
        self,
        *options: str,
        port: int | None = None,
        before: Sequence[str] = (),
        command: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port or free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        arguments = [*twistd(), "-n", "--pidfile=", *before, "sdr", *self.listening(), *options]
        super().__init__([*command, *arguments], env=environment(**(env or {})))

    def listening(self) -> list[str]:
        """Return the options that say where it listens."""
        return [f"--listen=tcp:{self.port}:interface=127.0.0.1"]

    def ready(self) -> bool:
        """Tell whether it answers the registry handshake."""
        return answers(f"{self.url}/v2/")

    def knows(self, name: str, reference: str) -> bool:
        """Tell whether it answers a HEAD of a manifest itself."""
        return fetch(f"{self.url}/v2/{name}/manifests/{reference}", method="HEAD").status == 200

    def digest(self, name: str, reference: str) -> str | None:
        """Return the digest to which it resolves a reference."""
        got = fetch(f"{self.url}/v2/{name}/manifests/{reference}", method="HEAD")
        return got.headers.get("Docker-Content-Digest")


def twistd() -> list[str]:
    """Return the beginning of a twistd command line of this Python."""
    program = Path(sys.executable).with_name("twistd")
    return [str(program)] if program.exists() else [sys.executable, "-m", "twisted.scripts.twistd"]


def sdr(*arguments: str, ok: bool | None = True) -> subprocess.CompletedProcess[str]:
    """Run the ``sdr`` command."""
    return run([sys.executable, "-c", "import sys; from sdr.cli import main; sys.exit(main())", *arguments], ok=ok)


def publish(store: Path, source: str, name: str, *options: str) -> None:
    """Publish a source into a directory, as a user would."""
    sdr("publish", "--store", str(store), *options, source, name)
