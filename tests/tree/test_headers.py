"""Tests of the headers of the tree."""

from twisted.trial.unittest import SynchronousTestCase

from sdr.registry.grammar import Digest
from sdr.registry.media_types import OCI_INDEX
from sdr.tree import headers

DIGEST = Digest.of(b"")


class HeadersTests(SynchronousTestCase):
    """What each object is stored with."""

    def test_immutable(self) -> None:
        """What is addressed by digest is cached for ever, with its digest beside it."""
        blob = headers.blob_headers(DIGEST)
        manifest = headers.manifest_headers(OCI_INDEX, DIGEST, by_tag=False)
        self.assertEqual(blob, headers.Headers("application/octet-stream", headers.IMMUTABLE, DIGEST))
        self.assertEqual(manifest, headers.Headers(OCI_INDEX, headers.IMMUTABLE, DIGEST))

    def test_tag(self) -> None:
        """What a tag names may be a minute old."""
        tag = headers.manifest_headers(OCI_INDEX, DIGEST, by_tag=True)
        self.assertEqual(tag, headers.Headers(OCI_INDEX, "public, max-age=60", DIGEST))

    def test_polled(self) -> None:
        """What the endpoint polls is never served without a look at the store."""
        for each in (headers.REPOSITORY_HEADERS, headers.LIST_HEADERS, headers.LISTS_HEADERS, headers.GC_HEADERS):
            self.assertEqual(each.cache_control, "no-cache")

    def test_no_charset(self) -> None:
        """No type has a parameter: some clients compare it with a descriptor's."""
        for each in vars(headers).values():
            if isinstance(each, headers.Headers):
                self.assertNotIn(";", each.content_type)
