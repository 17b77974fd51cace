"""A wrong option of the endpoint is answered as a person would: in one line, and at once."""

import socket

from twisted.trial.unittest import SynchronousTestCase

from tests.real.programs import folder, free_port, run
from tests.real.servers import twistd


class WrongOptionTests(SynchronousTestCase):
    """``twistd -n sdr`` with something that cannot be."""

    def assert_refused(self, *options: str, names: str, port: int | None = None) -> None:
        """Fail unless the endpoint ends with one line on stderr.

        :param names: what that line must name.
        :param port: where to listen, unless the options say so.
        """
        listen = [] if port is None else [f"--listen=tcp:{port}:interface=127.0.0.1"]
        done = run([*twistd(), "-n", "--pidfile=", "sdr", *listen, *options], ok=False, seconds=20, cwd=folder())
        self.assertEqual(len(done.stderr.splitlines()), 1, f"{done.stdout}\n{done.stderr}")
        self.assertIn(names, done.stderr)
        for unwanted in ("Traceback", "Usage:", "Options:"):
            self.assertNotIn(unwanted, done.stdout + done.stderr)

    def test_cdn_is_required(self) -> None:
        """Without ``--cdn`` the line says that it is needed."""
        self.assert_refused(names="--cdn")

    def test_option_that_does_not_exist(self) -> None:
        """An option that there is not is named."""
        self.assert_refused("--cdm=http://cdn.invalid", names="cdm")

    def test_url_without_a_scheme(self) -> None:
        """A host without a scheme is not taken for a URL, nor for a directory without saying so."""
        self.assert_refused("--cdn=cdn.example.invalid/tree", names="cdn.example.invalid/tree")

    def test_url_with_another_scheme(self) -> None:
        """Redirects lead to http and https only."""
        self.assert_refused("--cdn=ftp://cdn.invalid/tree", names="ftp://cdn.invalid/tree")

    def test_url_with_a_query(self) -> None:
        """A CDN's base has no query."""
        self.assert_refused("--cdn=https://cdn.invalid/tree?token=1", names="query")

    def test_url_with_a_fragment(self) -> None:
        """A CDN's base has no fragment."""
        self.assert_refused("--cdn=https://cdn.invalid/tree#top", names="fragment")

    def test_url_with_a_port_that_is_none(self) -> None:
        """A port is a number."""
        self.assert_refused("--cdn=https://cdn.invalid:port/", names="https://cdn.invalid:port/")

    def test_store_with_a_query(self) -> None:
        """What is wrong with the store's URL is said of ``--store``."""
        self.assert_refused("--cdn=https://cdn.invalid", "--store=https://store.invalid?x=1", names="--store")

    def test_cdn_is_the_endpoint(self) -> None:
        """A CDN that is the endpoint's own address would be a loop."""
        port = free_port()
        self.assert_refused(f"--cdn=http://127.0.0.1:{port}", names=f"127.0.0.1:{port}", port=port)

    def test_cdn_is_the_public_url(self) -> None:
        """A CDN that is the endpoint's public address would be a loop."""
        self.assert_refused(
            "--cdn=https://registry.invalid", "--public-url=https://registry.invalid", names="registry.invalid"
        )

    def test_port_is_busy(self) -> None:
        """A port on which something else listens is named."""
        with socket.create_server(("127.0.0.1", 0)) as busy:
            port = busy.getsockname()[1]
            self.assert_refused(f"--cdn={folder()}", names=str(port), port=port)

    def test_endpoint_type_is_unknown(self) -> None:
        """A type of listening endpoint that Twisted does not know is named."""
        self.assert_refused(f"--cdn={folder()}", "--listen=carrier-pigeon:5000", names="carrier-pigeon")

    def test_endpoint_is_not_well_formed(self) -> None:
        """A listening endpoint without its port is refused."""
        self.assert_refused(f"--cdn={folder()}", "--listen=tcp:", names="--listen")

    def test_certificate_is_not_there(self) -> None:
        """A listening endpoint whose certificate cannot be read is refused."""
        missing = folder() / "missing.pem"
        self.assert_refused(f"--cdn={folder()}", f"--listen=ssl:0:privateKey={missing}", names=str(missing))

    def test_cdn_directory_is_not_there(self) -> None:
        """A directory that is not there is named."""
        missing = folder() / "missing"
        self.assert_refused(f"--cdn={missing}", names=str(missing))

    def test_store_directory_is_not_there(self) -> None:
        """A store's directory that is not there is named."""
        missing = folder() / "missing"
        self.assert_refused("--cdn=https://cdn.invalid", f"--store={missing}", names=str(missing))

    def test_cdn_is_a_file(self) -> None:
        """A file is no directory."""
        file = folder() / "file"
        file.write_text("")
        self.assert_refused(f"--cdn={file}", names=str(file))

    def test_poll_is_no_number(self) -> None:
        """A time is a number of seconds."""
        self.assert_refused(f"--cdn={folder()}", "--poll=often", names="--poll")

    def test_poll_is_not_positive(self) -> None:
        """There is some time between two polls."""
        self.assert_refused(f"--cdn={folder()}", "--poll=0", names="--poll")

    def test_manifests_is_no_choice(self) -> None:
        """``--manifests`` takes the words that its help names."""
        self.assert_refused(f"--cdn={folder()}", "--manifests=sideways", names="sideways")

    def test_argument_too_many(self) -> None:
        """A word that belongs to no option is refused."""
        self.assert_refused(f"--cdn={folder()}", "surplus", names="arguments")
