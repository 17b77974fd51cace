"""Tests of requests' ids, and where answers have them."""

import json
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.answer import Answer, content, error, redirect
from sdr.endpoint.request_ids import accepted, identified, request_ids
from sdr.registry.errors import INTERNAL, MANIFEST_UNKNOWN, NAME_INVALID, NAME_UNKNOWN, NOT_FOUND

ID = "0123456789abcdef"


def errors(got: Answer) -> list[dict[str, object]]:
    """Return the errors in an answer's body."""
    found: list[dict[str, object]] = json.loads(got.body)["errors"]
    return found


class RequestIdTests(SynchronousTestCase):
    """Making them."""

    def test_form(self) -> None:
        """An id is 16 hexadecimal digits, and no two are alike."""
        made = list(islice(request_ids(), 5000))
        self.assertEqual(len(set(made)), 5000)
        for each in made:
            self.assertRegex(each, r"\A[0-9a-f]{16}\Z")

    def test_few_draws(self) -> None:
        """The system is asked for many at a time, and each digit comes from it."""
        draws: list[int] = []

        def random(length: int) -> bytes:
            draws.append(length)
            return bytes(range(256)) * (length // 256)

        self.assertEqual(list(islice(request_ids(random), 600))[:2], ["0001020304050607", "08090a0b0c0d0e0f"])
        self.assertEqual(draws, [4096, 4096])


class AcceptedTests(SynchronousTestCase):
    """Those of a proxy."""

    def test_accepted(self) -> None:
        """What proxies usually send is taken as it is."""
        for value in (ID, "7b6f2f2e-2a0c-4a63-9d5c-0a7a3f1c9e11", "Root=1-67891233-abcdef012345678912345678"):
            self.assertEqual(accepted([value]), value)

    def test_refused(self) -> None:
        """None, two, an overlong one, or one with characters that do something elsewhere is as good as none."""
        for values in ([], [ID, ID], [""], ["x" * 129], ["a b"], ['a"b'], ["a\nb"], ["a\n"], ["-x"], ["ä"], ["a,b"]):
            self.assertIsNone(accepted(values), values)


class IdentifiedTests(SynchronousTestCase):
    """Answers with one."""

    def test_header(self) -> None:
        """Every answer has it as a header; the body of what is no error stays as it is."""
        for got in (content(b"{}", "application/json", "no-cache"), redirect("https://cdn.example.com/x", "no-cache")):
            self.assertEqual(identified(got, ID), Answer(got.status, (*got.headers, ("X-Request-Id", ID)), got.body))

    def test_detail(self) -> None:
        """An error without a detail gets one, and one with an object one member more."""
        self.assertEqual(errors(identified(error(NOT_FOUND), ID))[0]["detail"], {"requestId": ID})
        got = identified(error(MANIFEST_UNKNOWN, {"name": "a", "reference": "1"}), ID)
        self.assertEqual(errors(got)[0]["detail"], {"name": "a", "reference": "1", "requestId": ID})

    def test_text(self) -> None:
        """A detail that is a text is still there."""
        got = identified(error(NAME_INVALID, "A"), ID)
        self.assertEqual(errors(got)[0]["detail"], {"message": "A", "requestId": ID})

    def test_name_unknown(self) -> None:
        """NAME_UNKNOWN never has a detail: old dockers would ask over protocol v1."""
        got = identified(error(NAME_UNKNOWN), ID)
        self.assertNotIn("detail", errors(got)[0])
        self.assertEqual(got.header("X-Request-Id"), ID)
        self.assertEqual(got.body, error(NAME_UNKNOWN).body)

    def test_length(self) -> None:
        """The length is that of the body, and the other headers are as they were."""
        before = error(INTERNAL, None, ("Docker-Distribution-Api-Version", "registry/2.0"))
        got = identified(before, ID)
        self.assertEqual(got.header("Content-Length"), str(len(got.body)))
        self.assertEqual([name for name, _ in got.headers], [*(name for name, _ in before.headers), "X-Request-Id"])
        self.assertTrue(got.body.endswith(b"}]}\n"))

    def test_v1(self) -> None:
        """Errors of protocol v1 have no place for it but the header."""
        got = identified(Answer(404, (("Content-Length", "21"),), b'{"error": "not here"}'), ID)
        self.assertEqual((got.body, got.header("X-Request-Id")), (b'{"error": "not here"}', ID))

    def test_none(self) -> None:
        """Without an id nothing changes."""
        self.assertIs(identified(before := error(NOT_FOUND), ""), before)

    @given(st.sampled_from([NOT_FOUND, MANIFEST_UNKNOWN, NAME_UNKNOWN]), st.none() | st.text() | st.lists(st.text()))
    def test_any_detail(self, code: object, detail: object) -> None:
        """Whatever an error says, it is still said, and its length is right."""
        before = error(code, detail)  # type: ignore[arg-type]
        got = identified(before, ID)
        self.assertEqual(got.header("Content-Length"), str(len(got.body)))
        for name in ("code", "message"):
            self.assertEqual(errors(got)[0][name], errors(before)[0][name])
