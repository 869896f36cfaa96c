"""What every executor promises, whoever it is."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from consumer.executor.port import Done, Executor, Failed
from consumer.executor.simulated import SimulatedExecutor
from tests.executor.fences import fleet
from tests.executor.orders import order

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client


@pytest.fixture(params=["simulated", "ec2"])
def executor(request: pytest.FixtureRequest, aws: "EC2Client") -> Executor:
    """Make each executor, none of which fails by itself."""
    assert aws.meta.region_name == "us-east-1"
    if request.param == "simulated":
        return SimulatedExecutor(delay=0.01, failures=0)
    return fleet()


async def test_a_stop_and_a_start_are_carried_out(executor: Executor, instance_id: str) -> None:
    """What is asked is done, and told in words."""
    for action in ("stop", "start"):
        result = await executor.carry_out(order(action, instance_id))
        assert isinstance(result, Done)
        assert result.detail


async def test_twice_is_the_same_as_once(executor: Executor, instance_id: str) -> None:
    """A second delivery of an order is done as well: nothing fails because it is so already."""
    for action in ("stop", "stop", "start", "start"):
        assert isinstance(await executor.carry_out(order(action, instance_id)), Done)


async def test_two_at_once_are_both_done(executor: Executor, instance_id: str) -> None:
    """Two deliveries in hand at the same time do not disturb each other."""
    one = order("stop", instance_id)
    results = await asyncio.gather(executor.carry_out(one), executor.carry_out(one))
    assert all(isinstance(result, Done) for result in results)


@pytest.mark.parametrize("runtime", ["external", None])
async def test_a_workspace_without_a_machine_is_done(
    executor: Executor, runtime: str | None
) -> None:
    """Where there is no machine there is nothing to fail."""
    for action in ("stop", "start"):
        assert isinstance(await executor.carry_out(order(action, runtime=runtime)), Done)


async def test_the_loop_runs_on_meanwhile(executor: Executor, instance_id: str) -> None:
    """Others work while an order is carried out."""
    carried = asyncio.ensure_future(executor.carry_out(order("stop", instance_id)))
    turns = 0
    while not carried.done():
        await asyncio.sleep(0)
        turns += 1
    assert isinstance(carried.result(), Done)
    assert turns > 2


@pytest.mark.parametrize(("share", "kind"), [(0.0, Done), (1.0, Failed)])
async def test_simulated_fails_all_or_none_at_the_ends(
    share: float, kind: type[Done] | type[Failed]
) -> None:
    """A share of 0 fails nobody and a share of 1 everybody."""
    executor = SimulatedExecutor(delay=0, failures=share)
    for _ in range(50):
        assert type(await executor.carry_out(order())) is kind


async def test_simulated_fails_the_share_it_was_given_and_the_same_ones_again() -> None:
    """About a share of all workspaces fails, and each of them fails or not every time."""
    orders = [order() for _ in range(1000)]

    async def run() -> list[bool]:
        executor = SimulatedExecutor(delay=0, failures=0.3)
        results = await asyncio.gather(*(executor.carry_out(one) for one in orders))
        return [isinstance(result, Failed) for result in results]

    first = await run()
    assert await run() == first
    assert 200 < sum(first) < 400


async def test_simulated_takes_the_delay_it_was_given() -> None:
    """An answer does not come before the delay."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await SimulatedExecutor(delay=0.05, failures=0).carry_out(order())
    assert loop.time() - began >= 0.049
