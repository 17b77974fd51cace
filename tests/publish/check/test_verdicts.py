"""Tests of what clients make of a fault."""

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.check.findings import Checked, Fault, Finding
from sdr.publish.check.verdicts import of_digest_header, verdicts

MANIFEST, BLOB, TAGS = "v2/a/manifests/1.0", f"blobs/sha256/{'0' * 64}", "v2/a/tags/list"


class VerdictTests(SynchronousTestCase):
    """The table, as it was measured."""

    def clients(self, key: str, fault: Fault, sent: str | None = None) -> dict[str, str]:
        """Return what clients make of it: the first word."""
        return {client: verdict.split()[0].strip(":") for client, verdict in verdicts(key, fault, sent)}

    def test_types_of_manifests(self) -> None:
        """Where docker and podman fail, containerd may take nothing for an image."""
        silent = {"docker": "fails", "podman": "fails", "containerd": "pulls"}
        fails = {"docker": "fails", "podman": "fails", "containerd": "fails"}
        minds_not = {"docker": "pulls", "podman": "pulls", "containerd": "pulls"}
        for sent, expected in {
            "application/octet-stream": silent,
            "binary/octet-stream": {"docker": "fails", "containerd": "pulls"},
            "application/json": silent,
            "application/json; charset=utf-8": silent,
            "text/plain": fails,
            "": fails,
            "application/vnd.oci.image.manifest.v1+json; charset=utf-8": minds_not,
            "application/vnd.oci.image.manifest.v1+json": {},
        }.items():
            self.assertEqual(self.clients(MANIFEST, Fault.TYPE, sent), expected, sent)

    def test_other_faults(self) -> None:
        """What was not measured, or nobody reads, is left open."""
        fails = {"docker": "fails", "podman": "fails", "containerd": "fails"}
        for key, fault, sent, expected in [
            (BLOB, Fault.MISSING, None, fails),
            (BLOB, Fault.DIGEST, None, fails),
            (BLOB, Fault.LENGTH, "10", fails),
            (BLOB, Fault.LENGTH, None, {}),
            (BLOB, Fault.TYPE, "text/html", {}),
            (BLOB, Fault.ENCODING, None, {"containerd": "undoes"}),
            (BLOB, Fault.RANGE, None, {"docker": "begins", "podman": "cannot", "containerd": "reads"}),
            (MANIFEST, Fault.MISSING, None, fails),
            (MANIFEST, Fault.CACHING, None, {}),
            (MANIFEST, Fault.HEAD, "403", {"docker": "pulls", "podman": "pulls", "containerd": "fails"}),
            (MANIFEST, Fault.HEAD, "404", {}),
            (MANIFEST, Fault.LENGTH, None, {"docker": "fails", "podman": "pulls", "containerd": "pulls"}),
            (TAGS, Fault.MISSING, None, {"podman": "pulls,"}),
            (TAGS, Fault.TYPE, "text/html", {}),
        ]:
            self.assertEqual(self.clients(key, fault, sent), expected, (key, fault, sent))

    def test_wrong_digest_header(self) -> None:
        """A wrong Docker-Content-Digest matters for manifests."""
        self.assertEqual(
            [(client, verdict.split()[0]) for client, verdict in of_digest_header(MANIFEST)],
            [("docker", "fails"), ("podman", "pulls"), ("containerd", "fails")],
        )
        self.assertEqual(of_digest_header(BLOB), ())


class FindingTests(SynchronousTestCase):
    """Findings as text."""

    def test_lines(self) -> None:
        """A finding is one line, and so is the whole."""
        finding = Finding(TAGS, Fault.TYPE, "none", (("docker", "fails"), ("podman", "pulls it")))
        self.assertEqual(str(finding), f"{TAGS}: type: none (docker fails; podman pulls it)")
        self.assertEqual(str(Finding(TAGS, Fault.STALE, "old")), f"{TAGS}: stale: old")
        self.assertEqual(str(Checked(3, 1234, (finding,))), "3 objects, 1.2 kB read, 1 fault")
