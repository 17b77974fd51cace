"""The `sdr` command, also as `python -m sdr`; it says what is missing where only the endpoint is installed."""

import sys

#: What the extra brings and the endpoint does without.
_EXTRA = ("click", "rich")


def main() -> None:
    """Run the command, and exit."""
    try:
        from sdr.cli import main as run
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.exit("sdr: error: only the endpoint is installed here; the publishing side is the extra sdr[publish]")
    run()


if __name__ == "__main__":
    main()
