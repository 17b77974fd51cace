"""Connections on the open internet: what each may cost, whose it is, and what is HTTP on it."""
