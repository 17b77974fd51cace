"""Tests of TLS: reading, watching and serving certificates."""
