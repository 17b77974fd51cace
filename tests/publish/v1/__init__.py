"""Tests of sdr.publish.v1."""
