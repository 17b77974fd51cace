"""Tests of what an operator and his monitoring see of an endpoint."""
