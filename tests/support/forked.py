"""Verbs as processes of their own whose imports were made before, once for all of them.

They are forked from multiprocessing's fork server, which has no threads; what differs from
`python -m consumer` is half a second, most of what a verb takes.
"""

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

from consumer.cli.main import VERBS, main

PATIENCE = 60.0
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    ["__main__", __name__, *{place.partition(":")[0] for place in VERBS.values()}]
)


class Heard:
    """What a process says on one stream.

    Attributes:
        word: set when it has said something.
        all: ends with the stream.

    """

    def __init__(self, stream: int) -> None:
        self.word = asyncio.Event()
        self.all = asyncio.create_task(self._read(stream))

    async def _read(self, stream: int) -> str:
        reader, said = asyncio.StreamReader(), bytearray()
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(stream, "rb")
        )
        try:
            while data := await reader.read(65536):
                said += data
                self.word.set()
        finally:
            pipe.close()
        return said.decode()


class Forked:
    """A verb on its way.

    Attributes:
        process: it, with its `pid` and, in the end, its `exitcode`.
        out, err: what it says.

    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        (out, its_out), (err, its_err) = os.pipe(), os.pipe()
        self.process = begun(arguments, environment, its_out, its_err, Path.cwd())
        for its in (its_out, its_err):
            os.close(its)
        self.out, self.err = Heard(out), Heard(err)

    async def said(self) -> tuple[str, str]:
        """Read standard output and standard error to their end, and wait for it."""
        try:
            async with asyncio.timeout(PATIENCE):
                out, err = await asyncio.gather(self.out.all, self.err.all)
                await asyncio.to_thread(self.process.join)
        except BaseException:
            self.process.kill()
            raise
        return out, err


def begun(
    arguments: Sequence[str], environment: Mapping[str, str], out: int, err: int, folder: Path
) -> ForkServerProcess:
    """Begin a verb in a folder, with copies of two streams as its output."""
    given = (tuple(arguments), dict(environment), DupFd(out), DupFd(err), folder)
    process = _SERVER.Process(target=_run, args=given)
    process.start()
    return process


def _run(
    arguments: Sequence[str], environment: Mapping[str, str], out: Any, err: Any, folder: Path
) -> None:
    """Be a verb: in the process that was forked for it."""
    os.chdir(folder)
    for stream, mine in ((out, 1), (err, 2)):
        given = stream.detach()
        os.dup2(given, mine)
        os.close(given)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["workspace-lifecycle", *arguments]
    main()
