"""Tests of the fast way."""
