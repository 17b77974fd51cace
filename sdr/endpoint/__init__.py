"""The endpoint: pure answers, and the Twisted Web tree that asks for them."""
