"""Docker 0.9 to 17.05 pull through a real endpoint, from Swift behind nginx, over plain http and over https."""

import functools

from twisted.trial.unittest import SynchronousTestCase

from tests.real import v1_pulling
from tests.real.certificates import certificates
from tests.real.programs import folder, free_port
from tests.real.servers import Endpoint, Nginx, caching_nginx
from tests.real.swift import swift
from tests.real.v1_pulling import NAME, SecureEndpoint, publish_all, pull
from tests.real.v1_versions import VERSIONS

#: The container; in the Swift that all tests share, it is one of these tests only.
CONTAINER = "old-dockers"


@functools.cache
def _container() -> str:
    swift().make_container(CONTAINER)
    publish_all(f"swift://{CONTAINER}", swift().environment)
    return f"{swift().storage_url}/{CONTAINER}"


@functools.cache
def _cdn() -> Nginx:
    return caching_nginx(_container()).start()


@functools.cache
def _secure_cdn() -> Nginx:
    port, made = free_port(), certificates()
    listen = f"listen 127.0.0.1:{port} ssl; ssl_certificate {made.certificate}; ssl_certificate_key {made.key};"
    changes = {
        "listen 80;": listen,
        "https://store.example.com/tree": _container(),
        "/var/cache/nginx/sdr": str(folder()),
    }
    return Nginx("caching.conf", changes, port=port).start()


@functools.cache
def _before_swift() -> Endpoint:
    return Endpoint(f"--cdn={_cdn().url}", f"--store={_container()}").start()


@functools.cache
def _secure_before_swift() -> Endpoint:
    return SecureEndpoint(f"--cdn=https://127.0.0.1:{_secure_cdn().port}", f"--store={_container()}").start()


class SwiftTests(v1_pulling.V1PullTests):
    """Plain http; layers from nginx that caches, before Swift."""

    def endpoint(self) -> Endpoint:
        """Return the endpoint to pull from."""
        return _before_swift()

    def cdn(self) -> str:
        """Return the URL where the files are."""
        return _cdn().url

    def store(self) -> str:
        """Return where the endpoint reads the tree."""
        return _container()


class SecureSwiftTests(SwiftTests):
    """Everything over https; layers from nginx that caches, before Swift."""

    kind = SecureEndpoint

    def endpoint(self) -> Endpoint:
        """Return the endpoint to pull from."""
        return _secure_before_swift()

    def cdn(self) -> str:
        """Return the URL where the files are."""
        return f"https://127.0.0.1:{_secure_cdn().port}"


class SecureToPlainTests(SynchronousTestCase):
    """An endpoint over https, whose CDN is plain http."""

    def test_the_cdn_is_told_nothing(self) -> None:
        """No docker but 1.10 tells a plain CDN anything, as ``_ping`` asks them not to."""
        endpoint = SecureEndpoint(f"--cdn={_cdn().url}", f"--store={_container()}").start()
        self.addCleanup(endpoint.stop)
        for version in VERSIONS:
            pulled = pull(version, endpoint.host, NAME)
            told = [one for one in pulled.exchanges if one.hop and "Authorization" in one.sent]
            # What speaks v2 is standalone for it, and it needs v2 for schema 2.
            if str(version) != "1.10":
                self.assertEqual(told, [], str(version))
