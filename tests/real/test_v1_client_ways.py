"""The v1 client off the straight way: cut connections, redirects, what is told to whom, and the way back to v1."""

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tests.images import DOCKER_MANIFEST, OCI_MANIFEST, config_json, digest_of, layer_tar, to_json
from tests.real import v1_client_case
from tests.real.v1_client_case import IMAGES_PATH, LAYER_PATHS, SPEAKS_V2, since, until
from tests.real.v1_scripted import BASE, LAYERS, NAME, TAG, TOP, Script, Scripted, registry
from tests.real.v1_versions import VERSIONS
from tests.real.v1_wire import ENDLESS, GOS_OWN, NOBODY


class ResumeTests(v1_client_case.ClientTests):
    """A connection that is cut in the middle of a layer."""

    def cut(self, *, at: int = 40, ranges: bool = True, times: int = 1, **headers: str) -> Scripted:
        """Return a registry that cuts the upper layer, so often."""
        server = self.serve(registry())
        whole = Script(body=LAYERS[TOP], ranges=ranges)
        scripts = [replace(whole, cut=at)] * times
        # HEAD takes its turn, too.
        server.say(LAYER_PATHS[TOP], *scripts, *([whole] if times < 9 else []))
        server.also(f"/v1/images/{TOP}/json", **headers)
        return server

    def ranges(self, server: Scripted) -> list[str]:
        """Return the parts that were asked for."""
        return [one.headers["Range"] for one in server.asked if "Range" in one.headers]

    def test_goes_on(self) -> None:
        """From 0.12 on a layer goes on where it was cut; the part's end is one past the last byte."""
        size = len(LAYERS[TOP])
        for text in since("0.12"):
            server = self.cut(times=2 if text in ("0.12", "1.1") else 1)
            self.assert_whole(self.pull(text, server), text)
            self.assertEqual(self.ranges(server), [f"bytes=40-{size}"], text)
        for text in until("0.11"):
            self.assert_fails(text, self.cut(), "unexpected EOF")

    def test_not_without_both(self) -> None:
        """Without the size, or without Accept-Ranges, it fails up to 1.9 and begins anew from 1.10 on."""
        for text in since("0.12"):
            for server in (self.cut(ranges=False, times=2), self.cut(X_Docker_Size="", times=2)):
                if text in since("1.10"):
                    pulled = self.pull(text, server)
                    self.assert_whole(pulled, text)
                    self.assertGreater(pulled.naps, 0)
                else:
                    self.assert_fails(text, server, "unexpected EOF")
                self.assertEqual(self.ranges(server), [], text)

    def test_no_end_of_it(self) -> None:
        """A layer that is always cut fails in the end."""
        for text in ("0.9", "0.12", "1.9", "17.05"):
            self.assert_fails(text, self.cut(at=3, times=9), "unexpected EOF")

    def test_wrong_size(self) -> None:
        """With a size that is too small, what goes on stays short, and the layer is broken."""
        for text in ("1.2", "1.9", "17.05"):
            self.assert_fails(text, self.cut(X_Docker_Size="60"), "ApplyLayer")

    def test_ranges_that_are_not_honoured(self) -> None:
        """A server that says that it has ranges, and sends the whole, fails."""
        server = self.serve(registry())
        script = Script(headers={"Accept-Ranges": "bytes"}, body=LAYERS[TOP])
        server.say(LAYER_PATHS[TOP], replace(script, cut=40), script)
        self.assert_fails("1.9", server, "doesn't support byte ranges")

    def test_gzip_on_the_way(self) -> None:
        """Content-Encoding is undone: what a proxy packs comes out as it was."""
        server = self.serve(registry())
        packed = gzip.compress(LAYERS[TOP])
        server.say(LAYER_PATHS[TOP], Script(headers={"Content-Encoding": "gzip"}, body=packed))
        for each in VERSIONS:
            self.assert_whole(self.pull(str(each), server), str(each))


class RedirectTests(v1_client_case.ClientTests):
    """What is followed, and with which headers."""

    def test_followed(self) -> None:
        """301, 302, 303 and 307 are followed by all, 308 by none."""
        for each in VERSIONS:
            for status in (301, 302, 303, 307):
                self.assert_whole(self.pull(str(each), self.redirecting(status)[0]), str(each))
            self.assert_fails(str(each), self.redirecting(308)[0], "308")

    def test_relative(self) -> None:
        """A relative Location works."""
        server = self.serve(registry())
        server.at["/elsewhere"] = server.at.pop(LAYER_PATHS[TOP])
        server.say(LAYER_PATHS[TOP], Script(302, {"Location": "/elsewhere"}))
        for each in VERSIONS:
            self.assert_whole(self.pull(str(each), server), str(each))

    def test_loops(self) -> None:
        """Up to 0.11 a loop ends after ten redirects, later never."""
        for text, requests in (("0.11", 10), ("0.12", ENDLESS)):
            server = self.serve(registry())
            server.say(LAYER_PATHS[BASE], Script(302, {"Location": LAYER_PATHS[BASE]}))
            docker = self.assert_fails(text, server, "stopped after")
            looped = [one for one in docker.exchanges if one.url.endswith(LAYER_PATHS[BASE])]
            self.assertEqual(len([one for one in looped if one.hop]), requests)

    def test_headers(self) -> None:
        """Up to 0.11 no header of the first request is kept; later all but Authorization."""
        for each in VERSIONS:
            server, cdn = self.redirecting()
            cdn.say(LAYER_PATHS[TOP], *[replace(cdn.at[LAYER_PATHS[TOP]][0], cut=40)] * 2, cdn.at[LAYER_PATHS[TOP]][0])
            if str(each) in until("0.11"):
                self.assert_fails(str(each), server, "EOF")
                self.assertEqual({one.headers["User-Agent"] for one in cdn.asked}, {GOS_OWN})
                continue
            self.assert_whole(self.pull(str(each), server), str(each))
            self.assertEqual({one.headers["User-Agent"] for one in cdn.asked}, {each.user_agent})
            self.assertIn("Range", {name for one in cdn.asked for name in one.headers}, str(each))
            self.assertEqual([one for one in cdn.asked if "Authorization" in one.headers], [])


class AuthorizationTests(v1_client_case.ClientTests):
    """Where ``Authorization`` goes without anybody having logged in."""

    def leaks(self, text: str, *, standalone: str, cdn_tls: bool) -> set[str]:
        """Return what the CDN is told by a docker that came over https."""
        server, cdn = self.redirecting(tls=True, cdn_tls=cdn_tls)
        server.also("/v1/_ping", X_Docker_Registry_Standalone=standalone)
        self.assert_whole(self.pull(text, server), text)
        return {one.headers.get("Authorization", "") for one in cdn.asked}

    def test_tokens_of_old_ones(self) -> None:
        """Up to 1.6 they say an empty token to the registry, and nothing to the CDN."""
        for each in VERSIONS:
            server, cdn = self.redirecting()
            self.pull(str(each), server)
            said = {one.headers.get("Authorization") for one in server.asked if "/tags" in one.target}
            self.assertEqual(said, {"Token "} if str(each) in until("1.6") else {None}, str(each))
            self.assertEqual([one for one in cdn.asked if "Authorization" in one.headers], [])

    def test_a_token_is_sent_back(self) -> None:
        """A token that came with the images is sent back."""
        for each in VERSIONS:
            server = self.serve(registry())
            server.also(IMAGES_PATH, X_Docker_Token="signature=1")
            self.pull(str(each), server)
            said = {one.headers.get("Authorization") for one in server.asked if "/ancestry" in one.target}
            self.assertEqual(said, {"Token signature=1"}, str(each))

    def test_standalone(self) -> None:
        """Over https every version says "nobody" to a registry that is standalone, or does not say."""
        for standalone in ("true", "1", ""):
            for each in VERSIONS:
                server = self.serve(registry(tls=True))
                server.also("/v1/_ping", X_Docker_Registry_Standalone=standalone)
                self.pull(str(each), server)
                said = {one.headers.get("Authorization") for one in server.asked if "/repositories/" in one.target}
                self.assertEqual(said, {NOBODY}, f"{each} {standalone}")

    def test_standalone_in_the_body(self) -> None:
        """From 0.11 on the body of ``_ping`` may say it."""
        for text, kept in (("0.11", False), ("1.9", False), ("0.10", True)):
            server = self.serve(registry(tls=True))
            server.also("/v1/_ping", X_Docker_Registry_Standalone="")
            server.say("/v1/_ping", replace(server.at["/v1/_ping"][0], body=b'{"standalone": false}'))
            self.pull(text, server)
            said = {one.headers.get("Authorization") for one in server.asked if "/repositories/" in one.target}
            self.assertEqual(NOBODY in said, kept, text)

    def test_leak(self) -> None:
        """1.7 to 1.9 say it to any CDN, 1.10 and later to one over http; not when the registry is not standalone."""
        for each in VERSIONS:
            text = str(each)
            self.assertEqual(self.leaks(text, standalone="false", cdn_tls=False), {""}, text)
            self.assertEqual(self.leaks(text, standalone="false", cdn_tls=True), {""}, text)
            to_http = {NOBODY} if text in since("1.7") else {""}
            to_https = {NOBODY} if text in ("1.7", "1.8", "1.9") else {""}
            self.assertEqual(self.leaks(text, standalone="true", cdn_tls=False), to_http, text)
            self.assertEqual(self.leaks(text, standalone="", cdn_tls=True), to_https, text)

    def test_leak_by_v2(self) -> None:
        """Where ``/v2/`` says that it is a registry, 1.5 to 1.10 take it for standalone, whatever ``_ping`` says."""
        for each in VERSIONS:
            server = self.serve(registry(tls=True))
            server.say("/v2/", Script(headers=SPEAKS_V2, body=b"{}"))
            server.say(
                f"/v2/{NAME}/manifests/{TAG}", error("MANIFEST_UNKNOWN", "manifest unknown", detail={"Tag": TAG})
            )
            self.assert_whole(self.pull(str(each), server), str(each))
            said = {one.headers.get("Authorization") for one in server.asked if "/repositories/" in one.target}
            taken = str(each) in since("1.5") and str(each) in until("1.10")
            self.assertEqual(NOBODY in said, taken, str(each))


def error(code: str, message: str, status: int = 404, **members: object) -> Script:
    """Return one of v2's errors."""
    body = to_json({"errors": [{"code": code, "message": message, **members}]})
    return Script(status, {"Content-Type": "application/json", **SPEAKS_V2}, body)


class FallbackTests(v1_client_case.ClientTests):
    """When a docker that speaks both goes back to v1."""

    def both(self, manifest: Script, ping: Script | None = None) -> Scripted:
        """Return a registry that speaks both."""
        server = self.serve(registry())
        server.say("/v2/", ping or Script(headers=SPEAKS_V2, body=b"{}"))
        server.say(f"/v2/{NAME}/manifests/{TAG}", manifest)
        return server

    def assert_back(self, manifest: Script, names: Mapping[str, bool] | Sequence[str], **options: Script) -> None:
        """Fail unless just these versions take the image over v1, and the others with v2 fail."""
        for text in since("1.5"):
            server = self.both(manifest, **options)
            if text in names:
                pulled = self.pull(text, server)
                self.assertEqual(pulled.protocol, 1)
                self.assert_whole(pulled, text)
            else:
                self.assert_fails(text, server)

    def test_detail_leads_back(self) -> None:
        """MANIFEST_UNKNOWN or UNAUTHORIZED leads all back, with a detail or words of its own."""
        self.assert_back(error("MANIFEST_UNKNOWN", "manifest unknown", detail={"Tag": TAG}), since("1.5"))
        self.assert_back(error("MANIFEST_UNKNOWN", "there is no such tag"), since("1.5"))
        self.assert_back(error("UNAUTHORIZED", "authentication required", 401, detail={}), since("1.5"))

    def test_no_detail_strands(self) -> None:
        """Without a detail, or without JSON, 1.10 and later are stranded."""
        old = [text for text in until("1.9") if text in since("1.5")]
        self.assert_back(error("MANIFEST_UNKNOWN", "manifest unknown"), old)
        self.assert_back(error("MANIFEST_UNKNOWN", "manifest unknown", detail=None), old)
        self.assert_back(error("NAME_UNKNOWN", "repository name not known to registry"), old)
        self.assert_back(Script(404, body=b"<Error><Code>NoSuchKey</Code></Error>"), old)

    def test_other_detail_stops(self) -> None:
        """Another error with a detail stops 1.8 and 1.9."""
        strange = error("NAME_UNKNOWN", "repository name not known to registry", detail={"name": NAME})
        self.assert_back(strange, ["1.5", "1.6", "1.7"])

    def test_manifests_that_are_not_taken(self) -> None:
        """An OCI manifest leads 1.5 to 1.9 back, and strands the others; so does a schema 2 of the wrong type."""
        old = [text for text in until("1.9") if text in since("1.5")]
        for kind in (OCI_MANIFEST, "application/octet-stream"):
            self.assert_back(Script(headers={"Content-Type": kind}, body=b"{}"), old)

    def test_not_confirmed(self) -> None:
        """Where ``/v2/`` has no header, every error leads back."""
        for manifest in (Script(404), Script(500), error("NAME_UNKNOWN", "no")):
            self.assert_back(manifest, since("1.5"), ping=Script(404))
            self.assert_back(manifest, since("1.5"), ping=Script(200))

    def test_unauthorized(self) -> None:
        """A ``/v2/`` that wants a password leads all back but 1.10."""
        names = [text for text in since("1.5") if text != "1.10"]
        ping = Script(401, SPEAKS_V2)
        manifest = error("UNAUTHORIZED", "authentication required", 401)
        self.assert_back(manifest, names, ping=ping)

    def test_schema_2(self) -> None:
        """1.10 and later take a schema 2 over v2, through a redirect with 307 too; with 308 they fail."""
        archive = layer_tar({"etc/motd": b"two\n"})
        config, layer = config_json("linux/amd64", [digest_of(archive)]), gzip.compress(archive, mtime=0)
        blobs = [{"digest": digest_of(data), "size": len(data)} for data in (config, layer)]
        body = to_json({"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": blobs[0], "layers": blobs[1:]})
        for text in since("1.5"):
            for status in (307, 308):
                server = self.both(Script(status, {"Location": "/there"}))
                server.say("/there", Script(headers={"Content-Type": DOCKER_MANIFEST}, body=body))
                for each, data in zip(blobs, (config, layer), strict=True):
                    server.say(f"/v2/{NAME}/blobs/{each['digest']}", Script(body=data))
                if text in until("1.9"):
                    self.assertEqual(self.pull(text, server).protocol, 1)
                elif status == 308:
                    self.assert_fails(text, server, "308")
                else:
                    pulled = self.pull(text, server)
                    self.assertEqual((pulled.protocol, pulled.tree()["etc/motd"]), (2, (0o644, b"two\n")))
