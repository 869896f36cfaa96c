"""Whether the program can do its work now, from what its parts say."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from consumer.observe import say

_LOST = {
    "consumer.lost": "consumer",
    "publisher.lost": "publisher",
    "wake.lost": "database",
    "connection.blocked": "connection",
}
_FOUND = {
    "consumer.started": "consumer",
    "publisher.started": "publisher",
    "wake.started": "database",
    "connection.unblocked": "connection",
}


class Readiness:
    """The last service to start and the first to stop: ready is what has all others before it.

    A listener of facts besides: a part that lost its connection, or whose connection the broker
    blocks, makes the program unready until it says that it is back.
    """

    def __init__(self, stop: asyncio.Event) -> None:
        self._started = False
        self._stop = stop
        self._troubles: dict[tuple[str, str], str] = {}

    def hear(self, fact: str, fields: Mapping[str, Any]) -> None:
        """Take note of what makes unready, and of its end."""
        which = str(fields.get("queue") or fields.get("connection") or "")
        if part := _LOST.get(fact):
            self._troubles[part, which] = f"{part} {which}: {fields['why']}".replace(" :", ":")
        elif part := _FOUND.get(fact):
            self._troubles.pop((part, which), None)

    def hindrances(self) -> Sequence[str]:
        """Tell what the program is not ready for; nothing: it is."""
        if self._stop.is_set():
            return ["it is stopping"]
        if not self._started:
            return ["it is starting"]
        return [*self._troubles.values()]

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Be ready until `stop`."""
        self._started = True
        say("program.started")
        ready()
        await stop.wait()
