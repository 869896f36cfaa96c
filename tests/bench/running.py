"""Processes that are measured: started, heard, looked at, and ended."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil

from tests.support.program import environment

_LOOK, _PATIENCE = 0.005, 60.0
_ROOT = Path(__file__).parents[2]


class Running:
    """A process, with all that it says in a file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, began: float) -> None:
        self.process, self.log, self.began = process, log, began

    async def until(self, said: str) -> float:
        """Wait until it has said something; give the seconds since it was started.

        Raises:
            RuntimeError: it ended, or said nothing of the kind for a minute.

        """
        while said not in (told := self.log.read_text(errors="replace")):
            late = time.perf_counter() - self.began > _PATIENCE
            if late or self.process.returncode is not None:
                raise RuntimeError(f"it did not say {said!r}: {told[-2000:]}")
            await asyncio.sleep(_LOOK)
        return time.perf_counter() - self.began

    def peak(self) -> int:
        """Give the most memory that it had since `forget_peak`, in bytes; 0 once it has ended."""
        with suppress(OSError, ProcessLookupError):
            for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return 0

    def forget_peak(self) -> None:
        """Begin anew with `peak`."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def cpu(self) -> float:
        """Give the seconds of CPU that it and its children have used."""
        mine = psutil.Process(self.process.pid)
        times = [one.cpu_times() for one in (mine, *mine.children(recursive=True))]
        return sum(one.user + one.system for one in times)

    async def ended(self) -> tuple[float, int]:
        """Wait until it has ended by itself; give the seconds since its start and its peak."""
        peak, waiting = 0, asyncio.ensure_future(self.process.wait())
        while not waiting.done():
            peak = max(peak, self.peak())
            await asyncio.wait([waiting], timeout=_LOOK)
        seconds = time.perf_counter() - self.began
        assert waiting.result() == 0, self.log.read_text()[-2000:]
        return seconds, peak

    async def end(self) -> None:
        """Have it end in order, or end it."""
        if self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), _PATIENCE)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


@asynccontextmanager
async def started(
    arguments: Sequence[str], log: Path, variables: Mapping[str, str], folder: Path = _ROOT
) -> AsyncIterator[Running]:
    """Run Python in a folder with these arguments until the block ends."""
    with log.open("wb") as file:
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *arguments),
            env=environment(**variables),
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    running = Running(process, log, began)
    try:
        yield running
    finally:
        await running.end()
