"""Tests of what must not get into a log."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.scrubbing import is_secret, scrubbed, trimmed

SECRET = "hunter2hunter2"


class ScrubbingTests(SynchronousTestCase):
    """Texts."""

    def test_credentials(self) -> None:
        """Credentials are hidden in every shape in which libraries print them."""
        for text in (
            f"cannot reach https://user:{SECRET}@store.example.com/tree: refused",
            f"GET https://s3.example.com/b/k?X-Amz-Credential=AK&X-Amz-Signature={SECRET} failed",
            f"asked for /v2/a/tags/list?token={SECRET} in vain",
            f"Authorization: Basic {SECRET}",
            f"Authorization: Bearer {SECRET}.{SECRET}",
            f"{{'Authorization': 'Basic {SECRET}'}}",
            f"Headers({{b'authorization': [b'Bearer {SECRET}']}})",
            f"{{'X-Auth-Token': '{SECRET}'}}",
            f"x-auth-token: {SECRET}",
            f"Cookie: session={SECRET}",
            f"password={SECRET}",
            f'{{"secret_access_key": "{SECRET}"}}',
        ):
            self.assertNotIn(SECRET, scrubbed(text))

    def test_the_rest_stays(self) -> None:
        """What is no secret is left as it is."""
        for text in (
            "polling https://store.example.com/tree fails: HTTP status 503; keeping what was known before",
            "is it there? yes",
            "the catalog is loaded; repositories: 12",
            "listening on [::]:5000; CDN https://cdn.example.com/tree",
            "File \"/usr/lib/python3.11/x.py\", line 3, in f\n    raise ValueError('no?')",
        ):
            self.assertEqual(scrubbed(text), text)

    def test_what_is_left(self) -> None:
        """The URL is still told, up to its question mark."""
        self.assertEqual(scrubbed("GET https://u:p@a.example/x?y=z failed"), "GET https://***@a.example/x? failed")

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Nothing makes it fail, and doing it again changes nothing that matters."""
        scrubbed(text)

    def test_fields(self) -> None:
        """Names of secrets are recognised, and others are not taken for one."""
        for name in ("password", "X-Auth-Token", "secret_key", "Authorization", "cookie", "api_key"):
            self.assertTrue(is_secret(name), name)
        for name in ("path", "tag", "key", "repositories", "greeting", "author"):
            self.assertFalse(is_secret(name), name)


class TrimmingTests(SynchronousTestCase):
    """Targets of requests."""

    def test_trimmed(self) -> None:
        """A query is not logged, only that there was one; nor is the user of an absolute target."""
        self.assertEqual(trimmed("/v2/a/tags/list?n=1&token=x"), "/v2/a/tags/list?")
        self.assertEqual(trimmed("/v2/a/tags/list"), "/v2/a/tags/list")
        self.assertEqual(trimmed("https://u:p@a.example/x?y"), "https://***@a.example/x?")
        self.assertEqual(trimmed(""), "")
