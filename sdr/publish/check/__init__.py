"""``sdr check``: reading a tree as clients do, and saying what is wrong with it."""
