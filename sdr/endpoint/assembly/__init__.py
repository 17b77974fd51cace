"""The parts of an endpoint, joined: as one process, as a parent, and as its worker. Only tap.py begins with these."""
