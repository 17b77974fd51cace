"""Tests of sdr.publish.sources.opening."""
