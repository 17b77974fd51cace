"""Images as protocol v1 has them, beside those of protocol v2."""
