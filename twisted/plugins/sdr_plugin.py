"""Make `twistd sdr` and `twist sdr` known to Twisted."""

from twisted.application.service import ServiceMaker

__all__ = ["sdr_endpoint"]

sdr_endpoint = ServiceMaker(
    "sdr",
    "sdr.endpoint.tap",
    "Answer docker pull from a static tree: the registry handshake here, the bytes from a CDN.",
    "sdr",
)
