"""Tests of what the site promises of a connection, with the strict channel in the place of its own."""

from functools import partial

from sdr.endpoint.connections.channel import Channel
from sdr.endpoint.connections.connections import Connections
from sdr.endpoint.connections.limits import Limits
from tests.endpoint import test_site


class SiteTests(test_site.ConnectionTests):
    """One connection to the site."""

    def connect(self) -> None:
        """Open another connection."""
        self.site.protocol = partial(Channel, Connections(Limits(), self.reactor))  # type: ignore[assignment]
        super().connect()
