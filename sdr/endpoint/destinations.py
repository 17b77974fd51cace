"""Where clients are sent, as an operator has it; pure."""

from sdr.cdn.locations import CDN, OLD_TREE, BaseURL, OwnTree, RemoteCDN
from sdr.endpoint.admin.routes import host_of
from sdr.endpoint.rules import Rules
from sdr.endpoint.settings import Settings


def rules_of(settings: Settings) -> Rules:
    """Return what questions are answered by."""
    public_url = None if settings.public_url is None else settings.public_url.text
    old_cdn: CDN | None = None
    if settings.v1_store is not None:
        old_cdn = OwnTree(public_url, OLD_TREE) if settings.v1_cdn is None else RemoteCDN(settings.v1_cdn.text)
    return Rules(
        RemoteCDN(settings.cdn.text) if isinstance(settings.cdn, BaseURL) else OwnTree(public_url),
        inline=settings.inline,
        browse=settings.browse,
        public_host=host_of(public_url) or None,
        old_cdn=old_cdn,
    )


def cdns_of(settings: Settings) -> list[BaseURL]:
    """Return wherever else redirects lead than to the endpoint itself."""
    return [each for each in (settings.cdn, settings.v1_cdn) if isinstance(each, BaseURL)]


def cdn_hosts_of(settings: Settings) -> list[str]:
    """Return their hosts, each with its port where its URL has one."""
    return [host_of(each.text) for each in cdns_of(settings)]
