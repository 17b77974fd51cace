"""Run tests with trial, and end with one line for people and machines: ``python -m tests [NAME …]``.

What trial prints stands above that line. A NAME is a package, module, class or method, as for trial.
"""

import sys
from collections.abc import Sequence

from twisted.trial.reporter import Reporter, TreeReporter
from twisted.trial.runner import TestLoader, TrialRunner


def summary(passed: int, failed: int, skipped: int) -> str:
    """Return the last line of a run."""
    return f"{passed} passed, {failed} failed, {skipped} skipped"


def main(names: Sequence[str]) -> int:
    """Run the tests of these names, or all, and return the exit code: a run without a test is no success."""
    suite = TestLoader().loadByNames(list(names) or ["tests"], recurse=True)
    result = TrialRunner(TreeReporter).run(suite)
    assert isinstance(result, Reporter)
    # A test that was expected to fail, and did, is still a promise that is not kept.
    failed = sum(
        len(kind) for kind in (result.failures, result.errors, result.expectedFailures, result.unexpectedSuccesses)
    )
    print(summary(result.successes, failed, len(result.skips)), flush=True)
    return 0 if result.wasSuccessful() and not failed and result.successes else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
