"""Tests of the endpoint's life."""
