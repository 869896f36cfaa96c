"""What the verbs read from the environment, with errors that name the variable."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import click
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from consumer.settings import CredentialError, Declared, Settings, credential

new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
try:
    import uvloop
except ImportError:  # not built for this platform
    pass
else:
    new_loop = uvloop.new_event_loop

_T = TypeVar("_T")
_Read = TypeVar("_Read", bound=Declared)


def settings() -> Settings:
    """Read every setting.

    Raises:
        click.UsageError: as `read`.

    """
    return read(Settings)


def read(kind: type[_Read]) -> _Read:
    """Read the settings of a kind.

    Raises:
        click.UsageError: naming each variable that is missing or wrong, without its value.

    """
    try:
        return kind()
    except CredentialError as error:
        raise click.UsageError(str(error)) from None
    except ValidationError as error:
        lines = [
            f"LIFECYCLE_{str(found['loc'][0]).upper()}: {_said(found)}"
            for found in error.errors(include_input=False, include_url=False)
        ]
        raise click.UsageError("; ".join(lines)) from None


def _said(found: ErrorDetails) -> str:
    if found["type"] == "too_short":
        return f"too short: {found['ctx']['min_length']} characters or more"
    return "not set" if found["type"] == "missing" else found["msg"].removeprefix("Value error, ")


def url(option: str | None, variable: str) -> str:
    """Give a URL from an option, the environment, or a file that the environment names.

    Raises:
        click.UsageError: naming both ways to set it.

    """
    try:
        found = option or credential(variable)
    except CredentialError as error:
        raise click.UsageError(str(error)) from None
    if not found:
        flag = "--" + variable.removeprefix("LIFECYCLE_").lower().replace("_", "-")
        raise click.UsageError(f"{variable} is not set: set it, or {variable}_FILE, or give {flag}")
    return found


def run(work: Coroutine[object, object, _T]) -> _T:
    """Run a coroutine to its end, on uvloop where there is one."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work)
