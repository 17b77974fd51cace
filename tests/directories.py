"""Directories for tests."""

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase


def new_directory(test: SynchronousTestCase, *, make: bool = False) -> Path:
    """Return a directory that goes with the test.

    :param make: make it; else it does not exist yet.
    """
    holder = tempfile.TemporaryDirectory()
    test.addCleanup(holder.cleanup)
    path = Path(holder.name) / "directory"
    if make:
        path.mkdir()
    return path
