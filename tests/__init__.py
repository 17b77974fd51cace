"""The tests, run with trial; one folder for each of sdr's."""

import contextlib

# `python -m tests.images` needs the standard library only.
with contextlib.suppress(ImportError):
    from hypothesis import settings

    # A loaded machine must not turn a slow example into a failure.
    settings.register_profile("sdr", deadline=None)
    settings.load_profile("sdr")
