"""Tests of the Swift store, without a Swift."""

import hashlib
import json
import os
import socket
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

import requests
from twisted.trial.unittest import SynchronousTestCase

from sdr.stores.interface import Bytes, Changed, NotAllowed, NotReachable, NotThere, StoreError
from sdr.stores.opening import UnknownStore
from sdr.stores.retrying import Busy, Patience
from sdr.stores.swift import SwiftStore, open_swift
from sdr.stores.swift_credentials import NoCredentials, login
from sdr.stores.swift_errors import broken, refusal
from sdr.tree.headers import LISTS_HEADERS
from tests.directories import new_directory
from tests.stores.short_swift import ShortSwift
from tests.stores.wire import Asked, Told, Wire

V1 = {"ST_AUTH": "http://swift/auth/v1.0", "ST_USER": "test:tester", "ST_KEY": "testing"}


def etag(data: bytes) -> str:
    """Return what Swift tells as the ETag of an object."""
    return hashlib.md5(data).hexdigest()


def described(data: bytes) -> dict[str, str]:
    """Return the headers of an object."""
    return {"Etag": etag(data), "X-Timestamp": "1795484851.13500"}


class Faulty:
    """A Swift that answers as it is told, in order; only its authentication always works.

    :ivar tokens: how many it has given out.
    """

    def __init__(self, *told: Told | Exception) -> None:
        self._told = list(told)
        self.tokens = 0

    def __call__(self, asked: Asked) -> Told:
        """Answer."""
        if asked.url == V1["ST_AUTH"]:
            self.tokens += 1
            return Told(headers={"X-Auth-Token": f"token{self.tokens}", "X-Storage-Url": "http://swift/v1/AUTH_test"})
        told = self._told.pop(0)
        if isinstance(told, Exception):
            raise told
        return told


def _always(told: Told, _: Asked) -> Told:
    return told


class SwiftStoreTests(SynchronousTestCase):
    """What the store makes of faults."""

    def faced_with(self, *told: Told | Exception) -> SwiftStore:
        """Return a store whose Swift answers so."""
        self.waits: list[float] = []
        self.swift = Faulty(*told)
        self.wire = Wire(self.swift)
        patience = Patience(attempts=3, sleep=self.waits.append)
        return SwiftStore("swift://c/p", "c", "p", login(V1, self.wire), patience=patience, segment_size=2_000_000)

    def asked(self) -> list[str]:
        """Return what was asked, authentication aside."""
        return [f"{one.method} {one.url}" for one in self.wire.asked if "/auth/" not in one.url]

    def test_unwell_for_a_moment(self) -> None:
        """What may pass by itself is tried again, and the whole body is sent each time."""
        reset = requests.ConnectionError(ConnectionResetError(104, "reset"))
        for data in (b"small", b"x" * 1_500_000):
            store = self.faced_with(Told(503), reset, Told(201, {"Etag": etag(data)}))
            store.put("a", Bytes(data), LISTS_HEADERS)
            self.assertEqual(self.asked(), ["PUT http://swift/v1/AUTH_test/c/p/a"] * 3)
            self.assertEqual([one.body for one in self.wire.asked if one.method == "PUT"], [data] * 3)
            self.assertEqual(len(self.waits), 2)

    def test_unwell_for_good(self) -> None:
        """In the end, what is wrong is told."""
        store = self.faced_with(Told(500), Told(502), Told(503))
        error = self.assertRaises(NotReachable, store.get, "a")
        self.assertEqual(str(error), "swift://c/p: a: too busy (503 Odd)")

    def test_asked_to_wait(self) -> None:
        """Swift's rate limits are honoured, in seconds or by a date."""
        date = {"Retry-After": "Tue, 24 Nov 2026 01:00:20 GMT", "Date": "Tue, 24 Nov 2026 01:00:00 GMT"}
        store = self.faced_with(Told(429, {"Retry-After": "7"}), Told(498, date), Told(200, described(b"1"), b"1"))
        self.assertEqual(store.get("a")[0], b"1")
        self.assertEqual([int(wait) // 2 for wait in self.waits], [7 // 2, 20 // 2])

    def test_copy(self) -> None:
        """Swift copies, with no headers but those that are asked for; what may pass by itself is tried again."""
        answers = (Told(503), Told(200, described(b"1")), Told(503), Told(201, {"Etag": etag(b"1")}))
        store = self.faced_with(*answers)
        self.assertEqual(store.copy("blobs/ü %", "b", LISTS_HEADERS), etag(b"1"))
        last = self.wire.asked[-1]
        self.assertEqual((last.method, last.url, last.body), ("PUT", "http://swift/v1/AUTH_test/c/p/b", b""))
        sent = {name: last.headers.get(name) for name in ("X-Copy-From", "X-Fresh-Metadata", "Content-Length")}
        copying = {"X-Copy-From": "/c/p/blobs/%C3%BC%20%25", "X-Fresh-Metadata": "true", "Content-Length": "0"}
        self.assertEqual(sent, copying)
        self.assertEqual(
            (last.headers["Content-Type"], last.headers["Cache-Control"]), ("application/json", "no-cache")
        )
        self.assertEqual(len(self.waits), 2)

    def test_copy_of_a_large_object(self) -> None:
        """An object in segments is not copied, whoever made it and how."""
        for large in ({"X-Static-Large-Object": "True"}, {"X-Object-Manifest": "c/segments/"}):
            store = self.faced_with(Told(200, {**described(b"1"), **large}))
            self.assertIsNone(store.copy("a", "b", LISTS_HEADERS))

    def test_copy_over_the_quota(self) -> None:
        """What Swift does not take is told, with the key."""
        store = self.faced_with(Told(200, described(b"1")), Told(413, body=b"Upload exceeds quota."))
        error = self.assertRaises(StoreError, store.copy, "a", "b", LISTS_HEADERS)
        said = "too large, or over a quota (413 Odd: Upload exceeds quota.)"
        self.assertEqual(str(error), f"swift://c/p: b: {said}")

    def test_cut_while_reading(self) -> None:
        """An answer that breaks off is asked for again; what is read in pieces goes on where it broke."""
        data = os.urandom(100_000)
        whole = Told(200, described(data), data)
        cut = Told(200, described(data), data, cut=60_000)
        store = self.faced_with(cut, whole)
        self.assertEqual(store.get("a")[0], data)
        store = self.faced_with(cut, Told(503), Told(206, described(data), data[60_000:]))
        with store.open("a") as stream:
            self.assertEqual(stream.read(), data)
        again = self.wire.asked[-1].headers
        self.assertEqual((again["Range"], again["If-Match"]), ("bytes=60000-", etag(data)))

    def test_cut_for_good(self) -> None:
        """What breaks off again and again is told, and nothing short is taken for whole."""
        cut = Told(200, described(b"12345"), b"12345", cut=0)
        store = self.faced_with(cut, cut, cut)
        self.assertRaises(NotReachable, store.get, "a")
        store = self.faced_with(cut, cut, cut)
        with store.open("a") as stream:
            error = self.assertRaises(NotReachable, stream.read)
        self.assertEqual(str(error), "swift://c/p: a: the answer broke off: connection reset by peer")

    def test_written_again_while_read(self) -> None:
        """An object that changed when it is asked for again is not pieced together."""
        store = self.faced_with(Told(200, described(b"12345"), b"12345", cut=3), Told(412))
        with store.open("a") as stream:
            self.assertRaises(Changed, stream.read)

    def test_mangled_on_the_way(self) -> None:
        """Other bytes than were sent, or than the store has, are noticed: taken back, and tried again."""
        data = b"x" * 1_500_000
        store = self.faced_with(Told(201, {"Etag": etag(b"y")}), Told(204), Told(201, {"Etag": etag(data)}))
        store.put("a", Bytes(data), LISTS_HEADERS)
        self.assertEqual([line.split()[0] for line in self.asked()], ["PUT", "DELETE", "PUT"])
        store = self.faced_with(Told(422), Told(201))
        store.put("a", Bytes(b"small"), LISTS_HEADERS)
        self.assertEqual(self.wire.asked[-1].headers["ETag"], etag(b"small"))
        store = self.faced_with(Told(200, described(b"1"), b"2"), Told(200, described(b"1"), b"1"))
        self.assertEqual(store.get("a")[0], b"1")

    def test_a_token_that_expired(self) -> None:
        """An expired token is replaced once, without a wait."""
        store = self.faced_with(Told(401), Told(200, described(b"1"), b"1"), Told(401), Told(401))
        self.assertEqual(store.get("a")[0], b"1")
        self.assertEqual((self.swift.tokens, self.waits), (2, []))
        self.assertEqual(self.wire.asked[-1].headers["X-Auth-Token"], "token2")
        self.assertRaises(NotAllowed, store.get, "a")

    def test_who_authenticates_is_unwell(self) -> None:
        """What the answer to the credentials means is told in one line."""
        for answer, kind, line in (
            (Told(401), NotAllowed, "the credentials are refused by swift"),
            (Told(403), NotAllowed, "the credentials are refused by swift"),
            (Told(503), NotReachable, "swift is not well (503)"),
            (Told(404), StoreError, "authenticating with swift failed: Not Found (HTTP 404)"),
        ):
            wire = Wire(partial(_always, answer))
            patience = Patience(attempts=2, sleep=lambda _: None)
            error = self.assertRaises(
                kind, SwiftStore("swift://c", "c", "", login(V1, wire), patience=patience).head, "a"
            )
            self.assertIn(f"swift://c: {line}", str(error))

    def test_another_storage_url(self) -> None:
        """OS_STORAGE_URL names the account instead of the answer's."""
        self.faced_with(Told(200, described(b"1"), b"1"))
        credentials = login({**V1, "OS_STORAGE_URL": "http://other/v1/AUTH_b/"}, self.wire)
        SwiftStore("swift://c", "c", "", credentials).get("a")
        self.assertEqual(self.wire.asked[-1].url, "http://other/v1/AUTH_b/c/a")

    def test_certificates(self) -> None:
        """A server with a wrong certificate is not asked again, one whose TLS broke is."""
        wrong = requests.exceptions.SSLError(ssl.SSLCertVerificationError(1, "certificate verify failed"))
        error = self.assertRaises(StoreError, self.faced_with(wrong).head, "a")
        self.assertEqual(str(error), "swift://c/p: swift has no certificate that is trusted; OS_CACERT names others")
        passing = requests.exceptions.SSLError(ssl.SSLEOFError(8, "EOF occurred in violation of protocol"))
        store = self.faced_with(passing, Told(200, described(b"")))
        self.assertIsNotNone(store.head("a"))

    def test_segments_that_vanished(self) -> None:
        """A large object whose segments are not all there is not made."""
        data = b"x" * 2_500_000
        parts = [Told(201, {"Etag": etag(part)}) for part in (data[:2_000_000], data[2_000_000:])]
        store = self.faced_with(Told(200, body=b"[]"), *parts, Told(400, body=b"Errors:\n/c/x, 404 Not Found\n"))
        error = self.assertRaises(StoreError, store.put, "a", Bytes(data), LISTS_HEADERS)
        self.assertEqual(str(error), "swift://c/p: a: answered 400 Odd: Errors: /c/x, 404 Not Found")

    def test_a_body_that_cannot_be_read(self) -> None:
        """The system's own errors from reading a body are not taken for the network's."""

        class Unreadable:
            size = 1_500_000

            def open(self):  # type: ignore[no-untyped-def]
                raise PermissionError(13, "Permission denied")

        store = self.faced_with(Told(201))
        self.assertRaises(PermissionError, store.put, "a", Unreadable(), LISTS_HEADERS)
        self.assertEqual(self.waits, [])

    def test_refused_without_a_condition(self) -> None:
        """A 412 for another reason than a condition is told as it is."""
        store = self.faced_with(Told(412, body=b"no"))
        self.assertEqual(str(self.assertRaises(StoreError, store.get, "a")), "swift://c/p: a: answered 412 Odd: no")

    def test_short_pages(self) -> None:
        """A listing goes on after a page that is not full, to one that is empty."""
        swift = ShortSwift(2)
        store = swift.store()
        names = ["a", "b", "c/1", "c/2", "d"]
        for name in names:
            store.put(name, Bytes(b"1"), LISTS_HEADERS)
        for delimiter, wanted, pages in (("", names, 4), ("/", ["a", "b", "c/", "d"], 3)):
            swift.pages = 0
            found = [one if isinstance(one, str) else one.key for one in store.list("", delimiter=delimiter)]
            self.assertEqual((found, swift.pages), (wanted, pages))
        swift.pages = 0
        self.assertEqual((list(store.list("none")), swift.pages), ([], 1))

    def test_segments_in_short_pages(self) -> None:
        """All segments of an upload that was given up are removed, however few of them a page tells."""
        swift = ShortSwift(2)
        store = swift.store()
        for number in range(5):
            swift(Asked("PUT", f"http://swift/v1/AUTH_test/c/_segments/a/2000/{number:08}", {}, b"1"))
        self.assertEqual(list(store.abandoned()), ["a"])
        store.delete("a")
        self.assertEqual(swift.objects, {})

    def test_redirected(self) -> None:
        """A redirect is not taken for success."""
        store = self.faced_with(Told(301, {"Location": "http://elsewhere/"}))
        self.assertRaises(StoreError, store.put, "a", Bytes(b"1"), LISTS_HEADERS)

    def test_keys(self) -> None:
        """Keys are sent so that they come back, and what a URL could not hold is refused."""
        store = self.faced_with(Told(200, described(b"")))
        store.head("v2/a/manifests/sha256:00 %25?#ü")
        self.assertEqual(
            self.asked(), ["HEAD http://swift/v1/AUTH_test/c/p/v2/a/manifests/sha256%3A00%20%2525%3F%23%C3%BC"]
        )
        for key in ("", "a/../b", "./a", "a//b", "/a", "_segments/a", "a\0"):
            error = self.assertRaises(StoreError, store.head, key)
            self.assertIn("not a key", str(error))
            for names in ((key, "b"), ("b", key)):
                self.assertIn("not a key", str(self.assertRaises(StoreError, store.copy, *names, LISTS_HEADERS)))


class RefusalTests(SynchronousTestCase):
    """What answers mean."""

    def test_table(self) -> None:
        """Each status is one of the store's failures, with one line."""
        cases: list[tuple[int, type[StoreError], str]] = [
            (400, StoreError, "answered 400 Odd: said so"),
            (401, NotAllowed, "the credentials are refused (401)"),
            (403, NotAllowed, "these credentials have no permission for it (403)"),
            (404, NotThere, "there is no such object"),
            (408, NotReachable, "not well (408 Odd)"),
            (409, StoreError, "answered 409 Odd: said so"),
            (413, StoreError, "too large, or over a quota (413 Odd: said so)"),
            (422, NotReachable, "not well (422 Odd)"),
            (429, Busy, "too busy (429 Odd)"),
            (498, Busy, "too busy (498 Odd)"),
            (500, NotReachable, "not well (500 Odd)"),
            (503, Busy, "too busy (503 Odd)"),
            (507, StoreError, "too large, or over a quota (507 Odd: said so)"),
        ]
        for status, kind, line in cases:
            error = refusal("swift://c", "a", status, "Odd", {}, "said\n so")
            self.assertEqual((type(error), str(error)), (kind, f"swift://c: a: {line}"))

    def test_broken(self) -> None:
        """Why a connection failed is told in a few words, however deep it is buried."""
        for error, words in (
            (requests.ConnectionError(OSError("deep", ConnectionRefusedError(111, "x"))), "connection refused"),
            (requests.ReadTimeout(), "no answer in time"),
            (requests.ConnectionError(socket.gaierror(-2, "Name or service not known")), "its name is not known"),
            (ValueError("?"), "the connection broke"),
        ):
            self.assertEqual(broken(error), words)


class OpeningTests(SynchronousTestCase):
    """From text and environment to a store."""

    def test_names(self) -> None:
        """A container, and perhaps a prefix; messages call it what the user did."""
        for text in ("swift://c", "swift://c/", "swift://c/a/b", "swift://c/a/b/"):
            self.assertEqual(open_swift(text, V1).location, text)

    def test_refused(self) -> None:
        """What names no container is refused with one line."""
        for text in (
            "swift://",
            "swift:///a",
            "swift:c",
            "swift://c//a",
            "swift://c/../a",
            "swift://c?x",
            "swift://c#x",
        ):
            error = self.assertRaises(UnknownStore, open_swift, text, V1)
            self.assertIn("swift://CONTAINER", str(error))

    def test_no_credentials(self) -> None:
        """Without credentials, the variables are named."""
        error = self.assertRaises(UnknownStore, open_swift, "swift://c", {"ST_AUTH": ""})
        for name in ("swift://c: ", "ST_AUTH", "OS_AUTH_URL", "OS_CLOUD", "OS_APPLICATION_CREDENTIAL_ID"):
            self.assertIn(name, str(error))
        for environment, missing in (
            ({"ST_AUTH": "http://a"}, "ST_USER"),
            ({"ST_AUTH": "http://a", "ST_USER": "x"}, "ST_KEY"),
            ({"OS_AUTH_URL": "http://a", "OS_AUTH_TYPE": "none such"}, "none such"),
            ({**V1, "ST_AUTH": "swift.example.com/auth/v1.0"}, "ST_AUTH is not a URL: 'swift.example.com/auth/v1.0'"),
            ({"OS_CLOUD": "none such", "OS_CLIENT_CONFIG_FILE": "/nowhere"}, "none such"),
        ):
            error = self.assertRaises(UnknownStore, open_swift, "swift://c", environment)
            self.assertIn(missing, str(error))
            self.assertNotIn("\n", str(error))


class Keystone:
    """A Keystone that knows a user and an application credential, and a Swift that has one object everywhere."""

    def __call__(self, asked: Asked) -> Told:
        """Answer."""
        if asked.url.endswith("/auth/tokens"):
            self.identity = asked.json()["auth"]["identity"]
            endpoints = [
                {"id": region, "interface": interface, "region": region, "region_id": region, "url": f"http://{url}"}
                for region, interface, url in (
                    ("one", "public", "swift1/v1/AUTH_p"),
                    ("one", "internal", "swift1.internal/v1/AUTH_p"),
                    ("two", "public", "swift2/v1/AUTH_p"),
                )
            ]
            catalog = [{"id": "s", "type": "object-store", "name": "swift", "endpoints": endpoints}]
            token = {
                "methods": self.identity["methods"],
                "user": {"id": "u", "name": "u", "domain": {"id": "d", "name": "d"}},
                "project": {"id": "p", "name": "p", "domain": {"id": "d", "name": "d"}},
                "expires_at": "2999-01-01T00:00:00.000000Z",
                "issued_at": "2020-01-01T00:00:00.000000Z",
                "catalog": catalog,
                "roles": [],
            }
            return Told(201, {"X-Subject-Token": "keys", "Content-Type": "application/json"}, _json({"token": token}))
        if asked.url.startswith("http://keystone"):
            link = {"rel": "self", "href": "http://keystone/v3/"}
            version = {"id": "v3.14", "status": "stable", "links": [link]}
            return Told(200, {"Content-Type": "application/json"}, _json({"version": version}))
        return Told(200, described(b"1"), b"1")


def _json(thing: object) -> bytes:
    return json.dumps(thing).encode()


class KeystoneTests(SynchronousTestCase):
    """Keystone v3, and clouds.yaml."""

    password = {  # noqa: RUF012 # nobody writes to it
        "OS_AUTH_URL": "http://keystone/v3",
        "OS_USERNAME": "me",
        "OS_PASSWORD": "secret",
        "OS_PROJECT_NAME": "p",
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
    }

    def ask(self, environment: dict[str, str], answer: Callable[[Asked], Told] | None = None) -> tuple[str, str]:
        """Read an object, and return from where and with which token."""
        wire = Wire(answer or Keystone())
        patience = Patience(attempts=2, sleep=lambda _: None)
        self.assertEqual(wire.asked, [])
        store = SwiftStore("swift://c", "c", "", login(environment, wire), patience=patience)
        store.get("a")
        return wire.asked[-1].url, wire.asked[-1].headers["X-Auth-Token"]

    def test_password(self) -> None:
        """A user's name and password."""
        keystone = Keystone()
        self.assertEqual(
            self.ask({**self.password, "OS_REGION_NAME": "one"}, keystone), ("http://swift1/v1/AUTH_p/c/a", "keys")
        )
        self.assertEqual(keystone.identity["password"]["user"]["name"], "me")

    def test_which_endpoint(self) -> None:
        """Region, interface and storage URL choose among endpoints."""
        for variables, url in (
            ({"OS_REGION_NAME": "two"}, "http://swift2/v1/AUTH_p/c/a"),
            ({"OS_REGION_NAME": "one", "OS_ENDPOINT_TYPE": "internalURL"}, "http://swift1.internal/v1/AUTH_p/c/a"),
            ({"OS_REGION_NAME": "one", "OS_INTERFACE": "internal"}, "http://swift1.internal/v1/AUTH_p/c/a"),
            ({"OS_STORAGE_URL": "http://elsewhere/v1/AUTH_q"}, "http://elsewhere/v1/AUTH_q/c/a"),
        ):
            self.assertEqual(self.ask({**self.password, **variables})[0], url)

    def test_application_credential(self) -> None:
        """An application credential."""
        keystone = Keystone()
        variables = {
            "OS_APPLICATION_CREDENTIAL_ID": "id",
            "OS_APPLICATION_CREDENTIAL_SECRET": "s",
            "OS_REGION_NAME": "one",
        }
        for kind in ({}, {"OS_AUTH_TYPE": "v3applicationcredential"}):
            self.ask({"OS_AUTH_URL": "http://keystone/v3", **variables, **kind}, keystone)
            self.assertEqual(keystone.identity["application_credential"], {"id": "id", "secret": "s"})

    def test_token(self) -> None:
        """A storage URL and a token that somebody else has got."""
        variables = {"OS_STORAGE_URL": "http://swift/v1/AUTH_x", "OS_AUTH_TOKEN": "given"}
        self.assertEqual(self.ask(variables), ("http://swift/v1/AUTH_x/c/a", "given"))

    def test_no_such_region(self) -> None:
        """A region without a Swift is told, with what would help."""
        error = self.assertRaises(StoreError, self.ask, {**self.password, "OS_REGION_NAME": "three"})
        self.assertIn("OS_REGION_NAME", str(error))
        self.assertNotIn("\n", str(error))

    def test_refused(self) -> None:
        """A wrong password."""

        def refuse(asked: Asked) -> Told:
            return Told(401) if asked.url.endswith("/auth/tokens") else Keystone()(asked)

        error = self.assertRaises(NotAllowed, self.ask, self.password, refuse)
        self.assertEqual(str(error), "swift://c: the credentials are refused by keystone")

    def test_keystone_is_gone(self) -> None:
        """A Keystone that cannot be reached."""

        def refuse(asked: Asked) -> Told:
            raise requests.ConnectionError(ConnectionRefusedError(111, "refused"))

        for url in ("http://keystone/v3", "http://keystone"):
            error = self.assertRaises(NotReachable, self.ask, {**self.password, "OS_AUTH_URL": url}, refuse)
            self.assertIn("swift://c: keystone cannot be reached", str(error))
            self.assertNotIn("\n", str(error))

    def test_clouds_yaml(self) -> None:
        """A cloud in clouds.yaml, with its region."""
        file = self.clouds("password: secret")
        variables = {"OS_CLOUD": "mine", "OS_CLIENT_CONFIG_FILE": str(file)}
        self.assertEqual(self.ask(variables), ("http://swift2/v1/AUTH_p/c/a", "keys"))

    def test_clouds_yaml_without_password(self) -> None:
        """A cloud in clouds.yaml that lacks something is refused at once, in one line."""
        variables = {"OS_CLOUD": "mine", "OS_CLIENT_CONFIG_FILE": str(self.clouds("x: y"))}
        error = self.assertRaises(NoCredentials, login, {**variables, "OS_CLOUD": "other"})
        self.assertNotIn("\n", str(error))

    def clouds(self, line: str) -> Path:
        """Write a clouds.yaml."""
        file = new_directory(self).parent / "clouds.yaml"
        file.write_text(
            "clouds:\n  mine:\n    region_name: two\n    auth:\n"
            "      auth_url: http://keystone/v3\n      username: me\n      project_name: p\n"
            f"      user_domain_name: Default\n      project_domain_name: Default\n      {line}\n"
        )
        return file
