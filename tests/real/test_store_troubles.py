"""What ``sdr publish`` says, and leaves behind, when a store does not do what it should."""

import contextlib
import subprocess
import sys
import threading
import time

from twisted.trial.unittest import SynchronousTestCase

from sdr.stores.opening import open_store
from tests import images
from tests.publish.trees import broken_references, snapshot_of
from tests.real.programs import environment, folder, free_port
from tests.real.swift import Swift, swift


def layout(size: int = 1000) -> str:
    """Write an image with one layer of so many bytes, and return its SOURCE."""
    made = images.Layout()
    made.tag(made.image({"a": b"a" * size}, compression=""))
    return f"oci:{made.write(folder() / 'layout')}"


class TroubleTests(SynchronousTestCase):
    """Swift, by its own API and by S3's: credentials, permissions, and a server that goes away."""

    def failed(self, store: str, variables: dict[str, str], *, source: str | None = None) -> str:
        """Require that a publish fails with one line, and return it."""
        command = [sys.executable, "-m", "sdr", "publish", "-q", "--store", store, source or layout(), "acme/app:1"]
        # Nothing of this machine's own.
        env = {name: value for name, value in environment().items() if not name.startswith(("AWS_", "ST_", "OS_"))}
        done = subprocess.run(command, env={**env, **variables}, capture_output=True, text=True, timeout=300)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertRegex(done.stderr, r"\Asdr: error: [^\n]+\n\Z")
        self.assertNotIn("Traceback", done.stderr)
        self.assertIn(store, done.stderr)
        return done.stderr

    def test_wrong_credentials(self) -> None:
        """Credentials that are wrong are told to be."""
        server = swift()
        server.make_container("troubles")
        self.assertIn("credentials", self.failed("swift://troubles", {**server.environment, "ST_KEY": "wrong"}))
        variables = {**server.s3_environment, "AWS_SECRET_ACCESS_KEY": "wrong"}
        self.assertIn("credentials", self.failed("s3://troubles", variables))

    def test_no_such_place(self) -> None:
        """A container, or bucket, that is not there is told to be missing, and not made."""
        server = swift()
        self.assertIn("no such container", self.failed("swift://nowhere", server.environment))
        self.assertIn("no such bucket", self.failed("s3://nowhere", server.s3_environment))

    def test_no_permission(self) -> None:
        """Where one may read but not write, the key that could not be written is named."""
        server = swift()
        server.make_container("readable")
        self.assertIn("blobs/sha256/", self.failed("swift://readable", server.reader_environment))

    def test_nobody_there(self) -> None:
        """A server that is not there is told to be unreachable, in bounded time."""
        server, port = swift(), free_port()
        nowhere = f"http://127.0.0.1:{port}"
        began = time.monotonic()
        self.failed("swift://troubles", {**server.environment, "ST_AUTH": f"{nowhere}/auth/v1.0"})
        self.failed("s3://troubles", {**server.s3_environment, "AWS_ENDPOINT_URL": nowhere})
        self.assertLess(time.monotonic() - began, 240)

    def test_gone_in_the_middle(self) -> None:
        """A server that goes away for good in the middle leaves all whole, and the same command does the rest."""
        with Swift() as server:
            server.make_container("images")
            first, second = layout(), layout(64_000_000)
            environ = {**environment(), **server.environment}
            command = [sys.executable, "-m", "sdr", "publish", "-q", "--store", "swift://images"]
            subprocess.run([*command, first, "acme/app:0"], env=environ, check=True, capture_output=True)
            killed = threading.Event()

            def kill() -> None:
                time.sleep(1)
                server.kill()
                killed.set()

            # Whenever exactly it comes: what is promised holds at any moment.
            killing = threading.Thread(target=kill)
            killing.start()
            published = subprocess.run([*command, second, "acme/app:1"], env=environ, capture_output=True, text=True)
            killing.join()
            if published.returncode:
                self.assertEqual(published.returncode, 1)
                self.assertRegex(published.stderr, r"\Asdr: error: swift://images[^\n]+\n\Z")
            server.start()
            store = open_store("swift://images", server.environment)
            self.assertEqual(broken_references(snapshot_of(store)), [])
            subprocess.run([*command, second, "acme/app:1"], env=environ, check=True, capture_output=True)
            self.assertEqual(broken_references(snapshot_of(store)), [])
            with contextlib.closing(store.open("v2/acme/app/manifests/1")) as manifest:
                self.assertTrue(manifest.read())
