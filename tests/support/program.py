"""The program, beside the test in its loop, or as a process of its own."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from consumer import app
from consumer.observe import listening
from consumer.settings import Settings


@asynccontextmanager
async def running(settings: Settings, roles: Sequence[app.Role] = app.ROLES) -> AsyncIterator[None]:
    """Run the program until the block ends, and let it stop in order."""
    stop, started = asyncio.Event(), asyncio.Event()

    def notice(fact: str, _: object) -> None:
        if fact == "program.started":
            started.set()

    with listening(notice):
        program = asyncio.create_task(app.serve(settings, roles, stop))
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait([program, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        try:
            if program.done():
                program.result()
            yield
        finally:
            stop.set()
            await program


class Process:
    """`python -m consumer run` and what it logs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[Mapping[str, Any]] = []

    async def until(self, fact: str) -> Mapping[str, Any]:
        """Read log lines until one says a fact; every line has to be JSON."""
        assert self.process.stderr is not None
        try:
            while True:
                async with asyncio.timeout(30):  # wait_for may swallow a cancellation in 3.11
                    line = await self.process.stderr.readline()
                if not line:
                    break
                self.lines.append(json.loads(line))
                if self.lines[-1]["event"] == fact:
                    return self.lines[-1]
        except TimeoutError:
            told = f"the program says nothing, and not {fact}: {self.lines[-3:]}"
            raise AssertionError(told) from None
        raise AssertionError(f"the program ended without saying {fact}: {self.lines[-3:]}")

    async def lives(self) -> None:
        """See that it has not ended by itself."""
        if self.process.returncode is not None:
            assert self.process.stderr is not None
            last = (await self.process.stderr.read()).decode()[-2000:]
            raise AssertionError(f"it ended by itself, {self.process.returncode}: {last}")

    async def ended(self) -> int:
        """Wait until it has ended; give its exit code."""
        assert self.process.stderr is not None
        rest = await asyncio.wait_for(self.process.stderr.read(), 30)
        self.lines += [json.loads(line) for line in rest.splitlines()]
        return await self.process.wait()


def environment(**variables: str) -> dict[str, str]:
    """Give this process's environment with some of ours, and none that happens to be set."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("LIFECYCLE_")}
    return {**inherited, **variables}


@asynccontextmanager
async def process(
    amqp_url: str,
    database_url: str,
    *,
    roles: str = ",".join(app.ROLES),
    module: Sequence[str] = ("consumer",),
    **variables: str,
) -> AsyncIterator[Process]:
    """Run the real program as a process until the block ends; `module` may stand before it."""
    defaults = {"LIFECYCLE_EXECUTOR": "simulated", "LIFECYCLE_SIMULATED_DELAY": "0"}
    urls = {"LIFECYCLE_AMQP_URL": amqp_url, "LIFECYCLE_DATABASE_URL": database_url}
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *module,
        "run",
        f"--roles={roles}",
        env=environment(**(defaults | urls | variables)),
        stderr=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    try:
        yield Process(started)
    finally:
        if started.returncode is None:
            started.kill()
            await started.communicate()
