"""Tests of sdr.cdn."""
