"""A docker of 2014 to 2017, as far as a pull goes: it asks what that version asks, and fails where it fails."""

import ssl
from dataclasses import dataclass, field

from tests.real.samples import Tree
from tests.real.v1_layers import Layer, laid_over
from tests.real.v1_session import Session
from tests.real.v1_v2 import FallBack, pull_v2
from tests.real.v1_versions import Trait, Version
from tests.real.v1_wire import Exchange, PullFailed, Wire


@dataclass
class Pulled:
    """What a pull brought.

    :param protocol: 1 or 2.
    :param images: the layers of each tag, the base first.
    :param exchanges: every request, those to the CDN too.
    :param naps: how often docker would have slept before it tried again.
    """

    protocol: int
    images: dict[str, list[Layer]]
    exchanges: list[Exchange] = field(default_factory=list)
    naps: int = 0

    def tree(self, tag: str | None = None) -> Tree:
        """Return the files of a tag, or of the only one."""
        (layers,) = self.images.values() if tag is None else [self.images[tag]]
        return laid_over(layer.data for layer in layers)

    def asked(self) -> list[str]:
        """Return what was asked of the first host: methods and targets, redirected requests left out."""
        return [str(one) for one in self.exchanges if one.hop == 0]


class Docker:
    """One version of docker.

    :param tls: whom it trusts; the system's authorities if not given.
    :ivar exchanges: the requests of the last pull, one that failed too.
    :ivar naps: how often it would have slept in the last pull.
    """

    def __init__(self, version: Version, tls: ssl.SSLContext | None = None) -> None:
        self.version = version
        self._tls = tls or ssl.create_default_context()
        self.exchanges: list[Exchange] = []
        self.naps = 0

    def pull(self, host: str, name: str, tag: str | None = None, *, all_tags: bool = False) -> Pulled:
        """Run ``docker pull HOST/NAME[:TAG]``, with ``-a`` for all tags.

        :raise PullFailed: if it would fail.
        """
        version = self.version
        if not version.takes(name):
            raise PullFailed(f"Invalid repository name {name} for docker {version}")
        if tag is None and not all_tags:
            all_tags = version.has(Trait.ALL_TAGS_BY_DEFAULT)
        wanted = None if all_tags else tag or "latest"
        wire = Wire(version, self._tls)
        self.exchanges = wire.exchanges
        session = Session(wire, host)
        try:
            scheme, confirmed = _first_contact(wire, host)
            if confirmed or (version.has(Trait.PROBES_V2) and version.has(Trait.ASKS_UNCONFIRMED_V2)):
                try:
                    images = pull_v2(wire, f"{scheme}://{host}", name, wanted, confirmed=confirmed)
                except FallBack:
                    pass
                else:
                    return Pulled(2, images, wire.exchanges)
            images = session.pull(scheme, name, wanted, confirmed=confirmed)
            return Pulled(1, images, wire.exchanges, session.naps)
        except OSError as error:
            raise PullFailed(f"{host}: {error}") from error
        finally:
            self.naps = session.naps


def _first_contact(wire: Wire, host: str) -> tuple[str, bool]:
    """Find out how to speak: the scheme, and whether there is protocol v2.

    Hosts in 127.0.0.0/8 may be spoken to in plain http by every version; https is tried first.
    """
    if not wire.version.has(Trait.PROBES_V2):
        return Session(wire, host).first_ping(), False
    for scheme in ("https", "http"):
        nameless = wire.version.has(Trait.NAMELESS_PINGS)
        try:
            reply = wire.ask("GET", f"{scheme}://{host}/v2/", {}, nameless=nameless)
        except OSError:
            continue
        says_so = "registry/2.0" in " ".join(reply.values("Docker-Distribution-Api-Version")).split()
        if reply.status == 401 and says_so and wire.version.has(Trait.ASKS_UNCONFIRMED_V2):
            if not wire.version.has(Trait.REFUSED_V2_FALLS_BACK):
                raise PullFailed("no basic auth credentials")
            return scheme, False
        if wire.version.has(Trait.ANY_V2_ERROR_FALLS_BACK):
            says_so = says_so and reply.status in (200, 401)
            if not says_so:
                return Session(wire, host).first_ping(), False
        return scheme, says_so
    raise PullFailed(f"Error response from daemon: unable to ping registry endpoint https://{host}/v0/")
