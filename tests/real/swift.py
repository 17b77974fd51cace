"""A real OpenStack Swift: its proxy, its account, container and object servers, and the memcached of its tokens."""

import functools
import json
import os
import pwd
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from tests.real.programs import Failed, Process, answers, fetch, folder, free_port, required, run

#: Owns the account: may do everything.
ADMIN = ("test:tester", "testing")
#: Of the same account, but may only read what is public or opened to it by a container's ACL.
READER = ("test:reader", "reading")

#: What lets anybody read and list a container.
PUBLIC = ".r:*,.rlistings"

_PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {folder}
user = {user}
workers = 0
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck proxy-logging cache listing_formats bulk tempurl s3api tempauth copy \
container-quotas account-quotas slo dlo proxy-logging proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = {admin} .admin
user_test_reader = {reader}
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:slo]
use = egg:swift#slo
rate_limit_under_size = 0
"""

_STORAGE = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {folder}
devices = {devices}
mount_check = false
user = {user}
workers = 0
[pipeline:main]
pipeline = healthcheck {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
[filter:healthcheck]
use = egg:swift#healthcheck
"""

# What these add has no settings here.
_PLAIN = {
    "catch_errors": "catch_errors",
    "gatekeeper": "gatekeeper",
    "healthcheck": "healthcheck",
    "proxy-logging": "proxy_logging",
    "listing_formats": "listing_formats",
    "bulk": "bulk",
    "tempurl": "tempurl",
    "copy": "copy",
    "container-quotas": "container_quotas",
    "account-quotas": "account_quotas",
    "dlo": "dlo",
}

_KINDS = ("account", "container", "object")


class _Server(Process):
    """One of its servers."""

    def __init__(self, kind: str, configuration: Path, port: int) -> None:
        super().__init__([required(f"swift-{kind}-server", f"swift-{kind}"), str(configuration), "-v"])
        self._url = f"http://127.0.0.1:{port}/healthcheck"

    def ready(self) -> bool:
        """Tell whether it answers."""
        return answers(self._url)


class Swift:
    """A Swift of one device and one replica, with its S3 API; stopped and started, it has the same data.

    Its tokens are in memcached, which stops with it: who was connected must authenticate again.
    """

    def __init__(self) -> None:
        self.folder = folder()
        (self.folder / "devices" / "disk").mkdir(parents=True)
        self._ports = {kind: free_port() for kind in (*_KINDS, "proxy", "memcached")}
        self.url = f"http://127.0.0.1:{self._ports['proxy']}"
        self.storage_url = f"{self.url}/v1/AUTH_test"
        for kind in _KINDS:
            self._make_ring(kind)
        user = pwd.getpwuid(os.geteuid()).pw_name
        memcached = [required("memcached", "memcached"), "-l", "127.0.0.1", "-p", str(self._ports["memcached"])]
        self._processes: Sequence[Process] = (
            Process([*memcached, "-u", user, "-U", "0"]),
            *(_Server(kind, self._configure(kind, user), self._ports[kind]) for kind in (*_KINDS, "proxy")),
        )

    def _make_ring(self, kind: str) -> None:
        builder = required("swift-ring-builder", "swift")
        path = str(self.folder / f"{kind}.builder")
        # 2 to the power of 4 partitions, one replica, no wait between changes.
        run([builder, path, "create", "4", "1", "0"])
        run([builder, path, "add", f"r1z1-127.0.0.1:{self._ports[kind]}/disk", "1"])
        run([builder, path, "rebalance"])

    def _configure(self, kind: str, user: str) -> Path:
        values = {"port": self._ports[kind], "folder": self.folder, "user": user}
        if kind == "proxy":
            text = _PROXY.format(
                **values, admin=ADMIN[1], reader=READER[1], memcached=self._ports["memcached"]
            ) + "".join(f"[filter:{name}]\nuse = egg:swift#{entry}\n" for name, entry in _PLAIN.items())
        else:
            text = _STORAGE.format(**values, kind=kind, devices=self.folder / "devices")
        configuration = self.folder / f"{kind}.conf"
        configuration.write_text(text)
        return configuration

    def start(self) -> Self:
        """Start it and wait until it stores."""
        for process in self._processes:
            process.start()
        # memcached has no page to ask: with it the first token is made.
        self._token(*ADMIN)
        return self

    def stop(self) -> None:
        """Stop it; what it stores stays."""
        for process in reversed(self._processes):
            process.stop()

    def kill(self) -> None:
        """Stop it the hard way, as a power cut would; what it stores stays."""
        for process in reversed(self._processes):
            process.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()

    def log(self) -> str:
        """Return what its servers printed."""
        return "\n".join(process.log() for process in self._processes)

    def requests(self) -> list[str]:
        """Return a line for each request for something in the account, as the proxy logs it."""
        return [line for line in self._processes[-1].log().splitlines() if " /v1/AUTH_test" in line]

    @property
    def environment(self) -> dict[str, str]:
        """What the ``swift`` command reads, for the user who may do everything."""
        return self._environment(*ADMIN)

    @property
    def reader_environment(self) -> dict[str, str]:
        """What the ``swift`` command reads, for the user who may only read what is public."""
        return self._environment(*READER)

    def _environment(self, user: str, key: str) -> dict[str, str]:
        return {"ST_AUTH": f"{self.url}/auth/v1.0", "ST_USER": user, "ST_KEY": key}

    @property
    def s3_environment(self) -> dict[str, str]:
        """What S3 clients read, for the user who may do everything; buckets are containers."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ADMIN[0],
            "AWS_SECRET_ACCESS_KEY": ADMIN[1],
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def token(self) -> str:
        """Return a token of the user who may do everything, for plain HTTP."""
        return self._token(*ADMIN)

    def _token(self, user: str, key: str) -> str:
        got = fetch(f"{self.url}/auth/v1.0", X_Auth_User=user, X_Auth_Key=key)
        if got.status != 200:
            raise Failed(f"no token: {got.status}\n{self.log()}")
        return got.headers["X-Auth-Token"]

    def make_container(self, name: str, public: bool = True, **headers: str) -> None:
        """Make a container; one that is there gets these headers.

        :param public: whether anybody may read and list it.
        :param headers: by name, with ``_`` for ``-``.
        """
        acl = {"X_Container_Read": PUBLIC if public else ""}
        got = self.ask("PUT", name, **acl, **headers)
        if got not in (201, 202):
            raise Failed(f"container {name}: {got}\n{self.log()}")

    def ask(self, method: str, path: str, **headers: str) -> int:
        """Ask for something below the account as the user who may do everything, and return the answer's status."""
        return fetch(
            f"{self.storage_url}/{path}", method=method, follow=False, X_Auth_Token=self.token(), **headers
        ).status

    def objects(self, container: str, prefix: str = "") -> list[str]:
        """Return the names of all objects of a container, as Swift itself lists them."""
        url = f"{self.storage_url}/{container}?format=json&prefix={quote(prefix)}"
        return [found["name"] for found in json.loads(fetch(url, X_Auth_Token=self.token()).body)]


@functools.cache
def swift() -> Swift:
    """Return the one Swift of a run; it ends with the tests."""
    return Swift().start()
