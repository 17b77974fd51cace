"""Tests of how requests are called in metrics and logs."""

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.admin.routes import _ROUTES, ROUTES, host_of, route_of
from sdr.registry.questions import Asked, PartV1, read_path

DIGEST = "sha256:" + "a" * 64

EACH = {
    "/v2/": "base",
    "/v2/a/b/manifests/1.0": "manifest",
    f"/v2/a/blobs/{DIGEST}": "blob",
    "/v2/a/tags/list": "tags",
    f"/v2/a/referrers/{DIGEST}": "referrers",
    "/v2/_catalog": "catalog",
    "/": "front",
    "/v1/_ping": "v1_ping",
    "/v1/repositories/a/images": "v1_images",
    "/v1/repositories/a/tags": "v1_tags",
    "/v1/repositories/a/tags/x": "v1_tag",
    f"/v1/images/{'a' * 64}/json": "v1_json",
    f"/v1/images/{'a' * 64}/ancestry": "v1_ancestry",
    f"/v1/images/{'a' * 64}/layer": "v1_layer",
    "/v1/search": "v1_search",
    "/v1/users/": "v1_other",
    "/favicon.ico": "other",
    "/v2/UPPER/tags/list": "other",
}


class RouteTests(SynchronousTestCase):
    """Routes."""

    def test_each(self) -> None:
        """Each kind of request has a name, and no name depends on what it asks for."""
        for path, route in EACH.items():
            self.assertEqual(route_of(read_path(path)), route, path)

    def test_all_kinds(self) -> None:
        """There is no kind of question without a route."""
        self.assertEqual(set(get_args(Asked)), {*_ROUTES, PartV1})

    @given(st.text())
    def test_bounded(self, path: str) -> None:
        """Whatever is asked for, the route is one of few."""
        self.assertIn(route_of(read_path("/" + path)), ROUTES)


class HostTests(SynchronousTestCase):
    """The host of a redirect."""

    def test_host(self) -> None:
        """It is that of the URL, with its port, and empty where there is no redirect."""
        self.assertEqual(host_of("https://cdn.example.com/tree/blobs/sha256/aa"), "cdn.example.com")
        self.assertEqual(host_of("http://[::1]:8080/x"), "[::1]:8080")
        self.assertEqual(host_of("/tree/x"), "")
        self.assertEqual(host_of(None), "")
