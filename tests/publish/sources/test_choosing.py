"""Tests of choosing an image by what a user writes."""

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.sources.choosing import whole_name


class NameTests(SynchronousTestCase):
    """Docker's names, whole."""

    def test_whole_name(self) -> None:
        """What docker lets one leave out is put in."""
        for name, whole in (
            ("app", "docker.io/library/app:latest"),
            ("app:1", "docker.io/library/app:1"),
            ("acme/app", "docker.io/acme/app:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("registry.example.com/app:1", "registry.example.com/app:1"),
        ):
            self.assertEqual(whole_name(name), whole)
            self.assertEqual(whole_name(whole), whole)
