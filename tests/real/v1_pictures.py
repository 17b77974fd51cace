"""The images that old dockers pull, and what is in them once unpacked."""

import functools
import random

from tests import images
from tests.real.programs import folder
from tests.real.samples import Tree
from tests.real.v1_layers import laid_over

#: What v1 is given of an image for several platforms.
LINUX = "linux/amd64"

#: How much of an image cannot be compressed, in bytes: what is cut in the middle of that is cut within a layer.
NOISE = 1 << 19


class Picture:
    """An image for linux/arm64 and linux/amd64 in a layout, with manifests of OCI and with schema 2.

    :ivar trees: the files for each platform.
    """

    def __init__(self, text: str) -> None:
        self._folder = folder()
        self.trees: dict[str, Tree] = {}
        layout = images.Layout()
        for ref, docker in (("oci", False), ("schema2", True)):
            children = [self._image(layout, platform, text, docker=docker) for platform in ("linux/arm64", LINUX)]
            layout.tag(layout.index(children, docker=docker), ref)
        self.oci, self.schema2 = (f"oci:{self._folder}:{ref}" for ref in ("oci", "schema2"))
        self.digest = str(layout.entries[0]["digest"])
        layout.write(self._folder)

    def _image(self, layout: images.Layout, platform: str, text: str, *, docker: bool) -> images.Descriptor:
        archives = [
            # Large enough to be cut, and incompressible.
            images.layer_tar(
                {"etc/motd": text.encode(), "data/noise": random.Random(text + platform).randbytes(NOISE)}
            ),
            images.tar([images.file_member("etc/more", platform.encode()), images.symlink_member("etc/link", "motd")]),
        ]
        self.trees[platform] = laid_over(archives)
        suffix = images.DOCKER_LAYER + ".gzip" if docker else images.OCI_LAYER + "+gzip"
        config = images.config_json(platform, [images.digest_of(archive) for archive in archives])
        kind = images.DOCKER_MANIFEST if docker else images.OCI_MANIFEST
        manifest = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": layout.add(config, images.DOCKER_CONFIG if docker else images.OCI_CONFIG),
            "layers": [layout.add(images.compress(archive, "gzip"), suffix) for archive in archives],
        }
        return layout.add_json(manifest, kind, platform=images.platform_of(platform))


@functools.cache
def picture() -> Picture:
    """Return an image, made once a run."""
    return Picture("for v1")


@functools.cache
def later() -> Picture:
    """Return another image."""
    return Picture("later, for v1")
