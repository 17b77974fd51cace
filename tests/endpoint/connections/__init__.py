"""Tests of what a connection may cost, whose it is, and what is HTTP on it."""
