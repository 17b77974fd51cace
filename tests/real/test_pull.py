"""Real clients pull through a real endpoint, whichever way the tree is served."""

import functools
import socket
import ssl
import time

from twisted.trial.unittest import SynchronousTestCase

from tests.real import pulling
from tests.real.servers import Endpoint, Nginx, directory_nginx


@functools.cache
def _web_server() -> Nginx:
    return directory_nginx(pulling.published()).start()


@functools.cache
def _inline() -> Endpoint:
    store = str(pulling.published())
    return Endpoint("--manifests=inline", f"--cdn={_web_server().url}", f"--store={store}").start()


@functools.cache
def _inline_over_http() -> Endpoint:
    return Endpoint("--manifests=inline", f"--cdn={_web_server().url}", f"--store={_web_server().url}").start()


@functools.cache
def _directory() -> Endpoint:
    return Endpoint(f"--cdn={pulling.published()}").start()


class NginxTests(pulling.PullTests):
    """Manifests from the endpoint, which reads the directory; blobs from nginx over the same directory."""

    def endpoint(self) -> Endpoint:
        """Return the endpoint to pull from."""
        return _inline()


class NginxPolledTests(pulling.PullTests):
    """Manifests from the endpoint, which asks nginx for them; blobs from nginx."""

    def endpoint(self) -> Endpoint:
        """Return the endpoint to pull from."""
        return _inline_over_http()


class DirectoryTests(pulling.PullTests):
    """Everything from the endpoint alone, which serves the directory itself."""

    def endpoint(self) -> Endpoint:
        """Return the endpoint to pull from."""
        return _directory()


class HttpsFirstTests(SynchronousTestCase):
    """Clients that may use plain HTTP try HTTPS first, with much patience."""

    def test_tls_on_the_plain_port_is_refused_at_once(self) -> None:
        """A client that begins with TLS is answered in plain HTTP at once, which is how it learns to go on without."""
        with socket.create_connection(("127.0.0.1", _directory().port), timeout=15) as connection:
            began = time.monotonic()
            with self.assertRaises(ssl.SSLError):
                ssl.create_default_context().wrap_socket(connection, server_hostname="localhost")
        self.assertLess(time.monotonic() - began, 2)
