"""What the verbs write on."""

import sys

from rich.console import Console

_WIDE = 140
"""Columns where nobody reads at a terminal: ids must not be cut there."""


def paper(*, quiet: bool = False) -> Console:
    """Give a console; `quiet` writes nothing. Colours only at a terminal, and never by NO_COLOR."""
    width = None if sys.stdout.isatty() else _WIDE
    return Console(highlight=False, soft_wrap=True, quiet=quiet, width=width)
