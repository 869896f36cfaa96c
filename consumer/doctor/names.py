"""The environment: whether some name in it is nobody's, and probably a setting's."""

import os
from collections.abc import Iterator

from consumer.doctor.finding import Finding
from consumer.settings import misspelt


def look() -> Iterator[Finding]:
    """Tell of each variable that is read by nobody and looks like a setting."""
    for name, meant in misspelt(os.environ).items():
        yield Finding("setting", "wrong", f"{name} has no effect", f"it is called {meant}")
