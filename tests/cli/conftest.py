"""The command line as people run it: a process, its output, its exit code."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from tests.support.program import environment


@dataclass(frozen=True)
class Ran:
    """What a verb came to."""

    pid: int
    code: int
    out: str
    err: str


Cli = Callable[..., Awaitable[Ran]]


@pytest.fixture
def cli(amqp_url: str, database_url: str) -> Cli:
    """Run a verb against this test's servers; keywords are more variables, None unsets one."""

    async def run(*arguments: object, **variables: str | None) -> Ran:
        urls = {"LIFECYCLE_AMQP_URL": amqp_url, "LIFECYCLE_DATABASE_URL": database_url}
        chosen = {key: value for key, value in (urls | variables).items() if value is not None}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "consumer",
            *map(str, arguments),
            env=environment(**chosen),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        return Ran(process.pid, process.returncode or 0, out.decode(), err.decode())

    return run
