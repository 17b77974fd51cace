"""The v1 client of these tests: each version asks what that docker asks, and fails on what that docker fails on."""

import json
from collections.abc import Sequence
from dataclasses import replace

from tests.real import v1_client_case
from tests.real.v1_client_case import IMAGES_PATH, LAYER_PATHS, since, until
from tests.real.v1_docker import Docker
from tests.real.v1_scripted import BASE, JSON, NAME, TAG, TOP, Script, Scripted, registry
from tests.real.v1_versions import VERSIONS, Trait, version
from tests.real.v1_wire import GOS_OWN, PullFailed

#: Short for the requests of a pull.
_PATHS = {
    "V": "GET /v2/",
    "M": f"GET /v2/{NAME}/manifests/{TAG}",
    "P": "GET /v1/_ping",
    "I": f"GET /v1/repositories/{NAME}/images",
    "T": f"GET /v1/repositories/{NAME}/tags",
    "T1": f"GET /v1/repositories/{NAME}/tags/{TAG}",
    "A": f"GET /v1/images/{TOP}/ancestry",
    "Jb": f"GET /v1/images/{BASE}/json",
    "Jt": f"GET /v1/images/{TOP}/json",
    "Hb": f"HEAD /v1/images/{BASE}/layer",
    "Ht": f"HEAD /v1/images/{TOP}/layer",
    "Lb": f"GET /v1/images/{BASE}/layer",
    "Lt": f"GET /v1/images/{TOP}/layer",
}

_OLDEST = ["0.9", "0.10", "0.11", "1.2", "1.4"]

#: What is asked over plain http.
OVER_HTTP: Sequence[tuple[Sequence[str], str]] = (
    (_OLDEST, "P I T A Jb Lb Jt Lt"),
    (["0.12", "1.1"], "P I T A Jb Hb Lb Jt Ht Lt"),
    (["1.5", "1.6", "1.7"], "V P I T A Jb Lb Jt Lt"),
    (["1.8", "1.9"], "V I T1 A Jb Lb Jt Lt"),
    (["1.10", "1.12", "1.13", "17.05"], "V M I T1 A Jb Jt Lb Lt"),
)

#: What is asked over https before the images.
BEFORE_IMAGES_OVER_HTTPS: Sequence[tuple[Sequence[str], str]] = (
    ([*_OLDEST, "0.12", "1.1"], "P P"),
    (["1.5", "1.6", "1.7"], "V P P"),
    (["1.8", "1.9"], "V V P"),
    (["1.10"], "V M V P"),
    (["1.12", "1.13", "17.05"], "V M P"),
)


def spelled(short: str) -> list[str]:
    """Return the requests that stand for themselves in the tables."""
    return [_PATHS[each] for each in short.split()]


class RequestTests(v1_client_case.ClientTests):
    """Which requests, in which order."""

    def test_over_http(self) -> None:
        """Each version asks its own sequence over plain http."""
        self.assertEqual(sorted(str(each) for each in VERSIONS), sorted(n for row, _ in OVER_HTTP for n in row))
        for names, short in OVER_HTTP:
            for text in names:
                pulled = self.pull(text, self.serve(registry()))
                self.assert_whole(pulled, text)
                asked = pulled.asked()
                if version(text).has(Trait.ALL_JSON_FIRST):
                    asked[-2:] = sorted(asked[-2:], reverse=True)
                self.assertEqual(asked, spelled(short), text)

    def test_over_https(self) -> None:
        """Over https the pings are others, and the rest is the same."""
        for names, short in BEFORE_IMAGES_OVER_HTTPS:
            for text in names:
                pulled = self.pull(text, self.serve(registry(tls=True)))
                self.assert_whole(pulled, text)
                asked = pulled.asked()
                self.assertEqual(asked[: asked.index(_PATHS["I"])], spelled(short), text)
                self.assertEqual({one.url.partition(":")[0] for one in pulled.exchanges}, {"https"})

    def test_unknown_authority(self) -> None:
        """A certificate of an authority that docker does not know is no registry."""
        for text in ("0.9", "1.5", "17.05"):
            with self.assertRaises(PullFailed):
                Docker(version(text)).pull(self.serve(registry(tls=True)).host, NAME, TAG)

    def test_new_connection_each(self) -> None:
        """Every request says ``Connection: close``, and has docker's name but for the pings of old ones."""
        for text in ("0.9", "1.5", "1.6", "1.10"):
            server = self.serve(registry())
            self.pull(text, server)
            self.assertEqual({one.headers["Connection"] for one in server.asked}, {"close"})
            pings = {one.headers["User-Agent"] for one in server.asked if one.target in ("/v1/_ping", "/v2/")}
            others = {one.headers["User-Agent"] for one in server.asked if "/images" in one.target}
            (agent,) = others
            self.assertRegex(agent, rf"^docker/{text}\.0 go/go1\.[0-9.]+ git-commit/")
            self.assertEqual(pings, {GOS_OWN} if text in ("0.9", "1.5") else {agent}, text)

    def test_no_tag(self) -> None:
        """Without a tag old ones pull all, the others :latest; with -a all versions pull all."""
        for each in VERSIONS:
            server = self.serve(registry())
            tags = f"/v1/repositories/{NAME}/tags"
            server.say(tags, Script(body=json.dumps({TAG: TOP, "latest": BASE}).encode()))
            server.say(f"{tags}/latest", Script(body=json.dumps(BASE).encode()))
            server.say(f"/v1/images/{BASE}/ancestry", Script(body=json.dumps([BASE]).encode()))
            everything = {TAG, "latest"}
            by_default = everything if str(each) in until("1.2") else {"latest"}
            self.assertEqual(set(self.pull(str(each), server, tag=None).images), by_default, str(each))
            pulled = self.pull(str(each), server, tag=None, all_tags=True)
            self.assertEqual(set(pulled.images), everything, str(each))
            self.assertEqual([one for one in pulled.asked() if "/tags/" in one and "/v2/" not in one], [])
            self.assertEqual(len([one for one in pulled.asked() if one == f"GET {LAYER_PATHS[BASE]}"]), 1)

    def test_one_part_names(self) -> None:
        """The images of ``app`` are asked for as ``app``, its tags as ``library/app``."""
        for each in VERSIONS:
            server = self.serve(registry())
            for path in [path for path in server.at if f"/{NAME}/" in path]:
                name = "app" if path.endswith("/images") else "library/app"
                server.at[path.replace(NAME, name)] = server.at.pop(path)
            self.assert_whole(self.pull(str(each), server, "app"), str(each))
            server.at["/v1/repositories/library/app/images"] = server.at.pop("/v1/repositories/app/images")
            with self.assertRaises(PullFailed):
                self.pull(str(each), server, "app")

    def test_names(self) -> None:
        """Each version has its own idea of a name."""
        for name, takers in (
            ("ab/app", since("1.6")),
            ("a-b-c/app", since("1.5")),
            ("a_b_c/app", [str(each) for each in VERSIONS]),
            ("x/app", since("1.8")),
            ("one/two/three", since("1.8")),
            (f"{'n' * 31}/app", since("1.6")),
        ):
            self.assertEqual([str(each) for each in VERSIONS if each.takes(name)], takers, name)


class HeaderTests(v1_client_case.ClientTests):
    """Which headers a version insists on, and where it reads them."""

    def without(self, path: str, **headers: str) -> Scripted:
        """Return a registry that leaves headers out."""
        server = self.serve(registry())
        server.also(path, **headers)
        return server

    def assert_only_old_ones_fail(self, path: str, header: str, why: str) -> None:
        """Fail unless docker up to 0.10 wants a header, and no later one."""
        for text in until("0.10"):
            self.assert_fails(text, self.without(path, **{header: ""}), why)
        for text in since("0.11"):
            self.assert_whole(self.pull(text, self.without(path, **{header: ""})), text)

    def test_version(self) -> None:
        """Up to 0.10 ``_ping`` must have ``X-Docker-Registry-Version``."""
        self.assert_only_old_ones_fail("/v1/_ping", "X_Docker_Registry_Version", "does not look like a Registry")

    def test_endpoints(self) -> None:
        """Up to 0.10 the list of images must have ``X-Docker-Endpoints``."""
        self.assert_only_old_ones_fail(IMAGES_PATH, "X_Docker_Endpoints", "didn't contain any endpoints")

    def test_size(self) -> None:
        """Up to 0.10 an image's json must have ``X-Docker-Size``, and is asked for five times."""
        path = f"/v1/images/{BASE}/json"
        self.assert_only_old_ones_fail(path, "X_Docker_Size", "ParseInt")
        server = self.without(path, X_Docker_Size="")
        docker = self.assert_fails("0.10", server, "ParseInt")
        self.assertEqual(len([one for one in server.asked if one.target == path]), 5)
        self.assertEqual(docker.naps, 4)

    def test_size_that_is_no_number(self) -> None:
        """A size that is no number fails every version."""
        for each in VERSIONS:
            self.assert_fails(str(each), self.without(f"/v1/images/{TOP}/json", X_Docker_Size="x"), "ParseInt")

    def test_headers_on_a_redirect(self) -> None:
        """What a redirect says is not read: not the version, the endpoints, nor the size."""
        for path in ("/v1/_ping", IMAGES_PATH, f"/v1/images/{TOP}/json"):
            server, cdn = self.serve(registry()), self.serve(Scripted())
            (script,) = server.at[path]
            cdn.say("/there", Script(body=script.body))
            server.say(path, Script(302, {**script.headers, "Location": f"{cdn.url}/there"}))
            self.assert_fails("0.10", server, "Registry|endpoints|ParseInt")
            self.assert_whole(self.pull("0.11", server), path)
            cdn.say("/there", replace(script, status=200))
            self.assert_whole(self.pull("0.10", server), path)

    def test_several_endpoints(self) -> None:
        """Old versions take one host a line, later ones a list, and go to the next when one has nothing."""
        for text, separator, takes in (("0.10", "\n", True), ("0.10", ", ", False), ("0.11", ", ", True)):
            server, empty = self.serve(registry()), self.serve(Scripted())
            for path in (f"/v1/repositories/{NAME}/tags", f"/v1/repositories/{NAME}/tags/{TAG}"):
                empty.say(path, Script(500))
            server.also(IMAGES_PATH, X_Docker_Endpoints=f"{empty.host}{separator}{server.host}")
            if takes:
                self.assert_whole(self.pull(text, server), text)
            else:
                self.assert_fails(text, server)

    def test_tags_of_the_first_endpoint(self) -> None:
        """A host that says 404 for the tags is believed."""
        server, empty = self.serve(registry()), self.serve(Scripted())
        server.also(IMAGES_PATH, X_Docker_Endpoints=f"{empty.host}\n{server.host}")
        self.assert_fails("0.9", server, "Repository not found")
        self.assert_fails("1.5", server, "Repository not found")


class StatusTests(v1_client_case.ClientTests):
    """What a status does."""

    def test_status(self) -> None:
        """What is not there, or not well, fails every version, with its own words."""
        for path, status, why in (
            (IMAGES_PATH, 404, "not found"),
            (IMAGES_PATH, 403, "HTTP code: 403"),
            (IMAGES_PATH, 401, "Authentication is required"),
            (f"/v1/images/{TOP}/ancestry", 404, "Server error: 404"),
            (f"/v1/images/{TOP}/json", 404, "HTTP code 404"),
            (f"/v1/images/{TOP}/layer", 404, "Status 404|ApplyLayer"),
        ):
            for each in VERSIONS:
                server = self.serve(registry())
                server.say(path, Script(status))
                self.assert_fails(str(each), server, why)

    def test_tags(self) -> None:
        """404 means that the tag is not there, all else that nothing can be reached; old stores have no tags/TAG."""
        for status, why in ((404, "not found"), (403, "Could not reach"), (308, "Could not reach")):
            for each in VERSIONS:
                server = self.serve(registry())
                for path in (f"/v1/repositories/{NAME}/tags", f"/v1/repositories/{NAME}/tags/{TAG}"):
                    server.say(path, Script(status))
                self.assert_fails(str(each), server, why)
        for each in VERSIONS:
            server = self.serve(registry())
            del server.at[f"/v1/repositories/{NAME}/tags/{TAG}"]
            if str(each) in since("1.8"):
                self.assert_fails(str(each), server, f"Tag {TAG} not found")
            else:
                self.assert_whole(self.pull(str(each), server), str(each))

    def test_ping_has_no_status(self) -> None:
        """The status of ``_ping`` is not looked at, nor is its body."""
        server = self.serve(registry())
        (script,) = server.at["/v1/_ping"]
        server.say("/v1/_ping", replace(script, status=404, body=b"<html>"))
        for each in VERSIONS:
            self.assert_whole(self.pull(str(each), server), str(each))

    def test_bodies(self) -> None:
        """A list of images that is none, a tag without quotes and another image's json fail."""
        for path, body, names in (
            (IMAGES_PATH, b"{}", ["0.9", "1.5", "17.05"]),
            (IMAGES_PATH, b"", ["0.9", "1.5", "17.05"]),
            (f"/v1/repositories/{NAME}/tags/{TAG}", TOP.encode(), ["1.8", "17.05"]),
            (f"/v1/images/{TOP}/ancestry", b"[]", ["1.10", "17.05"]),
            (f"/v1/images/{TOP}/json", JSON[BASE], ["0.9", "1.5"]),
            (f"/v1/images/{TOP}/layer", b"no archive", ["0.9", "1.5", "17.05"]),
        ):
            for text in names:
                server = self.serve(registry())
                server.at[path] = [replace(server.at[path][0], body=body)]
                self.assert_fails(text, server)

    def test_zstd(self) -> None:
        """No version unpacks zstd."""
        server = self.serve(registry())
        server.say(LAYER_PATHS[TOP], Script(body=b"\x28\xb5\x2f\xfd" + bytes(600)))
        for each in VERSIONS:
            self.assert_fails(str(each), server, "ApplyLayer")
