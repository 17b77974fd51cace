"""Tests of :mod:`sdr.cli`."""
