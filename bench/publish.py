"""Compares the speed of ``sdr publish`` with that of ``skopeo copy`` into a stock registry.

    python -m bench.publish [--large-mb MB] [--small N] [--tags N] [--alone N] [--into WHAT] [--directory DIR]

Makes OCI layouts: a large image of 8 layers that do not compress, and two sets of small images of one layer of 64 KiB:
a repository each, and tags of one repository. They are published into nothing and then once more: by ``skopeo copy``
into Debian's docker-registry, a process each; by ``sdr publish`` into a directory, a Swift container and, by the same
Swift's S3 API, a bucket, all by one command and some of them by a process each. What Swift itself takes for the blobs
and manifests of the small images is measured with ``swift upload``. The servers run on this machine and store on the
same disk.

Needs the Debian packages skopeo, docker-registry, memcached, swift-proxy, swift-account, swift-container and
swift-object, and disk for six times the large image.
"""

import argparse
import gzip
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.programs import required
from tests.real.programs import Process, answers, environment, free_port
from tests.real.s3 import make_bucket
from tests.real.swift import Swift

LAYERS = 8
MB = 1_000_000
SMALL = 64 * 1024

OCI = "application/vnd.oci.image"
REF = "org.opencontainers.image.ref.name"
BUCKET = "bench"

# Debian's, but for where it is and for the password that it asks for.
REGISTRY = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  cache: {{blobdescriptor: inmemory}}
  filesystem: {{rootdirectory: {folder}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}", headers: {{X-Content-Type-Options: [nosniff]}}}}
health: {{storagedriver: {{enabled: true, interval: 10s, threshold: 3}}}}
"""


@dataclass(frozen=True, slots=True)
class Image:
    """One image that is to be published.

    :param source: where it is, as both programs name it.
    :param target: what it is to be called.
    :param size: of its blobs and its manifest, in bytes.
    :param objects: how many those are.
    """

    source: str
    target: str
    size: int
    objects: int


@dataclass(frozen=True, slots=True)
class Load:
    """Images that are published one after another.

    :param key: what sets its store apart from those of other loads.
    """

    label: str
    key: str
    images: Sequence[Image]


@dataclass(frozen=True, slots=True)
class Way:
    """A way to publish.

    :param command: the command line for images of the load with this key.
    :param together: whether one command publishes all of a load's images, or each has one of its own.
    :param most: how many images of a load are published so.
    """

    label: str
    command: Callable[[str, Sequence[Image]], list[str]]
    env: Mapping[str, str]
    together: bool = False
    most: int | None = None


class Layout:
    """An OCI layout that is being made; its content is the same each time.

    :param folder: its name makes its images differ from those of others.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._random = folder, random.Random(folder.name)
        self._blobs = folder / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        self._images: list[dict[str, Any]] = []

    def add(self, target: str, layers: int, size: int) -> Image:
        """Add an image with layers of so many bytes."""
        made = [self._layer(size) for _ in range(layers)]
        rootfs = {"type": "layers", "diff_ids": [plain for _, plain in made]}
        config = self._document({"os": "linux", "architecture": "amd64", "rootfs": rootfs}, "config")
        parts = [config, *(layer for layer, _ in made)]
        document = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": config, "layers": parts[1:]}
        manifest = self._document(document, "manifest")
        ref = str(len(self._images))
        self._images.append({**manifest, "annotations": {REF: ref}})
        (self._folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (self._folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self._images}))
        total = sum(part["size"] for part in [manifest, *parts])
        return Image(f"oci:{self._folder}:{ref}", target, total, len(parts) + 1)

    def _layer(self, size: int) -> tuple[dict[str, Any], str]:
        """Write a layer; it has the form of gzip, since skopeo compresses what has not. Return its diff_id too."""
        plain, path = hashlib.sha256(), self._blobs / "layer"
        with path.open("wb") as file, gzip.GzipFile("", "wb", 0, file, 0) as squeezed:
            for start in range(0, size, MB):
                piece = self._random.randbytes(min(MB, size - start))
                plain.update(piece)
                squeezed.write(piece)
        with path.open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
        found = path.rename(self._blobs / digest).stat().st_size
        descriptor = {"mediaType": f"{OCI}.layer.v1.tar+gzip", "digest": f"sha256:{digest}", "size": found}
        return descriptor, f"sha256:{plain.hexdigest()}"

    def _document(self, document: object, kind: str) -> dict[str, Any]:
        data = json.dumps(document).encode()
        digest = hashlib.sha256(data).hexdigest()
        (self._blobs / digest).write_bytes(data)
        return {"mediaType": f"{OCI}.{kind}.v1+json", "digest": f"sha256:{digest}", "size": len(data)}


class Registry(Process):
    """Debian's docker-registry.

    :param folder: where it stores.
    """

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.host = f"127.0.0.1:{port}"
        configuration = folder / "registry.yml"
        configuration.write_text(REGISTRY.format(folder=folder / "registry", port=port))
        super().__init__([required("docker-registry", "docker-registry"), "serve", str(configuration)])

    def ready(self) -> bool:
        """Tell whether it answers."""
        return answers(f"http://{self.host}/v2/")


def loads(folder: Path, large_mb: int, small: int, tags: int) -> list[Load]:
    """Make the images."""
    made = []
    if large_mb:
        layout = Layout(folder / "large")
        images = [layout.add("bench/large:1", LAYERS, large_mb * MB // LAYERS)]
        made.append(Load(f"1 image of {large_mb} MB in {LAYERS} layers", "large", images))
    if small:
        layout = Layout(folder / "repositories")
        images = [layout.add(f"bench/small-{number}:1", 1, SMALL) for number in range(small)]
        made.append(Load(f"{small} small images, a repository each", "repositories", images))
    if tags:
        layout = Layout(folder / "tags")
        images = [layout.add(f"bench/tagged:{number}", 1, SMALL) for number in range(tags)]
        made.append(Load(f"{tags} small images, tags of one repository", "tags", images))
    return made


def ways(folder: Path, wanted: Sequence[str], alone: int, stack: ExitStack) -> list[Way]:
    """Start what is wanted, and return the ways to publish; the first is what the others are compared with.

    :param alone: how many images ``sdr`` publishes by a process each.
    """
    registry = stack.enter_context(Registry(folder))
    copy = [required("skopeo", "skopeo"), "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]

    def skopeo(_: str, images: Sequence[Image]) -> list[str]:
        (image,) = images
        return [*copy, image.source, f"docker://{registry.host}/{image.target}"]

    def sdr(store: str) -> Callable[[str, Sequence[Image]], list[str]]:
        program = str(Path(sys.executable).with_name("sdr"))
        return lambda key, images: [
            *(program, "publish", "--quiet", "--store", f"{store}{key}"),
            *(word for image in images for word in (image.source, image.target)),
        ]

    def both(label: str, store: str, env: Mapping[str, str]) -> list[Way]:
        env = {**env, "PYTHONPYCACHEPREFIX": f"{folder}/compiled"}
        return [
            Way(f"{label}, in one command", sdr(f"{store}together-"), env, together=True),
            Way(label, sdr(store), env, most=alone),
        ]

    found = [Way("`skopeo copy`, docker-registry", skopeo, {})]
    if "directory" in wanted:
        found += both("`sdr`, directory", f"{folder}/store-", {})
    if {"swift", "s3"} & set(wanted):
        swift = stack.enter_context(Swift())
        if "swift" in wanted:
            swift.make_container(BUCKET)
            found += both("`sdr`, Swift", f"swift://{BUCKET}/", swift.environment)
            swift.make_container(f"{BUCKET}-plain")
            upload = [str(Path(sys.executable).with_name("swift")), "--quiet", "upload", "--skip-identical"]
            upload += ["--object-threads", "8", f"{BUCKET}-plain"]

            def plain(_: str, images: Sequence[Image]) -> list[str]:
                return [*upload, images[0].source.split(":")[1]]

            found.append(Way("`swift upload`, Swift, 3 of 7 objects", plain, swift.environment, together=True))
        if "s3" in wanted:
            make_bucket(swift.s3_environment, f"{BUCKET}-s3")
            found += both("`sdr`, Swift's S3 API", f"s3://{BUCKET}-s3/", swift.s3_environment)
    return found


def timed(way: Way, load: Load) -> float:
    """Publish the images of a load, as many as are wanted so, and return the seconds that this took."""
    # What others wrote is not to be written back on our time.
    os.sync()
    env = environment(**way.env)
    # Where sdr is installed it has been compiled.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    begun = time.monotonic()
    for images in [load.images] if way.together else [[image] for image in load.images[: way.most]]:
        done = subprocess.run(way.command(load.key, images), env=env, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{way.label}: {images[0].target}: {done.stdout}{done.stderr}")
    return time.monotonic() - begun


def row(load: Load, way: Way, first: float, second: float, yardstick: float) -> str:
    """Return a line of the table.

    :param yardstick: how many bytes a second it was the way that others are compared with.
    """
    images = load.images[: way.most]
    size, objects = sum(image.size for image in images), sum(image.objects for image in images)
    label = load.label if len(images) == len(load.images) else f"{len(images)} of them"
    return (
        f"| {label} | {way.label} | {first:.1f} s | {size / MB / first:.1f} | {objects / first:.1f} "
        f"| {size / first / yardstick:.2f} | {second:.1f} s | {second / first:.2f} |"
    )


def main() -> None:
    """Measure, and print a Markdown table."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--large-mb", type=int, default=2147, metavar="MB", help="the large image (2147 is 2 GiB)")
    parser.add_argument("--small", type=int, default=500, metavar="N", help="small images, a repository each")
    parser.add_argument("--tags", type=int, default=100, metavar="N", help="small images, tags of one repository")
    parser.add_argument(
        "--alone", type=int, default=100, metavar="N", help="small images that sdr has a process each for"
    )
    parser.add_argument("--into", default="directory,swift,s3", metavar="WHAT", help="(default: directory,swift,s3)")
    parser.add_argument("--directory", help="where there is room (default: the usual place for temporary files)")
    options = parser.parse_args()
    if options.directory:
        # Swift's folder is to be on the same disk.
        tempfile.tempdir = options.directory
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        found = ways(folder, options.into.split(","), options.alone, stack)
        print("| images | published by, into | first | MB/s | objects/s | speed to skopeo's | second | to the first |")
        print("|---|---|---|---|---|---|---|---|", flush=True)
        # The first start compiles what all others find.
        warm = Load("", "warm", [Layout(folder / "warm").add("bench/warm:1", 1, SMALL)])
        for way in found:
            timed(way, warm)
        for load in loads(folder, options.large_mb, options.small, options.tags):
            yardstick = 0.0
            for way in found:
                if way.together and len(load.images) == 1:
                    continue
                first, second = timed(way, load), timed(way, load)
                yardstick = yardstick or sum(image.size for image in load.images) / first
                print(row(load, way, first, second, yardstick), flush=True)


if __name__ == "__main__":
    main()
