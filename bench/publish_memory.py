"""Shows that the memory of ``sdr publish`` does not grow with a layer's size.

    python bench/publish_memory.py [--large MIB] [--directory DIR]

Makes images of one layer of pseudo-random bytes, 64 MiB and 2 GiB, in each form of source, publishes each into a new
directory by a process of its own, and prints that process's peak resident memory and time. Needs some 7 GB of disk.
"""

import argparse
import hashlib
import io
import json
import os
import random
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MIB = 1024 * 1024
SMALL = 64

OCI = "application/vnd.oci.image"
CONFIG = f"{OCI}.config.v1+json"


def noise(size: int) -> Iterator[bytes]:
    """Yield so many MiB that do not compress, always the same."""
    generator = random.Random(size)
    for _ in range(size):
        yield generator.randbytes(MIB)


def add(archive: tarfile.TarFile, name: str, size: int, content: BinaryIO) -> None:
    """Add a file to an archive."""
    info = tarfile.TarInfo(name)
    info.size = size
    archive.addfile(info, content)


def make(folder: Path, size: int) -> dict[str, str]:
    """Write an image with a layer of so many MiB in each form, and return the SOURCE of each."""
    layout = folder / "layout"
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    # The layer's plain form is what its diff_id is of, so one file serves all three forms.
    digest, layer = hashlib.sha256(), blobs / "layer"
    with layer.open("wb") as file:
        for piece in noise(size):
            digest.update(piece)
            file.write(piece)
    layer = layer.rename(blobs / digest.hexdigest())

    def put(document: object, media_type: str) -> dict[str, object]:
        data = json.dumps(document).encode()
        encoded = hashlib.sha256(data).hexdigest()
        (blobs / encoded).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{encoded}", "size": len(data)}

    rootfs = {"type": "layers", "diff_ids": [f"sha256:{layer.name}"]}
    config = {"os": "linux", "architecture": "amd64", "rootfs": rootfs}
    described = {"mediaType": f"{OCI}.layer.v1.tar", "digest": f"sha256:{layer.name}", "size": size * MIB}
    image = {"schemaVersion": 2, "config": put(config, CONFIG), "layers": [described]}
    index = {"schemaVersion": 2, "manifests": [put(image, f"{OCI}.manifest.v1+json")]}
    (layout / "index.json").write_text(json.dumps(index))

    with tarfile.open(folder / "oci.tar", "w") as archive:
        archive.add(layout, ".")
    with tarfile.open(folder / "docker.tar", "w") as archive, layer.open("rb") as plain:
        add(archive, "layer.tar", size * MIB, plain)
        manifest = [{"Config": "config.json", "RepoTags": ["bench:1"], "Layers": ["layer.tar"]}]
        for name, document in ("config.json", config), ("manifest.json", manifest):
            data = json.dumps(document).encode()
            add(archive, name, len(data), io.BytesIO(data))
    return {
        "oci": f"oci:{layout}",
        "oci-archive": f"oci-archive:{folder / 'oci.tar'}",
        "docker-archive": f"docker-archive:{folder / 'docker.tar'}",
    }


def run(source: str, store: Path) -> tuple[float, float]:
    """Publish, and return the peak resident memory in MB and the time in seconds."""
    command = [sys.executable, "-m", "sdr", "publish", "--quiet", "--store", str(store), source, "bench/app"]
    begun = time.monotonic()
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    process = os.posix_spawn(sys.executable, command, os.environ, file_actions=silent)
    _, status, usage = os.wait4(process, 0)
    if status:
        sys.exit(f"publishing {source} failed")
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit / 1e6, time.monotonic() - begun


def main() -> None:
    """Measure, and print a Markdown table."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--large", type=int, default=2048, metavar="MIB", help="the large layer (default: 2048)")
    parser.add_argument("--directory", help="where there is room (default: the usual place for temporary files)")
    options = parser.parse_args()
    print("| source | layer | peak memory | first publish | second publish |")
    print("|---|---|---|---|---|")
    for size in (SMALL, options.large):
        with tempfile.TemporaryDirectory(dir=options.directory) as folder:
            for form, source in make(Path(folder), size).items():
                store = Path(folder, f"store-{form}")
                (memory, first), (_, second) = run(source, store), run(source, store)
                speed = size * MIB / 1e6 / first
                print(
                    f"| `{form}` | {size} MiB | {memory:.0f} MB | {first:.1f} s ({speed:.0f} MB/s) | {second:.1f} s |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
