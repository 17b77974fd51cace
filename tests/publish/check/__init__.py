"""Tests of sdr.publish.check."""
