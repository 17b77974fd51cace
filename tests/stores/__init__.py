"""Tests of sdr.stores."""
