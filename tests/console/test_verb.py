"""`console` as people start it."""

import asyncio
import signal
import sys

import pytest

from tests.cli.conftest import Cli, cli
from tests.support.program import environment

__all__ = ["cli"]


@pytest.mark.parametrize(
    ("listen", "token", "says"),
    [
        ("0.0.0.0:0", None, "LIFECYCLE_CONSOLE_TOKEN"),
        ("here", None, "host:port"),
        ("127.0.0.1:0", "s3cret", "LIFECYCLE_CONSOLE_TOKEN"),
    ],
)
async def test_what_would_be_open_or_wrong_is_named(
    cli: Cli, listen: str, token: str | None, says: str
) -> None:
    """A usage error, exit code 2, and never the token itself."""
    ran = await cli("console", "--listen", listen, LIFECYCLE_CONSOLE_TOKEN=token)
    assert (ran.code, says in ran.err) == (2, True)
    assert token is None or token not in ran.err


async def test_it_says_where_it_is_and_ends_with_ctrl_c(amqp_url: str, database_url: str) -> None:
    """The URL is the first line; Ctrl-C is no error."""
    urls = {"LIFECYCLE_AMQP_URL": amqp_url, "LIFECYCLE_DATABASE_URL": database_url}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "consumer", "console", "--listen", "127.0.0.1:0",
        env=environment(**urls), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert (await process.stdout.readline()).startswith(b"http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        _, complaints = await process.communicate()
    assert (process.returncode, complaints) == (0, b"")
