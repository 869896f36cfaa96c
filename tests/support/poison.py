"""`python -m tests.support.poison QUEUE KILLING RAISING verb ...`: a verb with two weak spots.

Handling a message of the queue that holds the one word kills the process, the other raises.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from consumer import app
from consumer.broker.consume import Consumer, Handle
from consumer.cli.main import main
from consumer.message import Inbound


class Poisoned(Consumer):
    """A consumer whose handler does what `arguments` say."""

    arguments = ("", b"", b"")

    def __init__(self, url: str, queue: str, handle: Handle, **more: Any) -> None:
        where, killing, raising = self.arguments

        async def poisoned(message: Inbound) -> None:
            if queue == where and killing in message.body:
                await asyncio.sleep(0.02)  # others are begun and in hand by then
                os.kill(os.getpid(), signal.SIGKILL)
            if queue == where and raising in message.body:
                raise RuntimeError("the first line\nthe last line")
            await handle(message)

        super().__init__(url, queue, poisoned, **more)


if __name__ == "__main__":
    name, *words = sys.argv[1:4]
    Poisoned.arguments = name, words[0].encode(), words[1].encode()
    del sys.argv[1:4]
    app.Consumer = Poisoned  # type: ignore[attr-defined]  # it is imported there
    main()
