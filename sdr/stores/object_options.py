"""How each service behind obstore is opened: its credentials, its address, and what is particular to it."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from obstore.store import AzureStore, GCSStore, MemoryStore, S3Store

from sdr.stores.object_credentials import BadOption, Profile
from sdr.stores.object_errors import one_line

Remote = S3Store | GCSStore | AzureStore | MemoryStore

#: What obstore understands of the usual environment, besides credentials.
_S3_SETTINGS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_CHECKSUM_ALGORITHM",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_IMDSV1_FALLBACK",
    "AWS_METADATA_ENDPOINT",
    "AWS_REQUEST_PAYER",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SESSION_TOKEN",
    "AWS_SKIP_SIGNATURE",
    "AWS_SSE_BUCKET_KEY_ENABLED",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
    "AWS_SSE_KMS_KEY_ID",
    "AWS_STS_ENDPOINT",
    "AWS_UNSIGNED_PAYLOAD",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
#: With any of these obstore finds the credentials by itself.
_S3_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
_ENDPOINTS = {
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

#: What is tried again by itself, within a request of many parts; the rest is tried again from outside.
_PATIENT = {
    "max_retries": 6,
    "retry_timeout": timedelta(seconds=120),
    "backoff": {"init_backoff": timedelta(milliseconds=250), "max_backoff": timedelta(seconds=15), "base": 2},
}
_AT_ONCE = {"max_retries": 0, "retry_timeout": timedelta(seconds=60)}

# Each covers sending what is sent, too, over a line that many share.
_READ_AT_ONCE = timedelta(minutes=2)
_READ_PATIENTLY = timedelta(minutes=5)

_CLIENT: dict[str, Any] = {
    "connect_timeout": timedelta(seconds=10),
    # A layer of any size is read in one request.
    "timeout": timedelta(days=1),
}


@dataclass(frozen=True, slots=True)
class Service:
    """What is particular to a service.

    :param digest: the metadata's name for ``docker-content-digest``.
    :param md5: whether the ETag of an object written in one part is the MD5 of its bytes, unless it is encrypted.
    :param generations: whether writes are conditional on a number that listings do not have.
    :param begins_anywhere: whether listing can begin at any key, without reading all keys before it.
    :param copies: whether an object that the service says it has copied is there.
    """

    digest: str = "docker-content-digest"
    md5: bool = False
    generations: bool = False
    begins_anywhere: bool = True
    copies: bool = True


SERVICES = {
    "s3": Service(md5=True),
    "gs": Service(generations=True),
    # Metadata names are identifiers there. A copy may be made after the answer, and obstore does not tell of that.
    "az": Service(digest="docker_content_digest", begins_anywhere=False, copies=False),
}


@dataclass(frozen=True, slots=True)
class Opened:
    """A bucket.

    :param at_once: obstore's store that tries once.
    :param patient: obstore's store that tries again by itself: for what cannot be begun anew, such as one part of many.
    :param prefix: what all keys begin with, without a slash at its end; may be empty.
    """

    at_once: Remote
    patient: Remote
    prefix: str
    service: Service


def opened(text: str, environment: Mapping[str, str]) -> Opened:
    """Open a bucket; nothing is asked of it yet.

    :param text: ``s3://bucket``, ``gs://bucket`` or ``az://container``, each with ``/prefix`` or without.
    :raise BadOption: if the text or a variable of the environment cannot be used.
    """
    scheme, bucket, prefix = _parsed(text)
    client = dict(_CLIENT)
    if scheme == "s3":
        # Their options are typed dictionaries, which nothing here is built as.
        made: Any = S3Store
        options = _s3(bucket, environment, client)
    else:
        made = GCSStore if scheme == "gs" else AzureStore
        # The rest of their settings obstore takes from the process's environment.
        endpoint = next((environment[name] for name in _ENDPOINTS[scheme] if name in environment), "")
        client["allow_http"] = endpoint.startswith("http://")
        options = {}
    try:
        at_once, patient = (
            made(
                bucket,
                client_options={**client, "read_timeout": read},
                retry_config=retries,
                **options,
            )
            for retries, read in ((_AT_ONCE, _READ_AT_ONCE), (_PATIENT, _READ_PATIENTLY))
        )
    except Exception as error:
        raise BadOption(f"{text}: {one_line(str(error))}") from error
    return Opened(at_once, patient, prefix, SERVICES[scheme])


def _parsed(text: str) -> tuple[str, str, str]:
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    bucket, _, path = rest.partition("/")
    form = f"{scheme}://{'CONTAINER' if scheme == 'az' else 'BUCKET'}[/PREFIX]"
    if not separator or not _NAME.fullmatch(bucket):
        raise BadOption(f"{text}: not {form}")
    prefix = path.strip("/")
    if prefix and any(part in ("", ".", "..") for part in prefix.split("/")):
        raise BadOption(f"{text}: not {form}; a part of the prefix is empty, '.' or '..'")
    if any(character in prefix for character in "?#") or not prefix.isprintable():
        raise BadOption(f"{text}: not {form}; the prefix may not have '?', '#' or control characters")
    return scheme, bucket, prefix


def _s3(bucket: str, environment: Mapping[str, str], client: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {name.lower(): environment[name] for name in _S3_SETTINGS if environment.get(name)}
    # Deleting many at once wants more of a store than deleting one, and gains nothing here.
    config["disable_bulk_delete"] = True
    options: dict[str, Any] = {"config": config}
    profile = Profile.of(environment)
    if not any(environment.get(name) for name in _S3_CREDENTIALS):
        if profile is not None:
            profile.require()
            options["credential_provider"] = profile
        elif environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            options["credential_provider"] = _none
    endpoint = (
        environment.get("AWS_ENDPOINT_URL_S3")
        or environment.get("AWS_ENDPOINT_URL")
        or (profile.setting("endpoint_url") if profile else "")
    )
    region = (
        environment.get("AWS_REGION")
        or environment.get("AWS_DEFAULT_REGION")
        or (profile.setting("region") if profile else "")
    )
    config["region"] = region or "us-east-1"
    if endpoint:
        address = urlsplit(endpoint)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise BadOption(f"AWS_ENDPOINT_URL: {endpoint}: not http://HOST or https://HOST")
        config["endpoint"] = endpoint
        client["allow_http"] = address.scheme == "http"
    else:
        # Of Amazon itself it is known that it keeps a checksum. A name with a dot is in no certificate.
        config.setdefault("aws_checksum_algorithm", "SHA256")
        config.setdefault("aws_virtual_hosted_style_request", str("." not in bucket).lower())
    authorities = environment.get("AWS_CA_BUNDLE") or environment.get("REQUESTS_CA_BUNDLE")
    if authorities:
        try:
            client["root_certificate"] = Path(os.path.expanduser(authorities)).read_bytes()
        except OSError as error:
            raise BadOption(f"AWS_CA_BUNDLE: {authorities}: {error.strerror}") from error
    return options


def _none() -> NoReturn:
    """Have obstore not ask the machine for its role."""
    raise BadOption("AWS_EC2_METADATA_DISABLED is set")
