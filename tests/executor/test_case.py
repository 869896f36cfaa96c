"""Case: what a look at a machine means for its order, row by row, without EC2."""

import asyncio
from collections.abc import Mapping
from typing import Literal

import pytest

from consumer.executor.case import Case
from consumer.executor.ec2 import BusyError, Seen
from consumer.executor.port import Done, Failed, Unasked, Unknown
from tests.executor.orders import order

Action = Literal["stop", "start"]
ID = "i-1"


async def case(
    action: Action = "stop", known: Mapping[str, bool] | None = None, *, seconds: float = 60
) -> Case:
    """Make a case of which something is known."""
    result: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    return Case(order(action, ID, seconds=seconds), ID, result, **(known or {}))  # type: ignore[arg-type]  # as the test has them


NOTHING: dict[str, bool] = {}
LOST, ACCEPTED = {"asked": True}, {"asked": True, "accepted": True}
MOVED = {**ACCEPTED, "moved": True}


@pytest.mark.parametrize(
    ("action", "known", "state", "verdict"),
    [
        ("stop", NOTHING, "running", "ask"),
        ("stop", NOTHING, "stopped", "ask"),
        ("stop", NOTHING, "stopping", "wait"),
        ("stop", NOTHING, "pending", "wait"),
        ("stop", NOTHING, None, "ask"),
        ("stop", LOST, "running", "ask"),
        ("stop", LOST, "stopped", Done(f"{ID} is stopped")),
        ("stop", ACCEPTED, "running", "wait"),
        ("stop", ACCEPTED, None, "wait"),
        ("stop", ACCEPTED, "stopped", Done(f"{ID} is stopped")),
        ("start", NOTHING, "stopped", "ask"),
        ("start", NOTHING, "running", "ask"),
        ("start", NOTHING, "stopping", "wait"),
        ("start", NOTHING, "pending", "wait"),
        ("start", ACCEPTED, "stopped", "wait"),
        ("start", ACCEPTED, "pending", "wait"),
        ("start", MOVED, "running", Done(f"{ID} is running")),
        ("start", MOVED, None, "wait"),
    ],
)
async def test_what_a_look_means(
    action: Action, known: dict[str, bool], state: str | None, verdict: object
) -> None:
    """Nothing is done before EC2 took the order, and nothing is asked twice that it took."""
    seen = None if state is None else Seen(state)
    assert (await case(action, known)).judge(seen) == verdict


@pytest.mark.parametrize("action", ["stop", "start"])
@pytest.mark.parametrize("known", [NOTHING, LOST, ACCEPTED])
@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
async def test_what_is_gone_has_failed_for_good(
    action: Action, known: dict[str, bool], state: str
) -> None:
    """Whatever was asked before, a terminated machine never comes back."""
    verdict = (await case(action, known)).judge(Seen(state))
    assert isinstance(verdict, Failed)
    assert (verdict.code, verdict.retryable) == ("InstanceGone", False)


async def test_a_start_that_began_and_fell_back_has_failed() -> None:
    """EC2's reason is the code: the machine went down by itself, and is not started for ever."""
    begun = await case("start", ACCEPTED)
    assert begun.judge(Seen("pending")) == "wait"
    verdict = begun.judge(Seen("stopped", "Server.InternalError"))
    assert isinstance(verdict, Failed)
    assert (verdict.code, verdict.retryable) == ("Server.InternalError", True)


@pytest.mark.parametrize(
    ("known", "state", "verdict"),
    [
        (NOTHING, "stopped", Done(f"{ID} is stopped")),
        (LOST, "running", Unknown(f"{ID} at the deadline: running")),
        (ACCEPTED, "stopping", Unknown(f"{ID} at the deadline: stopping")),
        (ACCEPTED, None, Unknown(f"{ID} at the deadline: not listed")),
    ],
)
async def test_at_the_deadline_what_is_seen_is_told_and_nothing_else_claimed(
    known: dict[str, bool], state: str | None, verdict: object
) -> None:
    """Where the outcome is unknown, say unknown."""
    late = await case(known=known, seconds=-1)
    assert late.judge(None if state is None else Seen(state)) == verdict


async def test_at_the_deadline_the_last_trouble_says_why_nobody_was_asked() -> None:
    """An order that was throttled to the end is told so, and that nothing was touched."""
    late = await case(seconds=-1)
    late.trouble = BusyError("RequestLimitExceeded", "slow down")
    verdict = late.judge(Seen("running"))
    assert verdict == Unasked(
        "RequestLimitExceeded", f"slow down: {ID} was not touched", retryable=True
    )


async def test_pauses_grow_and_start_again_when_ec2_took_the_order() -> None:
    """A machine that takes long is looked at less and less, never later than its deadline."""
    one = await case(seconds=1000)
    dues = []
    for _ in range(20):
        one.later(100.0)
        dues.append(one.due - 100.0)
    assert dues == sorted(dues)
    assert (dues[0], dues[-1]) == (0.25, 15.0)
    one.accept(100.0)
    assert one.due - 100.0 == dues[0]
    late = await case(seconds=-1)
    late.later(100.0)
    assert late.due == 100.0
