"""One order on its way through EC2: what is known of it, and what a look at its machine means."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from consumer.executor.ec2 import Action, Ec2Error, Seen
from consumer.executor.port import Done, Order, Result, Unasked, Unknown
from consumer.executor.refusals import fell_back, gone

FIRST_PAUSE, LONGEST_PAUSE, _GROWTH = 0.25, 15.0, 1.6
WANTED: Mapping[Action, str] = {"stop": "stopped", "start": "running"}
_ON_THE_WAY: Mapping[Action, str] = {"stop": "stopping", "start": "pending"}
_IN_THE_WAY: Mapping[Action, str] = {"stop": "pending", "start": "stopping"}
_GONE = frozenset({"shutting-down", "terminated"})
_EXPIRED = "its deadline passed before EC2 was asked"


@dataclass(slots=True, eq=False)
class Case:
    """One order in hand.

    Attributes:
        result: what its worker waits for.
        due: when to look at it again, in the loop's time; `pause` is the time before that.
        asking: a call about it is under way.
        asked: EC2 was asked, and may have done it; accepted: it said that it would.
        moved: it was seen on its way after that.
        plain: it could not hibernate, and is just stopped.
        refusals: how often EC2 said what may only be so for a while.

    """

    order: Order
    instance_id: str
    result: asyncio.Future[Result]
    due: float = 0.0
    pause: float = FIRST_PAUSE
    asking: bool = False
    asked: bool = False
    accepted: bool = False
    moved: bool = False
    plain: bool = False
    refusals: int = 0
    last: str = "not seen"
    trouble: Ec2Error | None = None

    @property
    def wanted(self) -> str:
        """The state in which its machine is to end."""
        return WANTED[self.order.action]

    def answer(self, result: Result) -> None:
        """Give its worker a result, unless it has one or has gone."""
        if not self.result.done():
            self.result.set_result(result)

    def later(self, now: float, trouble: Ec2Error | None = None) -> None:
        """Look at it again after a pause that grows, or at its deadline."""
        self.trouble = trouble
        self.due = now + max(0.0, min(self.pause, self.order.left))
        self.pause = min(self.pause * _GROWTH, LONGEST_PAUSE)

    def accept(self, now: float) -> None:
        """Note that EC2 said it would do it; look again soon."""
        self.asked = self.accepted = True
        self.pause = FIRST_PAUSE
        self.later(now)

    def judge(self, seen: Seen | None) -> Result | Literal["ask", "wait"]:
        """Tell what its machine's state means for it. None: EC2 does not list the machine (yet)."""
        self.last = seen.state if seen else "not listed"
        if seen and self.last in _GONE:
            return gone(self.instance_id, self.last)
        if self.last == self.wanted and (self.asked or self.order.expired):
            return Done(f"{self.instance_id} is {self.last}")
        if self.order.expired:
            return self.at_the_deadline()
        return self._meanwhile(seen)

    def _meanwhile(self, seen: Seen | None) -> Result | Literal["ask", "wait"]:
        if self.last == _ON_THE_WAY[self.order.action]:
            self.moved = self.moved or self.accepted
            return "wait"
        if self.last == _IN_THE_WAY[self.order.action]:
            return "wait"
        if not self.accepted:
            # Also where it is so already: what is described may lag behind an earlier command,
            # the answer to a call does not.
            return "ask"
        if seen and self.moved and self.order.action == "start":
            return fell_back(self.instance_id, self.last, seen.reason)
        return "wait"

    def at_the_deadline(self) -> Result:
        """Tell what can be claimed when there is no more time."""
        if self.asked:
            return Unknown(f"{self.instance_id} at the deadline: {self.last}")
        return self.not_asked(self.trouble)

    def not_asked(self, trouble: Ec2Error | None) -> Unasked:
        """Tell why EC2 was never asked."""
        code, why = (trouble.code, trouble.message) if trouble else ("expired", _EXPIRED)
        return Unasked(code, f"{why}: {self.instance_id} was not touched", retryable=True)
