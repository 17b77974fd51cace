"""Tests of sdr.catalog."""
