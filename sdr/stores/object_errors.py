"""What obstore's exceptions mean, in the words of the stores."""

import re

from sdr.stores.interface import Changed, NotAllowed, NotReachable, NotThere, StoreError
from sdr.stores.retrying import Busy


class Refused(StoreError):
    """The store does not do such a thing at all."""


# What a request ended with is in the message only.
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>\s*([^<\s]+)\s*</Code>")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
_HOST = re.compile(r"https?://[^/\s]+")
_SYSTEM = re.compile(r'message: "([^"]+)"')
# Where instance roles come from, and what boto3 is behind.
_METADATA = re.compile(
    r"https?://(?:169\.254\.|metadata\.google|\[?fd00:ec2::254|[^/\s]+/(?:metadata/identity|latest/(?:api/token|meta-data)))"
    r"|path External AWS credential provider:"
)
_URI = re.compile(r"https?://\S+")
_GENERIC = re.compile(r"^Generic \w+ error: ")
_DEBUG = "\n\nDebug source:"

NO_BUCKET = "there is no such bucket"
NO_OBJECT = "there is no such object"
FORBIDDEN = "access denied: these credentials may not do this"
#: Amazon hides from who may not list what is there and what is not.
FORBIDDEN_OR_NOT_THERE = f"{FORBIDDEN}, or it is not there and they lack the permission to list (s3:ListBucket)"
NO_RANGE = "there is no such part of it"
NO_CREDENTIALS = "no usable credentials"
#: What would be some.
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this machine a role",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or give this machine a service account",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or give this machine an identity",
}
_FULL = "the store has no room left for it, or its quota is used up"

_BY_CODE: dict[str, tuple[type[StoreError], str]] = {
    "NoSuchBucket": (NotThere, NO_BUCKET),
    "ContainerNotFound": (NotThere, NO_BUCKET),
    "AccessDenied": (NotAllowed, FORBIDDEN),
    "AuthorizationFailure": (NotAllowed, FORBIDDEN),
    "AuthorizationPermissionMismatch": (NotAllowed, FORBIDDEN),
    "RequestTimeTooSkewed": (NotAllowed, "this machine's clock is too far off"),
    "PreconditionFailed": (Changed, "something else is there by now"),
    "ConditionalRequestConflict": (Changed, "somebody else is writing it"),
    "QuotaExceeded": (StoreError, _FULL),
    "InsufficientStorage": (StoreError, _FULL),
    "EntityTooLarge": (StoreError, "it is larger than the store takes"),
    "InvalidRange": (StoreError, NO_RANGE),
    "NotImplemented": (Refused, "the store does not do such a thing"),
    "SlowDown": (Busy, "the store is asked too much: SlowDown"),
    "TooManyRequests": (Busy, "the store is asked too much: TooManyRequests"),
    "ServerBusy": (Busy, "the store is asked too much: ServerBusy"),
    "OperationAborted": (NotReachable, "the store asks to try again"),
    "RequestTimeout": (NotReachable, "the store waited too long for the data"),
}
_WRONG_CREDENTIALS = frozenset(
    {
        "AuthenticationFailed",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidAuthenticationInfo",
        "InvalidSecurity",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnauthorizedAccess",
    }
)
# Not those: 501 stays so, and a full store does not empty itself.
_LASTING = frozenset({501, 505, 507})


def translated(error: BaseException, store: str, key: str) -> StoreError:
    """Return what an exception of obstore's means; its debug output is reduced to the reason.

    :param store: the store, as its user wrote it.
    :param key: the object, or the empty string.
    """
    kind, reason = _meaning(type(error).__name__, str(error))
    if reason.startswith(NO_CREDENTIALS):
        reason = f"{reason}; set {_CREDENTIALS.get(store.partition(':')[0].lower(), 'those of the service')}"
    made = kind(store, key, reason)
    made.__cause__ = error
    return made


def _meaning(name: str, text: str) -> tuple[type[StoreError], str]:
    said, _, debug = text.partition(_DEBUG)
    # The object's name may be any word that is looked for.
    debug = _URI.sub("", debug)
    found = _CODE.search(said)
    code = found[1] if found else ""
    found = _STATUS.search(said)
    status = int(found[1]) if found else 0
    if _METADATA.search(said):
        provider = said.rpartition("External AWS credential provider: ")[2] if "External AWS" in said else ""
        # Before it is the name of a Python class.
        provider = provider.partition(": ")[2] or provider
        return NotAllowed, NO_CREDENTIALS + (f" ({one_line(provider)})" if provider else "")
    if code in _BY_CODE:
        return _BY_CODE[code]
    if code in _WRONG_CREDENTIALS:
        return NotAllowed, f"the credentials are wrong: {_detail(said, code)}"
    if name in ("AlreadyExistsError", "PreconditionError"):
        return _BY_CODE["PreconditionFailed"]
    if name == "FileNotFoundError" or status == 404:
        return NotThere, NO_OBJECT
    if status:
        return _by_status(status, _detail(said, code))
    if "redirect without LOCATION" in said:
        return StoreError, "the bucket is in another region; set AWS_REGION"
    if "Invalid range" in said:
        return StoreError, NO_RANGE
    if "HTTP error" in said or "error sending request" in said or "error decoding response body" in said:
        return _connection(said, debug)
    if name == "NotSupportedError":
        return Refused, "the store does not do such a thing"
    if name == "UnauthenticatedError":
        return NotAllowed, NO_CREDENTIALS
    if name == "ValueError":
        return StoreError, f"not a key: {one_line(said)}"
    return StoreError, one_line(said)


def _by_status(status: int, detail: str) -> tuple[type[StoreError], str]:
    if status == 401:
        return NotAllowed, f"the credentials are wrong: {detail or '401'}"
    if status == 403:
        return NotAllowed, f"{FORBIDDEN}, or they are wrong: {detail or '403'}"
    if status == 416:
        return StoreError, NO_RANGE
    if status == 507:
        return StoreError, _FULL
    reason = f"{status}{': ' if detail else ''}{detail}"
    if status == 429:
        return Busy, f"the store is asked too much: {reason}"
    if status == 408 or (status >= 500 and status not in _LASTING):
        return NotReachable, f"the store is not well: {reason}"
    kind = Refused if status in (405, 501) else StoreError
    return kind, f"the store refuses: {reason}"


def _connection(said: str, debug: str) -> tuple[type[StoreError], str]:
    found = _HOST.search(said)
    host = found[0] if found else "the store"
    if "invalid peer certificate" in debug:
        return (
            StoreError,
            f"{host}: its certificate is not trusted here; AWS_CA_BUNDLE names a file of more authorities",
        )
    found = _SYSTEM.search(debug)
    if found:
        return NotReachable, f"cannot reach {host}: {one_line(found[1]).lower()}"
    if "dns error" in debug:
        return NotReachable, f"cannot reach {host}: there is no such name"
    if "TimedOut" in debug or "Timeout" in debug:
        return NotReachable, f"cannot reach {host}: no answer in time"
    return NotReachable, f"the connection to {host} was lost"


def _detail(said: str, code: str) -> str:
    found = _MESSAGE.search(said)
    return ": ".join(filter(None, (code, one_line(found[1]) if found else "")))


def one_line(text: str) -> str:
    """Return a text on one line of bearable length, without a full stop."""
    line = _GENERIC.sub("", " ".join(text.partition(_DEBUG)[0].split()).rstrip("."))
    return line if len(line) <= 300 else f"{line[:297]}..."
