"""Tests of sdr.registry."""
