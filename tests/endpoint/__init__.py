"""Tests of sdr.endpoint."""
