"""Who is measured: how each is started, and what it guarantees."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from tests.bench.contenders.shape import READY

Guarantee = Literal["inbox", "outbox", "confirms", "order", "audit"]
GUARANTEES: Mapping[Guarantee, str] = {
    "inbox": "a command that comes twice takes effect once, and gets the same answer",
    "outbox": "what was committed is published, and nothing else is, however the process dies",
    "confirms": "it waits for the broker to confirm each message",
    "order": "commands for one workspace leave in the order in which they took effect",
    "audit": "who, why and what became of it can be looked up, and is archived",
}
_ROOT = Path(__file__).parents[2]
_PROGRAM_SETTINGS = {
    "LIFECYCLE_EXECUTOR": "none",
    "LIFECYCLE_REPLY_TO_ALLOW": "bench.*",
}


@dataclass(frozen=True, slots=True)
class Contender:
    """One way of doing the work.

    Attributes:
        arguments: what Python is started with; ready: what it says when it consumes.
        speaks: how its commands are written.
        folder: where it is started; Python finds its modules there.

    """

    name: str
    about: str
    arguments: tuple[str, ...]
    guarantees: frozenset[Guarantee]
    ready: str = READY
    speaks: Literal["plain", "celery"] = "plain"
    variables: Mapping[str, str] = field(default_factory=dict)
    folder: Path = _ROOT

    def environment(self, amqp_url: str, database_url: str) -> dict[str, str]:
        """Give what it is told of its servers."""
        urls = {f"{who}_AMQP_URL": amqp_url for who in ("BENCH", "LIFECYCLE")}
        urls |= {f"{who}_DATABASE_URL": database_url for who in ("BENCH", "LIFECYCLE")}
        return {**urls, **self.variables}

    def told(self, *arguments: str) -> "Contender":
        """Give it with more arguments."""
        return replace(self, arguments=(*self.arguments, *arguments))


def _module(name: str, *arguments: str) -> tuple[str, ...]:
    return ("-m", f"tests.bench.contenders.{name}", *arguments)


_FASTSTREAM = ("-m", "faststream", "run", "tests.bench.contenders.on_faststream:app")
_CELERY = ("-m", "celery", "-A", "tests.bench.contenders.on_celery", "worker")
_PROGRAM = ("-m", "consumer", "run", "--roles=commands,relay,settlement")

_ALL = (
    Contender(
        "raw", "frames in bulk on a socket, one UPDATE: the limit",
        _module("raw"), frozenset({"confirms", "order"}),
    ),
    Contender(
        "ours", "this program, everything on",
        _PROGRAM, frozenset(GUARANTEES), "program.started", variables=_PROGRAM_SETTINGS,
    ),
    Contender(
        "aiopika", "aio-pika, each publish awaited",
        _module("on_aiopika", "commands"), frozenset({"confirms"}),
    ),
    Contender(
        "aiopika+", "aio-pika, the publishes of a tree gathered",
        _module("on_aiopika", "commands"), frozenset({"confirms"}),
        variables={"BENCH_GATHERED": "1"},
    ),
    Contender(
        "faststream", "FastStream, each publish awaited", _FASTSTREAM, frozenset({"confirms"}),
    ),
    Contender(
        "faststream+", "FastStream, the publishes of a tree gathered",
        _FASTSTREAM, frozenset({"confirms"}), variables={"BENCH_GATHERED": "1"},
    ),
    Contender(
        "celery", "Celery, a task a stop, quorum queues",
        (*_CELERY, "--concurrency=1", "--queues=lifecycle.commands", "--loglevel=info"),
        frozenset({"confirms"}), speaks="celery",
    ),
    Contender(
        "rowwise", "the old handler: row by row, each awaited",
        _module("rowwise"), frozenset({"confirms", "order"}),
    ),
)  # fmt: skip
_BEFORE = os.environ.get("BENCH_BEFORE")
_OURS = next(one for one in _ALL if one.name == "ours")
OURS = [_OURS] + (
    [replace(_OURS, name="ours before", about="another checkout of it", folder=Path(_BEFORE))]
    if _BEFORE
    else []
)
"""The program; and beside it the checkout that BENCH_BEFORE names, to see what a change came to."""
ROSTER: Mapping[str, Contender] = {one.name: one for one in (*_ALL, *OURS[1:])}
READER = Contender(
    "aio-pika alone", "aio-pika, reading and acknowledging", _module("on_aiopika"), frozenset()
)
