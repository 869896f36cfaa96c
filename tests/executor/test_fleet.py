"""FleetExecutor: many orders, few calls, and each order's own outcome."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from consumer.executor.ec2 import Action, Ec2, RefusedError, Seen
from consumer.executor.fleet import FleetExecutor
from consumer.executor.port import Done, Failed, Order, Result
from tests.executor.conftest import launch, state
from tests.executor.fences import OpenFence, fleet
from tests.executor.orders import order
from tests.support.front import Front, until

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client


class Scripted(Ec2):
    """An EC2 of a few words: it keeps what it was asked, and refuses what it was told to."""

    def __init__(self, *, states: Mapping[str, Seen] | None = None) -> None:
        super().__init__()
        self.states = dict(states or {})
        self.refusals: dict[str, RefusedError] = {}
        self.asked: list[tuple[str, tuple[str, ...], bool]] = []
        self.looked: list[int] = []

    async def look(self, instance_ids: Sequence[str]) -> Mapping[str, Seen]:
        """Tell what is known; a machine nobody mentioned runs."""
        self.looked.append(len(instance_ids))
        return {one: self.states.get(one, Seen("running")) for one in instance_ids}

    async def ask(
        self, action: Action, instance_ids: Sequence[str], *, hibernate: bool = False
    ) -> Mapping[str, str]:
        """Refuse the whole call for one bad machine, or do it at once."""
        self.asked.append((action, tuple(instance_ids), hibernate))
        for one in instance_ids:
            if one in self.refusals and (hibernate or self.refusals[one].code != "NoHibernation"):
                raise self.refusals[one]
        before = {one: self.states.get(one, Seen("running")).state for one in instance_ids}
        after = Seen("stopped" if action == "stop" else "running")
        self.states |= dict.fromkeys(instance_ids, after)
        return before


def ids(count: int) -> list[str]:
    """Make instance ids."""
    return [f"i-{number:017x}" for number in range(count)]


async def carry_out(executor: FleetExecutor, orders: Sequence[Order]) -> list[Result]:
    """Carry all out at once."""
    return list(await asyncio.gather(*(executor.carry_out(one) for one in orders)))


async def test_fifty_machines_are_stopped_by_one_call(aws: "EC2Client", front: Front) -> None:
    """120 orders that come together take three calls, and a handful of looks."""
    image = aws.describe_images(MaxResults=5)["Images"][0]["ImageId"]
    launched = aws.run_instances(ImageId=image, MinCount=120, MaxCount=120)["Instances"]
    machines = [one["InstanceId"] for one in launched]
    results = await carry_out(fleet(), [order("stop", one) for one in machines])
    assert results == [Done(f"{one} is stopped") for one in machines]
    assert front.asked.count("StopInstances") == 3
    assert front.asked.count("DescribeInstances") < 12


async def test_a_look_takes_two_hundred_and_a_call_fifty() -> None:
    """Neither is asked for more than EC2 takes well."""
    ec2 = Scripted()
    results = await carry_out(
        FleetExecutor(ec2, OpenFence()), [order("stop", one) for one in ids(501)]
    )
    assert all(isinstance(result, Done) for result in results)
    assert ec2.looked[:3] == [200, 200, 101]
    assert sorted(len(asked) for _, asked, _ in ec2.asked) == [1, *[50] * 10]


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("bad", [[0], [7, 31], [49]])
async def test_a_bad_machine_ends_only_its_own_workspace(bad: list[int], *, names: bool) -> None:
    """A refused call is split until the bad machine is alone, whether EC2 names it or not."""
    ec2, machines = Scripted(), ids(50)
    for number in bad:
        message = f"The instance '{machines[number]}' may not be stopped." if names else "no"
        ec2.refusals[machines[number]] = RefusedError("OperationNotPermitted", message)
    executor = FleetExecutor(ec2, OpenFence())
    results = await carry_out(executor, [order("stop", one) for one in machines])
    failed = [number for number, result in enumerate(results) if isinstance(result, Failed)]
    assert failed == bad
    assert {result.code for result in results if isinstance(result, Failed)} == {
        "OperationNotPermitted"
    }
    assert len(ec2.asked) <= (1 + 2 * len(bad) if names else 1 + 12 * len(bad))


async def test_what_is_not_listed_does_not_spoil_what_is() -> None:
    """A machine that EC2 does not list is asked for in a call of its own."""

    class Unlisting(Scripted):
        async def look(self, instance_ids: Sequence[str]) -> Mapping[str, Seen]:
            seen = dict(await super().look(instance_ids))
            seen.pop(ids(10)[4], None)
            return seen

    ec2 = Unlisting()
    ec2.refusals[ids(10)[4]] = RefusedError("InvalidInstanceID.NotFound", "no")
    results = await carry_out(
        FleetExecutor(ec2, OpenFence()), [order("stop", one) for one in ids(10)]
    )
    assert [isinstance(result, Done) for result in results].count(False) == 1
    assert isinstance(results[4], Failed)
    assert results[4].code == "InvalidInstanceID.NotFound"
    assert [len(asked) for _, asked, _ in ec2.asked[:2]] == [9, 1]


async def test_a_state_that_may_pass_is_looked_at_again() -> None:
    """EC2 refuses while its own view lags; what it takes a moment later has not failed."""
    ec2 = Scripted()
    ec2.refusals["i-1"] = RefusedError("IncorrectInstanceState", "no")
    carried = asyncio.ensure_future(FleetExecutor(ec2, OpenFence()).carry_out(order("stop", "i-1")))
    await until(lambda: len(ec2.asked) == 2)
    ec2.refusals.clear()
    assert await carried == Done("i-1 is stopped")


@pytest.mark.parametrize(("action", "between"), [("start", "stopping"), ("stop", "pending")])
async def test_a_machine_on_its_way_elsewhere_is_waited_for(action: Action, between: str) -> None:
    """A start waits until the machine has stopped, a stop until it runs; then it is asked."""
    ec2 = Scripted(states={"i-1": Seen(between)})
    carried = asyncio.ensure_future(FleetExecutor(ec2, OpenFence()).carry_out(order(action, "i-1")))
    await until(lambda: len(ec2.looked) > 2)
    assert ec2.asked == []
    ec2.states["i-1"] = Seen("stopped" if action == "start" else "running")
    assert isinstance(await carried, Done)
    assert [one for one, _, _ in ec2.asked] == [action]


async def test_what_was_asked_and_overtaken_is_answered_at_once() -> None:
    """A stop whose workspace is resumed meanwhile does not look for `stopped` to its deadline."""

    class Slow(Scripted):
        async def ask(
            self, action: Action, instance_ids: Sequence[str], *, hibernate: bool = False
        ) -> Mapping[str, str]:
            before = await super().ask(action, instance_ids, hibernate=hibernate)
            self.states |= dict.fromkeys(instance_ids, Seen("stopping"))
            return before

    fence, ec2, late = OpenFence(), Slow(), order("stop", "i-1")
    carried = asyncio.ensure_future(FleetExecutor(ec2, fence).carry_out(late))
    await until(lambda: len(ec2.looked) > 1)
    fence.overtaken.add(late.workspace_id)
    result = await carried
    assert isinstance(result, Failed)
    assert result.code == "superseded"


async def test_what_is_overtaken_in_a_batch_is_left_out_of_the_call() -> None:
    """The fence is asked when the call is made, not when the order came."""
    ec2 = Scripted()
    orders = [order("stop", one) for one in ids(3)]

    class Overtaking(OpenFence):
        async def newest(self, orders: Sequence[Order]) -> Sequence[bool]:
            told = await super().newest(orders)
            self.overtaken.add(orders[1].workspace_id)  # after this question, before the next
            return told

    fence = Overtaking()
    results = await carry_out(FleetExecutor(ec2, fence), orders)
    assert isinstance(results[1], Failed)
    assert results[1].code == "superseded"
    assert [asked for _, asked, _ in ec2.asked] == [(ids(3)[0], ids(3)[2])]
    assert fence.holding == []


async def test_the_workspaces_are_held_while_ec2_is_asked() -> None:
    """Nobody else can ask about a workspace before EC2 has answered for it."""
    fence = OpenFence()
    held: list[bool] = []
    one = order("stop", "i-1")

    class Watching(Scripted):
        async def ask(
            self, action: Action, instance_ids: Sequence[str], *, hibernate: bool = False
        ) -> Mapping[str, str]:
            held.append(fence.holding == [[one.workspace_id]])
            return await super().ask(action, instance_ids, hibernate=hibernate)

    await FleetExecutor(Watching(), fence).carry_out(one)
    assert held == [True]


async def test_hibernation_is_for_those_that_can() -> None:
    """With the setting, machines launched for it hibernate; the others are stopped."""
    ec2 = Scripted(states={"i-1": Seen("running", hibernates=True)})
    executor = FleetExecutor(ec2, OpenFence(), hibernate=True)
    await carry_out(executor, [order("stop", "i-1"), order("stop", "i-2")])
    assert sorted(ec2.asked) == [("stop", ("i-1",), True), ("stop", ("i-2",), False)]
    await FleetExecutor(ec2, OpenFence()).carry_out(order("start", "i-1"))
    assert ec2.asked[-1] == ("start", ("i-1",), False)


async def test_what_cannot_hibernate_now_is_stopped() -> None:
    """A machine that is not ready to hibernate is stopped all the same."""
    ec2 = Scripted(states={one: Seen("running", hibernates=True) for one in ids(3)})
    ec2.refusals[ids(3)[1]] = RefusedError("NoHibernation", "not ready to hibernate yet")
    executor = FleetExecutor(ec2, OpenFence(), hibernate=True)
    results = await carry_out(executor, [order("stop", one) for one in ids(3)])
    assert all(isinstance(result, Done) for result in results)
    assert [asked for _, asked, plain in ec2.asked if not plain] == [(ids(3)[1],)]


async def test_two_workspaces_on_one_machine_share_its_fate() -> None:
    """An instance id that stands twice is asked for once, and both are answered."""
    ec2 = Scripted()
    orders = [order("stop", "i-1", workspace_id=uuid4()) for _ in range(2)]
    results = await carry_out(FleetExecutor(ec2, OpenFence()), orders)
    assert results == [Done("i-1 is stopped")] * 2
    assert [asked for _, asked, _ in ec2.asked] == [("i-1",)]


async def test_a_fault_of_ours_is_raised_in_those_who_wait() -> None:
    """Nobody waits for ever for rounds that have ended; the next order begins new ones."""

    class Broken(Scripted):
        async def look(self, instance_ids: Sequence[str]) -> Mapping[str, Seen]:
            if not self.looked:
                self.looked.append(0)
                raise ZeroDivisionError
            return await super().look(instance_ids)

    executor = FleetExecutor(Broken(), OpenFence())
    with pytest.raises(ZeroDivisionError):
        await executor.carry_out(order("stop", "i-1"))
    assert isinstance(await executor.carry_out(order("stop", "i-1")), Done)


async def test_a_stop_never_lands_after_the_start_that_overtook_it(
    aws: "EC2Client", front: Front
) -> None:
    """With the stop's call still under way the start waits for it, and the machine ends running."""
    instance_id = launch(aws)
    front.delay = 0.3
    fence = OpenFence()
    executor = fleet(fence)
    stop = order("stop", instance_id)
    stopping = asyncio.ensure_future(executor.carry_out(stop))
    await until(lambda: "StopInstances" in front.asked)
    fence.overtaken.add(stop.workspace_id)
    assert isinstance(await executor.carry_out(order("start", instance_id)), Done)
    await stopping
    assert state(aws, instance_id) == "running"
