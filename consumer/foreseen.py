"""What can be expected to go wrong."""


class ForeseenError(Exception):
    """Its text is one line that names the thing and the way out; a verb ends with it, code 1."""
