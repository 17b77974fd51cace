"""Credentials for Swift, from where the ``swift`` command takes them; nothing is read from the network."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import requests
from keystoneauth1 import loading
from keystoneauth1.exceptions import ClientException
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.session import Session, TCPKeepAliveAdapter
from keystoneauth1.token_endpoint import Token

#: Seconds to connect, and to wait for the next bytes of an answer: a manifest of a thousand segments takes a while.
TIMEOUTS = (10.0, 120.0)

#: More threads than this would open connections for single requests.
CONNECTIONS = 64

_VARIABLES = (
    "no credentials; set ST_AUTH, ST_USER and ST_KEY, or OS_AUTH_URL with OS_USERNAME, OS_PASSWORD and OS_PROJECT_NAME "
    "or with OS_APPLICATION_CREDENTIAL_ID and OS_APPLICATION_CREDENTIAL_SECRET, or OS_STORAGE_URL and OS_AUTH_TOKEN, "
    "or OS_CLOUD for a cloud in clouds.yaml"
)

# What goes wrong is told by what is raised; without this it would be on standard error as well.
logging.getLogger("keystoneauth").addHandler(logging.NullHandler())


class NoCredentials(ValueError):
    """The environment has no credentials, or not all that belong together; the message says which are wanted."""


@dataclass(frozen=True)
class Login:
    """How to get at an account.

    :param session: makes requests, and authenticates when the first is made.
    :param interface: which of the endpoints in a Keystone catalog.
    :param region: of a Keystone catalog.
    :param storage_url: the account's URL where it is not to be taken from the answer to authenticating.
    """

    session: Session
    interface: str = "public"
    region: str | None = None
    storage_url: str | None = None


def new_session(
    auth: BaseAuthPlugin, *, verify: bool | str = True, adapter: requests.adapters.BaseAdapter | None = None
) -> Session:
    """Return a session for many threads.

    :param verify: whether servers' certificates are checked, or against which file.
    :param adapter: carries the requests, instead of the network.
    """
    carrier = requests.Session()
    for scheme in ("http://", "https://"):
        carrier.mount(scheme, adapter or TCPKeepAliveAdapter(pool_connections=4, pool_maxsize=CONNECTIONS))
    # The type has a number only; requests takes the two.
    session = Session(auth=auth, session=carrier, verify=verify, app_name="sdr")
    session.timeout = TIMEOUTS  # type: ignore[assignment]
    return session


def login(environment: Mapping[str, str], adapter: requests.adapters.BaseAdapter | None = None) -> Login:
    """Find credentials.

    :param environment: the variables.
    :param adapter: see :func:`new_session`.
    :raise NoCredentials: if there are none.
    """
    given = {name: value for name, value in environment.items() if value}
    verify: bool | str = given.get("OS_CACERT", True)
    if given.get("OS_INSECURE", given.get("SWIFTCLIENT_INSECURE", "")).lower() in ("1", "true", "yes"):
        verify = False
    for name in ("ST_AUTH", "OS_AUTH_URL", "OS_STORAGE_URL"):
        if name in given and not given[name].startswith(("http://", "https://")):
            raise NoCredentials(f"{name} is not a URL: {given[name]!r}")
    if "OS_CLOUD" in given:
        return _cloud(given, adapter)
    interface = given.get("OS_ENDPOINT_TYPE", given.get("OS_INTERFACE", "public")).removesuffix("URL")
    return Login(
        new_session(_auth(given), verify=verify, adapter=adapter),
        interface,
        given.get("OS_REGION_NAME"),
        given.get("OS_STORAGE_URL"),
    )


def _auth(given: Mapping[str, str]) -> BaseAuthPlugin:
    if {"OS_STORAGE_URL", "OS_AUTH_TOKEN"} <= given.keys():
        return Token(given["OS_STORAGE_URL"], given["OS_AUTH_TOKEN"])
    if "ST_AUTH" in given:
        for name in ("ST_USER", "ST_KEY"):
            if name not in given:
                raise NoCredentials(f"ST_AUTH is set, but not {name}")
        from swiftclient.authv1 import PasswordPlugin  # type: ignore[import-untyped]

        plugin: BaseAuthPlugin = PasswordPlugin(given["ST_AUTH"], given["ST_USER"], given["ST_KEY"])
        return plugin
    if "OS_AUTH_URL" in given:
        return _keystone(given)
    raise NoCredentials(_VARIABLES)


def _keystone(given: Mapping[str, str]) -> BaseAuthPlugin:
    """Let every way of authenticating that keystoneauth knows take its own variables."""
    kind = given.get("OS_AUTH_TYPE")
    if kind is None:
        kind = "v3applicationcredential" if "OS_APPLICATION_CREDENTIAL_SECRET" in given else "password"
    try:
        loader: loading.BaseLoader[BaseAuthPlugin] = loading.get_plugin_loader(kind)
        values: dict[str, str] = {}
        for option in loader.get_options():
            for name in (option.dest, *(old.dest for old in option.deprecated)):
                if (value := given.get(f"OS_{name.upper()}")) is not None:
                    values.setdefault(option.dest, value)
        plugin = loader.load_from_options(**values)
    except ClientException as error:
        raise NoCredentials(f"OS_AUTH_URL is set, but not all that belongs to it: {_line(error)}") from error
    assert isinstance(plugin, BaseAuthPlugin)
    return plugin


def _cloud(given: Mapping[str, str], adapter: requests.adapters.BaseAdapter | None) -> Login:
    # It takes long to import, and few have this file.
    from openstack.config import OpenStackConfig
    from openstack.exceptions import ConfigException

    files = [given["OS_CLIENT_CONFIG_FILE"]] if "OS_CLIENT_CONFIG_FILE" in given else None
    try:
        config = OpenStackConfig(config_files=files, load_envvars=False)
        cloud = config.get_one(cloud=given["OS_CLOUD"])
        verify, _ = cloud.get_requests_verify_args()
        auth = cloud.get_auth()
        if auth is None:
            raise NoCredentials(f"OS_CLOUD={given['OS_CLOUD']}: no credentials there")
        interface = cloud.get_interface("object-store")
        return Login(
            new_session(auth, verify=verify is None or verify, adapter=adapter),
            interface if isinstance(interface, str) else "public",
            cloud.get_region_name("object-store") or None,
            cloud.get_endpoint("object-store"),
        )
    except (ConfigException, ClientException) as error:
        raise NoCredentials(f"OS_CLOUD={given['OS_CLOUD']}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
