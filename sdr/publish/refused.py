"""What a command declines to do."""


class Refused(Exception):
    """What was asked for would break something, or is not as it was expected to be; the message is one line."""
