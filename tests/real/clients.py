"""The real clients of registries: each pulls an image, says what files it made of it, and forgets it again."""

import functools
import io
import json
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tests.real.programs import Process, environment, folder, required, run
from tests.real.samples import Tree, on_disk, unpacked

#: What docker itself puts into every container.
_DOCKERS_OWN = frozenset({".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"})


class Client(Protocol):
    """A client of registries."""

    def pull(self, reference: str, platform: str) -> Tree:
        """Pull an image for a platform and return its files; nothing of it is left for the next pull to use."""
        ...


class Dockerd(Process):
    """A docker daemon that can pull and nothing else: no bridge, no firewall rules.

    :param changes: of its environment.
    """

    def __init__(self, **changes: str) -> None:
        self._client = required("docker", "docker.io", root=True)
        self.folder = folder()
        self._address = f"unix://{self.folder}/docker.sock"
        super().__init__(
            [
                required("dockerd", "docker.io", root=True),
                f"--data-root={self.folder}/data",
                f"--exec-root={self.folder}/exec",
                f"--host={self._address}",
                f"--pidfile={self.folder}/pid",
                "--iptables=false",
                "--bridge=none",
                "--storage-driver=vfs",
            ],
            env=environment(DOCKER_CONFIG=str(self.folder / "config"), **changes),
        )

    def ready(self) -> bool:
        """Tell whether it answers its client."""
        return self("version", ok=None).returncode == 0

    def __call__(self, *arguments: str, ok: bool | None = True) -> subprocess.CompletedProcess[str]:
        """Run a command of its client."""
        return run([self._client, "-H", self._address, *arguments], ok=ok, env=self.env)

    def pull(self, reference: str, platform: str) -> Tree:
        """Pull an image for a platform and return its files."""
        self("pull", "--quiet", f"--platform={platform}", reference)
        container = self("create", f"--platform={platform}", reference).stdout.strip()
        archive = self.folder / "exported.tar"
        try:
            self("export", f"--output={archive}", container)
        finally:
            self("rm", container)
            self("rmi", reference)
        with tarfile.open(archive) as exported:
            return {path: file for path, file in unpacked([exported]).items() if path not in _DOCKERS_OWN}


class Containerd(Process):
    """containerd without the parts that need more of the kernel than a pull does."""

    def __init__(self) -> None:
        self._client = required("ctr", "containerd", root=True)
        self.folder = folder()
        unwanted = ["grpc.v1.cri", *(f"snapshotter.v1.{kind}" for kind in ("aufs", "btrfs", "devmapper", "zfs"))]
        configuration = self.folder / "config.toml"
        configuration.write_text(
            "version = 2\n"
            f'root = "{self.folder}/root"\n'
            f'state = "{self.folder}/state"\n'
            f"disabled_plugins = {json.dumps(['io.containerd.' + plugin for plugin in unwanted])}\n"
            f'[grpc]\naddress = "{self.folder}/c.sock"\n'
            f'[ttrpc]\naddress = "{self.folder}/t.sock"\n'
        )
        super().__init__([required("containerd", "containerd", root=True), "-c", str(configuration)])

    def ready(self) -> bool:
        """Tell whether it answers its client."""
        return (self.folder / "c.sock").exists() and self("version", ok=None).returncode == 0

    def __call__(self, *arguments: str, ok: bool | None = True) -> subprocess.CompletedProcess[str]:
        """Run a command of its client."""
        return run([self._client, "-a", f"{self.folder}/c.sock", *arguments], ok=ok)

    def pull(self, reference: str, platform: str, *, over: Sequence[str] = ("--plain-http",)) -> Tree:
        """Pull an image for a platform and return its files.

        :param over: how the endpoint is spoken to.
        """
        native = "--snapshotter=native"
        self("images", "pull", *over, native, f"--platform={platform}", reference)
        mounted = self.folder / "mounted"
        mounted.mkdir(exist_ok=True)
        try:
            self("images", "mount", native, f"--platform={platform}", reference, str(mounted))
            try:
                return on_disk(mounted)
            finally:
                self("images", "unmount", "--rm", native, str(mounted))
        finally:
            self("images", "rm", "--sync", reference)


class Podman:
    """podman with a storage of its own.

    :param over: how an endpoint is spoken to.
    """

    def __init__(self, over: str = "--tls-verify=false") -> None:
        self._over = over
        self._program = required("podman", "podman", root=True)
        required("crun", "crun")
        self.folder = folder()

    def __call__(self, *arguments: str, ok: bool | None = True) -> subprocess.CompletedProcess[str]:
        """Run one of its commands."""
        storage = [f"--root={self.folder}/root", f"--runroot={self.folder}/runroot", "--storage-driver=vfs"]
        return run([self._program, *storage, "--events-backend=file", f"--tmpdir={self.folder}/tmp", *arguments], ok=ok)

    def pull(self, reference: str, platform: str) -> Tree:
        """Pull an image for a platform and return its files."""
        identity = self("pull", "--quiet", self._over, f"--platform={platform}", reference).stdout.strip()
        try:
            files = on_disk(Path(self("image", "mount", identity).stdout.strip()))
            self("image", "unmount", identity)
            return files
        finally:
            self("rmi", "--force", identity)


class Skopeo:
    """skopeo, which keeps nothing.

    :param over: how an endpoint is spoken to, as a source.
    """

    def __init__(self, over: str = "--src-tls-verify=false") -> None:
        self._over = over
        self._program = required("skopeo", "skopeo")

    def __call__(self, *arguments: str, ok: bool | None = True) -> subprocess.CompletedProcess[str]:
        """Run one of its commands."""
        return run([self._program, *arguments], ok=ok)

    def copy(self, reference: str) -> Path:
        """Copy an image with all its platforms into a folder: ``manifest.json``, and blobs under their digests' hex."""
        copied = folder()
        self("copy", "--all", self._over, f"docker://{reference}", f"dir:{copied}")
        return copied

    def pull(self, reference: str, platform: str) -> Tree:
        """Copy an image for a platform and return its files."""
        copied = folder()
        system, architecture = platform.split("/")
        self(
            f"--override-os={system}",
            f"--override-arch={architecture}",
            "copy",
            self._over,
            f"docker://{reference}",
            f"dir:{copied}",
        )
        manifest = json.loads((copied / "manifest.json").read_bytes())
        layers = [copied / layer["digest"].partition(":")[2] for layer in manifest["layers"]]
        return unpacked(tarfile.open(fileobj=io.BytesIO(layer.read_bytes())) for layer in layers)

    def manifest(self, reference: str) -> bytes:
        """Return a manifest, byte for byte."""
        return self("inspect", "--raw", "--tls-verify=false", f"docker://{reference}").stdout.encode()


@functools.cache
def dockerd() -> Dockerd:
    """Return the one docker daemon of a run; it ends with the tests."""
    return Dockerd().start()


@functools.cache
def containerd() -> Containerd:
    """Return the one containerd of a run; it ends with the tests."""
    return Containerd().start()
