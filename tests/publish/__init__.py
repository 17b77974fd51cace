"""Tests of sdr.publish."""
