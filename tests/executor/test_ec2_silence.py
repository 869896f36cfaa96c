"""Ec2Executor where EC2 is late, silent, away, or not set up: nothing false is claimed."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from consumer.executor.ec2 import Ec2Executor
from consumer.executor.port import Done, Failed, Unknown
from tests.executor.conftest import state
from tests.executor.front import Front, until
from tests.executor.orders import order

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client


async def test_throttling_is_retried(front: Front, instance_id: str) -> None:
    """A throttled call is made again by botocore before anything is said."""
    front.refusals["DescribeInstances"] = (503, "RequestLimitExceeded")
    carried = asyncio.ensure_future(Ec2Executor().carry_out(order("stop", instance_id)))
    await until(lambda: len(front.asked) >= 2)
    front.refusals.clear()
    assert isinstance(await carried, Done)


async def test_a_machine_that_does_not_get_there_is_unknown(
    front: Front, instance_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the deadline nothing is claimed about what was asked."""
    monkeypatch.setattr("consumer.executor.ec2._request", lambda *_: None)
    result = await Ec2Executor().carry_out(order("stop", instance_id, seconds=1.5))
    assert result == Unknown(f"{instance_id} at the deadline: running")
    assert len(front.asked) > 2


@pytest.mark.usefixtures("once")
async def test_a_lost_answer_is_looked_for(
    aws: "EC2Client", front: Front, instance_id: str
) -> None:
    """Where the answer to a stop is lost, it is done if the machine is seen stopped."""
    front.lost.add("StopInstances")
    result = await Ec2Executor().carry_out(order("stop", instance_id))
    assert result == Done(f"{instance_id} is stopped")
    assert state(aws, instance_id) == "stopped"


@pytest.mark.usefixtures("once")
async def test_a_lost_answer_that_cannot_be_looked_for_is_unknown(
    front: Front, instance_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that may have been carried out is never called a failure."""
    executor = Ec2Executor()
    seen = await executor._state(instance_id)
    monkeypatch.setattr(executor, "_state", _once_then_lost(front, seen, executor._state))
    front.lost.add("StopInstances")
    result = await executor.carry_out(order("stop", instance_id, seconds=1))
    assert isinstance(result, Unknown)
    assert "StopInstances" in front.asked


def _once_then_lost(front: Front, first: str, real: object) -> object:
    answers = [first]

    async def look(instance_id: str) -> str:
        if answers:
            return answers.pop()
        front.lost.add("DescribeInstances")
        assert callable(real)
        return str(await real(instance_id))

    return look


@pytest.mark.usefixtures("once")
async def test_an_unreachable_ec2_is_a_failure_that_may_pass(
    aws: "EC2Client", instance_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where EC2 could not even be looked at, nothing was carried out, and that is said."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    result = await Ec2Executor().carry_out(order("stop", instance_id))
    assert isinstance(result, Failed)
    assert (result.code, result.retryable) == ("ec2_unreachable", True)
    assert state(aws, instance_id) == "running"


async def test_missing_credentials_are_named(
    front: Front, instance_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without credentials EC2 is not called, and the answer says what is missing."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    result = await Ec2Executor().carry_out(order("stop", instance_id))
    assert isinstance(result, Failed)
    assert (result.code, result.retryable) == ("no_credentials", True)
    assert front.asked == []


async def test_a_missing_region_is_named(
    front: Front, instance_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a region the answer says which setting is missing."""
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    result = await Ec2Executor().carry_out(order("stop", instance_id))
    assert isinstance(result, Failed)
    assert (result.code, result.retryable) == ("no_region", True)
    assert "AWS_REGION" in result.detail
    assert front.asked == []


async def test_aws_region_alone_is_enough(
    aws: "EC2Client", instance_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contract's AWS_REGION works, which boto3 by itself does not read."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert isinstance(await Ec2Executor().carry_out(order("stop", instance_id)), Done)
    assert state(aws, instance_id) == "stopped"


async def test_a_deadline_that_passes_while_looking_stops_it(
    aws: "EC2Client", front: Front, instance_id: str
) -> None:
    """What is too late by the time EC2 could be asked is not begun."""
    front.delay = 0.4
    result = await Ec2Executor().carry_out(order("stop", instance_id, seconds=0.2))
    assert isinstance(result, Failed)
    assert (result.code, result.retryable) == ("expired", True)
    assert state(aws, instance_id) == "running"
    assert "StopInstances" not in front.asked
