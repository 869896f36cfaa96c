"""What the worker needs of whoever carries stops and starts out."""

import math
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One workspace's machine is to be stopped or started by `deadline`.

    Attributes:
        ends: when that is, in seconds of this process's steady clock. The database tells: clocks of
            processes may be minutes apart, and the deadline is judged by one.
        traceparent: what its result is to carry.

    """

    action: Literal["stop", "start"]
    operation_id: UUID
    workspace_id: UUID
    name: str
    instance_id: str | None
    runtime: str | None
    generation: int
    deadline: datetime
    ends: float = math.inf
    traceparent: str | None = None

    @property
    def left(self) -> float:
        """In how many seconds its deadline passes; negative where it has."""
        return self.ends - time.monotonic()

    @property
    def expired(self) -> bool:
        """Whether nothing may be begun for it any more."""
        return self.left <= 0


class Standing(NamedTuple):
    """How an order stands in the database.

    Attributes:
        kind: the workspace's newest, overtaken by a later command, or not there as it is: nobody
            decided it so.
        ends: when its deadline passes by the database's clock, in seconds of our steady one.

    """

    kind: Literal["newest", "overtaken", "unknown"]
    ends: float


@dataclass(frozen=True, slots=True)
class Done:
    """The machine is stopped, or runs, or there is none. `detail` is for people."""

    detail: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It was not carried out, for certain. `retryable`: sending it again may help."""

    code: str
    detail: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Unasked:
    """Nobody was asked this time. Whether an earlier delivery was carried out is not known here."""

    code: str
    detail: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may or may not have been carried out. Nothing is claimed; the deadline will settle it."""

    detail: str


Result = Done | Failed | Unasked | Unknown
SUPERSEDED = Failed("superseded", "a later command has touched this workspace", retryable=False)


class Executor(Protocol):
    """Carries one order out and tells what became of it; it does not raise for what can happen.

    Nothing is begun after the order's deadline.
    """

    async def carry_out(self, order: Order) -> Result:
        """Stop or start one machine. Doing it twice is the same as once."""
