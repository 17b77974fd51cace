"""Amazon's files in ~/.aws: profiles, SSO, roles and programs that give credentials, as boto3 reads them."""

import os
import threading
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import botocore.session
    from obstore.store import S3Credential


class BadOption(ValueError):
    """What was given cannot be used; the message says what, and why."""


class Profile:
    """A profile of ``~/.aws``; called by obstore when it needs credentials, which may ask the network.

    Nothing is read before something is asked for.

    :param name: the profile, or nothing for the default.
    """

    def __init__(self, name: str | None, files: Mapping[str, str]) -> None:
        self._name, self._files = name, files
        self._lock = threading.Lock()
        self._provider: Any = None

    @cached_property
    def _session(self) -> "botocore.session.Session":
        # It takes longer to import than a small image to publish, and who has all in the environment needs none of it.
        import botocore.session

        session = botocore.session.Session(profile=self._name)
        for variable, path in self._files.items():
            session.set_config_variable(variable, path)
        return session

    def require(self) -> Mapping[str, Any]:
        """Return the profile's settings.

        :raise BadOption: if there is no such profile.
        """
        from botocore.exceptions import BotoCoreError

        try:
            found: Mapping[str, Any] = self._session.get_scoped_config()
        except BotoCoreError as error:
            raise BadOption(f"AWS_PROFILE: {error}") from error
        return found

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self | None:
        """Return the profile that the environment names, or the default one; ``None`` without any such files."""
        home = Path(environment.get("HOME") or os.path.expanduser("~")) / ".aws"
        files = {
            "credentials_file": environment.get("AWS_SHARED_CREDENTIALS_FILE") or str(home / "credentials"),
            "config_file": environment.get("AWS_CONFIG_FILE") or str(home / "config"),
        }
        name = environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE")
        if not name and not any(os.path.exists(path) for path in files.values()):
            return None
        return cls(name, files)

    def setting(self, name: str) -> str:
        """Return a setting of the profile, or the empty string."""
        found = self.require().get(name, "")
        return found if isinstance(found, str) else ""

    def __call__(self) -> "S3Credential":
        """Return credentials that are valid by now."""
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider

        with self._lock:
            if self._provider is None:
                self._provider = Boto3CredentialProvider(boto3.Session(botocore_session=self._session))
            found: S3Credential = self._provider()
            return found
