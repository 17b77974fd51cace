"""Tests of what a running endpoint takes on of a changed configuration."""

from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.life.changes import Changes, changes, effective

BEFORE = {"cdn": "https://cdn.example", "store": "https://store.example", "browse": 0, "poll": "30", "listen": []}


class ChangesTests(SynchronousTestCase):
    """Two readings of the options."""

    def test_nothing(self) -> None:
        """A flag that is not there is the same, however that is said."""
        self.assertEqual(changes(BEFORE, {**BEFORE, "browse": False, "tls": []}), Changes())
        self.assertIsNone(Changes().line())

    def test_both(self) -> None:
        """What can be taken on at once is; the rest is named in one line and stays as it was."""
        after = {**BEFORE, "browse": True, "poll": "60", "listen": ["tcp:1"]}
        found = changes(BEFORE, after)
        self.assertEqual(found, Changes(("browse",), ("listen", "poll")))
        self.assertEqual(found.line(), "needs a restart: listen, poll")
        self.assertEqual(effective(BEFORE, after, found), {**BEFORE, "browse": True})

    def test_told_again(self) -> None:
        """What waits for a restart is told again at the next reading."""
        after = {**BEFORE, "poll": "60"}
        now = effective(BEFORE, after, changes(BEFORE, after))
        self.assertEqual(changes(now, after).restart, ("poll",))

    def test_cdn(self) -> None:
        """Another CDN is taken on at once, unless the catalog is read from it or the endpoint serves it itself."""
        other = {"cdn": "https://other.example"}
        self.assertEqual(changes(BEFORE, {**BEFORE, **other}), Changes(("cdn",)))
        alone = {**BEFORE, "store": None}
        self.assertEqual(changes(alone, {**alone, **other}), Changes((), ("cdn",)))
        self.assertEqual(changes(BEFORE, {**BEFORE, "cdn": "/srv/tree"}), Changes((), ("cdn",)))

    def test_readiness(self) -> None:
        """Another age is taken on at once where somebody can ask for it, and else comes with the admin listener."""
        asked = {**BEFORE, "admin": ["9090"], "ready-max-age": "60"}
        self.assertEqual(changes(asked, {**asked, "ready-max-age": "90"}), Changes(("ready-max-age",)))
        self.assertEqual(changes(BEFORE, asked), Changes((), ("admin", "ready-max-age")))

    def test_old_cdn(self) -> None:
        """Another CDN of the old store is taken on at once, and one where there was none is not."""
        old = {**BEFORE, "v1-cdn": "https://old.example"}
        self.assertEqual(changes(old, {**old, "v1-cdn": "https://older.example"}), Changes(("v1-cdn",)))
        self.assertEqual(changes(BEFORE, old), Changes((), ("v1-cdn",)))
