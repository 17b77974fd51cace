"""Requests to one Swift container: authenticated, tried again, and what goes wrong in the words of a store."""

import ssl
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from http.client import HTTPException
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import requests
from keystoneauth1 import exceptions
from urllib3.exceptions import HTTPError

from sdr.stores.interface import NotAllowed, NotReachable, NotThere, StoreError
from sdr.stores.pieces import BadBody, Pieces
from sdr.stores.retrying import Patience
from sdr.stores.swift_credentials import Login
from sdr.stores.swift_errors import broken, causes, refusal

T = TypeVar("T")

#: Asks all replicas, so that what was just written is seen.
NEWEST = {"X-Newest": "true"}

#: How many objects the first page of a listing has, which mostly is all of it; less than what any server allows.
PAGE = 1000

# What says nothing of whether the same will work in a moment.
_PASSING = (exceptions.ConnectionError, exceptions.DiscoveryFailure, requests.RequestException, HTTPError, OSError)
_FAILURES = (exceptions.ClientException, *_PASSING)


class Precondition(Exception):
    """A conditional request was refused (412)."""


class Container:
    """One container.

    :param store: what messages call it.
    :param name: its name.
    :param login: how to get at its account.
    :param patience: how often a request is tried.
    """

    def __init__(self, store: str, name: str, login: Login, patience: Patience) -> None:
        self.store, self.name, self.patience = store, name, patience
        self._login = login

    def ask(
        self,
        method: str,
        name: str = "",
        *,
        key: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | Pieces | None = None,
        container: str | None = None,
        read: Callable[[requests.Response], T],
    ) -> T:
        """Make a request, again if it may help, and return what ``read`` makes of a good answer.

        :param name: the object's name in the container, or the empty string for the container.
        :param key: what messages call it.
        :param container: another one of the same account.
        :param read: reads the answer's body; it is closed afterwards.
        :raise Precondition: if a condition of the request does not hold.
        """

        def attempt() -> T:
            send = self.send(method, name, key=key, query=query, headers=headers, data=data, container=container)
            with self.reading(key), send as answer:
                result = read(answer)
                # Only an answer that was read to its end leaves its connection to the next request.
                answer.raw.read(decode_content=False)
                return result

        return self.patience(attempt)

    def send(
        self,
        method: str,
        name: str = "",
        *,
        key: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | Pieces | None = None,
        container: str | None = None,
        accept: Set[int] = frozenset(),
    ) -> requests.Response:
        """Make a request once; with a new token if there was one that has expired. The answer's body is not read yet.

        :param accept: statuses that are no failure though they look like one.
        """
        path = f"{quote(container or self.name)}{'/' if name else ''}{quote(name)}"
        if query:
            path += "?" + urlencode(query, quote_via=quote)
        answer = self._send(method, path, key, headers, data)
        if answer.status_code == 401:
            answer.close()
            self._login.session.invalidate()
            answer = self._send(method, path, key, headers, data)
        if 200 <= answer.status_code < 300 or answer.status_code in accept:
            return answer
        with answer, self.reading(key):
            # Swift's own reasons are a line; anything longer is somebody else's page.
            text = answer.raw.read(2000, decode_content=True).decode("utf-8", "replace")
        if answer.status_code == 412 and {"If-Match", "If-None-Match"} & (headers or {}).keys():
            raise Precondition
        words = "" if text.lstrip().startswith("<") else text
        raise refusal(self.store, key, answer.status_code, answer.reason or "", answer.headers, words)

    def _send(
        self, method: str, path: str, key: str, headers: Mapping[str, str] | None, data: bytes | Pieces | None
    ) -> requests.Response:
        account = self._account()
        if isinstance(data, Pieces):
            data.failed = None
        try:
            return self._login.session.request(
                f"{account}/{path}",
                method,
                headers={"Accept-Encoding": "identity", **(headers or {})},
                data=data,
                stream=True,
                redirect=False,
                raise_exc=False,
                allow_reauth=False,
                connect_retries=0,
                log=False,
            )
        except Exception as error:
            if isinstance(data, Pieces) and data.failed is not None:
                # Whatever the HTTP client has made of it.
                with self.body(key):
                    raise data.failed from None
            if isinstance(error, _FAILURES):
                raise self._failure(key, urlsplit(account).netloc, error) from error
            raise

    def _account(self) -> str:
        """Return the account's URL, and authenticate for it where that has not happened yet."""
        login = self._login
        try:
            # Asked for first, and thereby with the errors below; the request takes it from where it then is.
            login.session.get_auth_headers()
            if login.storage_url:
                return login.storage_url.rstrip("/")
            url = login.session.get_endpoint(
                service_type="object-store", interface=login.interface, region_name=login.region
            )
        except (exceptions.EndpointNotFound, exceptions.EmptyCatalog):
            url = None
        except _FAILURES as error:
            raise self._failure("", self._authority(), error) from error
        if not url:
            raise StoreError(
                self.store, "", "the cloud has no object-store there; set OS_REGION_NAME or OS_STORAGE_URL"
            )
        return url.rstrip("/")

    def _authority(self) -> str:
        url = getattr(self._login.session.auth, "auth_url", None)
        return urlsplit(url or "").netloc or "the cloud"

    def _failure(self, key: str, host: str, error: Exception) -> StoreError:
        """Return what a request that got no answer, or no token, raises.

        :param host: what was asked.
        """
        if isinstance(error, exceptions.Unauthorized | exceptions.Forbidden):
            return NotAllowed(self.store, "", f"the credentials are refused by {self._authority()}")
        if any(isinstance(one, ssl.SSLCertVerificationError) for one in causes(error)):
            return StoreError(self.store, "", f"{host} has no certificate that is trusted; OS_CACERT names others")
        if isinstance(error, exceptions.HttpServerError):
            return NotReachable(self.store, key, f"{host} is not well ({error.http_status})")
        if isinstance(error, _PASSING):
            return NotReachable(self.store, key, f"{host} cannot be reached: {broken(error)}")
        line = " ".join(str(error).split())
        return StoreError(self.store, "", f"authenticating with {self._authority()} failed: {line}")

    @contextmanager
    def reading(self, key: str) -> Iterator[None]:
        """Say in the store's words what goes wrong while an answer is read."""
        try:
            yield
        except (HTTPError, HTTPException, requests.RequestException, OSError) as error:
            raise NotReachable(self.store, key, f"the answer broke off: {broken(error)}") from error

    @contextmanager
    def body(self, key: str) -> Iterator[None]:
        """Say in the store's words that a body is wrong; what reading it raised is left alone."""
        try:
            yield
        except BadBody as error:
            raise StoreError(self.store, key, str(error)) from error

    def list(
        self, prefix: str, *, limit: int | None = None, delimiter: str = "", hide: str = ""
    ) -> Iterator[dict[str, Any]]:
        """List objects, page by page, as Swift tells it.

        :param limit: how many in a page; if not given, as many as the server likes in each after the first.
        :param hide: a prefix of which nothing is told.
        :raise NotThere: if there is no such container.
        """
        query = {"format": "json", "prefix": prefix, "delimiter": delimiter, "limit": str(limit or PAGE)}
        marker = ""
        while True:
            try:
                page: list[dict[str, Any]] = self.ask("GET", query={**query, "marker": marker}, read=_json)
            except NotThere as error:
                raise self.missing() from error
            for entry in page:
                marker = entry["name"] if "name" in entry else entry["subdir"]
                if hide and marker.startswith(hide):
                    # The rest of them need not be read.
                    marker = hide + "\U0010ffff"
                    break
                yield entry
            else:
                # A page that is not full is Swift's last, but a Ceph gateway may give one though there is more.
                if not page:
                    return
            if limit is None:
                # There are many: as many at once as the server likes, until there are none.
                query.pop("limit", None)

    def remove(self, path: str, key: str) -> None:
        """Remove an object, given as ``container/name``; one that is not there is no error."""
        container, _, name = path.partition("/")
        with suppress(NotThere):
            self.ask("DELETE", name, key=key, container=container, read=lambda _: None)

    def missing(self) -> NotThere:
        """Return what is said where the container is needed and is not there."""
        return NotThere(self.store, "", f"there is no such container; make it with: swift post {self.name}")


def _json(answer: requests.Response) -> Any:
    return answer.json()
