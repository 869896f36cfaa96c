"""The command line as people run it: a process, its output, its exit code."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from tests.support.forked import Forked
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
        forked = Forked([*map(str, arguments)], environment(**chosen))
        out, err = await forked.said()
        return Ran(forked.process.pid or 0, forked.process.exitcode or 0, out, err)

    return run
