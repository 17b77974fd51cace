"""The `sdr` command, also as `python -m sdr`; it says what is missing where not everything is installed."""

import gc
import sys

#: The modules that each extra brings and the endpoint does without.
EXTRAS = {
    "publish": ("click", "rich", "obstore", "boto3", "urllib3", "tenacity"),
    "swift": ("swiftclient", "keystoneauth1", "openstack", "requests"),
}


def main() -> None:
    """Run the command, and exit."""
    try:
        from sdr.cli import main as run

        run()
    except KeyboardInterrupt:
        # As `sdr.cli.output` has it, which need not be loaded yet.
        if sys.stderr is not None:
            print("sdr: error: interrupted", file=sys.stderr)
        sys.exit(130)
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        for extra, modules in EXTRAS.items():
            if module in modules:
                sys.exit(f"sdr: error: {module} is not installed here; pip install 'sdr[{extra}]' brings it")
        raise
    finally:
        # Python's end looks several times for what can be freed; with the process all of it is.
        gc.freeze()


if __name__ == "__main__":
    main()
