"""Tests of sdr.tree."""
