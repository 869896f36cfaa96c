"""The EC2 executor where EC2 is late, silent, away, or not set up: nothing false is claimed."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from consumer.executor.port import Done, Failed, Unasked, Unknown
from tests.executor.conftest import Facts, launch, state
from tests.executor.fences import OpenFence, fleet
from tests.executor.orders import order
from tests.support.front import Front, until

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client


@pytest.mark.parametrize("action", ["DescribeInstances", "StopInstances"])
@pytest.mark.parametrize("code", ["RequestLimitExceeded", "InternalError", "Unavailable"])
async def test_what_does_not_get_through_is_tried_again(
    front: Front, instance_id: str, action: str, code: str
) -> None:
    """A throttled or failed call fails nobody: it is made again until it is answered."""
    front.refusals[action] = (503, code)
    carried = asyncio.ensure_future(fleet().carry_out(order("stop", instance_id)))
    await until(lambda: front.asked.count(action) >= 2)
    front.refusals.clear()
    assert isinstance(await carried, Done)


@pytest.mark.usefixtures("once")
async def test_what_is_throttled_to_the_end_was_not_carried_out(
    aws: "EC2Client", front: Front, instance_id: str
) -> None:
    """Throttled calls did nothing, which can be said for certain at the deadline."""
    front.refusals["StopInstances"] = (503, "RequestLimitExceeded")
    result = await fleet().carry_out(order("stop", instance_id, seconds=5))
    assert isinstance(result, Unasked)
    assert (result.code, result.retryable) == ("RequestLimitExceeded", True)
    assert instance_id in result.detail
    assert state(aws, instance_id) == "running"


@pytest.mark.usefixtures("once")
async def test_what_failed_in_ec2_to_the_end_is_unknown(front: Front, instance_id: str) -> None:
    """A call that EC2 itself failed may have been carried out."""
    front.refusals["StopInstances"] = (500, "InternalError")
    result = await fleet().carry_out(order("stop", instance_id, seconds=5))
    assert result == Unknown(f"{instance_id} at the deadline: running")
    assert front.asked.count("StopInstances") > 1


async def test_before_each_try_the_fence_is_asked(
    aws: "EC2Client", front: Front, instance_id: str
) -> None:
    """A stop that waits behind throttling and is overtaken meanwhile is never carried out."""
    front.refusals["StopInstances"] = (503, "RequestLimitExceeded")
    fence, late = OpenFence(), order("stop", instance_id)
    carried = asyncio.ensure_future(fleet(fence).carry_out(late))
    await until(lambda: front.asked.count("StopInstances") >= 1)
    fence.overtaken.add(late.workspace_id)
    await until(lambda: front.at_once == 0)
    front.refusals.clear()
    result = await carried
    assert isinstance(result, Failed)
    assert result.code == "superseded"
    assert state(aws, instance_id) == "running"


async def test_while_the_fence_is_away_nothing_is_asked(
    aws: "EC2Client", front: Front, instance_id: str, facts: Facts
) -> None:
    """Without the database's word no machine is touched; with it the order goes on."""
    fence = OpenFence()
    fence.away = True
    carried = asyncio.ensure_future(fleet(fence).carry_out(order("stop", instance_id)))
    await until(lambda: [fact for fact, _ in facts].count("fleet.unfenced") > 2)
    assert state(aws, instance_id) == "running"
    assert "StopInstances" not in front.asked
    fence.away = False
    assert isinstance(await carried, Done)


@pytest.mark.usefixtures("once")
async def test_a_lost_answer_is_looked_for(
    aws: "EC2Client", front: Front, instance_id: str
) -> None:
    """Where the answer to a stop is lost, it is done if the machine is seen stopped."""
    front.lost.add("StopInstances")
    result = await fleet().carry_out(order("stop", instance_id))
    assert result == Done(f"{instance_id} is stopped")
    assert state(aws, instance_id) == "stopped"


@pytest.mark.usefixtures("once")
async def test_a_lost_answer_that_cannot_be_looked_for_is_unknown(
    front: Front, instance_id: str
) -> None:
    """A call that may have been carried out is never called a failure."""
    front.lost.add("StopInstances")
    carried = asyncio.ensure_future(fleet().carry_out(order("stop", instance_id, seconds=5)))
    await until(lambda: "StopInstances" in front.asked)
    front.refusals["DescribeInstances"] = (400, "UnauthorizedOperation")
    assert isinstance(await carried, Unknown)


@pytest.mark.usefixtures("once")
async def test_an_unreachable_ec2_was_not_asked(
    aws: "EC2Client", instance_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where EC2 could not even be looked at by the deadline, that is said."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    result = await fleet().carry_out(order("stop", instance_id, seconds=1))
    assert isinstance(result, Unasked)
    assert (result.code, result.retryable) == ("ec2_unreachable", True)
    assert state(aws, instance_id) == "running"


async def test_missing_credentials_are_named(
    front: Front, instance_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without credentials EC2 is not called, and the answer says at once what is missing."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    result = await fleet().carry_out(order("stop", instance_id))
    assert isinstance(result, Unasked)
    assert (result.code, result.retryable) == ("no_credentials", True)
    assert front.asked == []


async def test_a_missing_region_is_named(
    front: Front, instance_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a region the answer says which setting is missing."""
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    result = await fleet().carry_out(order("stop", instance_id))
    assert isinstance(result, Unasked)
    assert (result.code, result.retryable) == ("no_region", True)
    assert "AWS_REGION" in result.detail
    assert front.asked == []


async def test_credentials_that_may_not_look_end_it_at_once(front: Front, instance_id: str) -> None:
    """What cannot be confirmed is not begun."""
    front.refusals["DescribeInstances"] = (403, "UnauthorizedOperation")
    result = await fleet().carry_out(order("stop", instance_id))
    assert isinstance(result, Unasked)
    assert result.code == "UnauthorizedOperation"
    assert "StopInstances" not in front.asked


async def test_aws_region_alone_is_enough(
    aws: "EC2Client", instance_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contract's AWS_REGION works, which boto3 by itself does not read."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert isinstance(await fleet().carry_out(order("stop", instance_id)), Done)
    assert state(aws, instance_id) == "stopped"


async def test_a_deadline_that_passes_while_looking_stops_it(
    aws: "EC2Client", front: Front, instance_id: str
) -> None:
    """What is too late by the time EC2 could be asked is not begun."""
    front.delay = 0.4
    result = await fleet().carry_out(order("stop", instance_id, seconds=0.2))
    assert isinstance(result, Unasked)
    assert (result.code, result.retryable) == ("expired", True)
    assert state(aws, instance_id) == "running"
    assert "StopInstances" not in front.asked


async def test_past_its_deadline_what_is_seen_is_still_told(aws: "EC2Client") -> None:
    """A redelivered order that was carried out before is answered, however late."""
    instance_id = launch(aws)
    aws.stop_instances(InstanceIds=[instance_id])
    result = await fleet().carry_out(order("stop", instance_id, seconds=-1))
    assert result == Done(f"{instance_id} is stopped")
