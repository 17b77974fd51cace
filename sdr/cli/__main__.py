"""The `sdr` command as `python -m sdr.cli`."""

from sdr.cli import main

main()
