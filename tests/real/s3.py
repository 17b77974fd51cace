"""An S3 service that has conditional writes: moto."""

import functools
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from tests.missing import missing
from tests.real.programs import Process, answers, free_port

REGION = "us-east-1"


class Moto(Process):
    """moto's server. Its buckets are in memory and end with it; any credentials will do."""

    def __init__(self, *, port: int | None = None) -> None:
        if importlib.util.find_spec("moto") is None:
            missing("moto is not there: pip install 'moto[server]'")
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)])

    @property
    def environment(self) -> dict[str, str]:
        """What is to be in the environment of whoever uses it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "moto",
            "AWS_SECRET_ACCESS_KEY": "moto-secret",
            "AWS_REGION": REGION,
        }

    def ready(self) -> bool:
        """Tell whether it answers."""
        return answers(f"{self.url}/moto-api/data.json")

    def make_bucket(self, name: str) -> str:
        """Make a bucket, and return its name; one that is there already is no error."""
        return make_bucket(self.environment, name)


def client(environment: Mapping[str, str]) -> Any:
    """Return a client that is not sdr's own, to look at what is really there."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
        config=Config(
            s3={"addressing_style": "path"},
            # What is not Amazon may not know the checksums that boto3 adds by itself.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def make_bucket(environment: Mapping[str, str], name: str) -> str:
    """Make a bucket, and return its name; one that is there already is no error."""
    s3 = client(environment)
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=name)
    return name


def keys(client: Any, bucket: str, prefix: str = "") -> list[str]:
    """Return the keys in a bucket, as they are there."""

    def pages() -> Iterator[str]:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from (found["Key"] for found in page.get("Contents", ()))

    return list(pages())


@functools.cache
def moto() -> Moto:
    """Return the one server of this run; the first call starts it."""
    return Moto().start()
