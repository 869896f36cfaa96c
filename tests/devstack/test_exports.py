"""`python -m consumer.devstack`: what it prints for a shell, and how it ends."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping

import asyncpg
import pytest

from consumer.devstack.management import call
from consumer.devstack.stack import Stack


def exports(program: "subprocess.Popen[str]") -> Mapping[str, str]:
    """Read what a shell would evaluate, until the stack is said to be up."""
    assert program.stdout is not None
    lines: list[str] = []
    while not (line := program.stdout.readline()).startswith("# up"):
        assert line, "it ended"
        lines.append(line)
    shell = subprocess.run(
        ["env", "-i", "sh", "-c", "".join(lines) + "\nenv"],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split("=", 1) for line in shell.stdout.splitlines())


async def connects(url: str) -> None:
    """Connect to a database, or raise."""
    await (await asyncpg.connect(url)).close()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_printed_urls_serve_until_it_ends(stack: Stack, ending: signal.Signals) -> None:
    """A shell has a vhost and a database of its own; both go, however the program is ended."""
    given = {
        "LIFECYCLE_AMQP_URL": stack.amqp_url,
        "LIFECYCLE_MANAGEMENT_URL": stack.management_url,
        "LIFECYCLE_DATABASE_URL": stack.database_url,
        "AWS_ENDPOINT_URL": stack.aws_url,
    }
    command = [sys.executable, "-m", "consumer.devstack"]
    program = subprocess.Popen(
        command, env={**os.environ, **given}, stdout=subprocess.PIPE, text=True
    )
    said = exports(program)
    name = said["LIFECYCLE_AMQP_URL"].rpartition("/")[2]
    assert call(said["LIFECYCLE_MANAGEMENT_URL"], "GET", f"vhosts/{name}")["name"] == name
    asyncio.run(connects(said["LIFECYCLE_DATABASE_URL"]))
    assert said["AWS_ENDPOINT_URL"] == stack.aws_url
    program.send_signal(ending)
    program.communicate(timeout=100)
    assert program.returncode == 0
    assert name not in {one["name"] for one in call(stack.management_url, "GET", "vhosts")}
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        asyncio.run(connects(said["LIFECYCLE_DATABASE_URL"]))
