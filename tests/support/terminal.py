"""A terminal with somebody at it: what a verb writes there, and what is typed."""

import asyncio
import os
import pty
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.support.program import environment

COLOURS = re.compile("\x1b\\[[0-9;?]*[A-Za-z]")
_PATIENCE, _NOTICED = 30.0, 8.0


class Screen:
    """What was written on a terminal; `text` holds it without colours, `raw` with them."""

    def __init__(
        self, process: asyncio.subprocess.Process, heard: asyncio.StreamReader, keys: int
    ) -> None:
        self._process, self._heard, self._keys = process, heard, keys
        self.text = self.raw = ""

    async def shows(self, text: str) -> None:
        """Wait until some text was written, colours aside."""
        async with asyncio.timeout(_PATIENCE):
            while text not in self.text:
                assert await self._more(), f"{text!r} never came: {self.text}"

    async def type(self, text: str) -> None:
        """Press keys; a line feed is Enter."""
        os.write(self._keys, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    async def left(self) -> int:
        """Press Ctrl-C at a question, again where nobody noticed; give the exit code.

        Between the prompt and its read, Python notes a signal and goes on to wait for a key: only
        the next one ends that.
        """
        for _ in range(3):
            self.interrupt()
            with suppress(TimeoutError):
                return await self.ended(_NOTICED)
        return await self.ended()

    async def ended(self, patience: float = _PATIENCE) -> int:
        """Read to the end; give the exit code."""
        async with asyncio.timeout(patience):
            while await self._more():
                pass
            return await self._process.wait()

    async def _more(self) -> bool:
        try:
            written = (await self._heard.read(4096)).decode(errors="replace")
        except OSError:  # Linux: nobody holds the other end any more
            return False
        self.raw += written
        self.text = COLOURS.sub("", self.raw)
        return bool(written)


@asynccontextmanager
async def at_a_terminal(*arguments: object, **variables: str) -> AsyncIterator[Screen]:
    """Run a verb at a terminal of its own for the time of a block."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "consumer", *map(str, arguments),
        env=environment(**({"TERM": "xterm", "COLUMNS": "120"} | variables)),
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    heard = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(heard), os.fdopen(ours, "rb", buffering=0)
    )
    try:
        yield Screen(process, heard, ours)
    finally:
        transport.close()
        if process.returncode is None:
            process.kill()
        await process.wait()
