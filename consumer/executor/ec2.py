"""Stops and starts on EC2, in threads. Never terminates: the machine is to come back as it was."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from consumer.executor.port import Done, Failed, Order, Result, Unknown

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

_T = TypeVar("_T")
_CONFIG = Config(
    retries={"mode": "adaptive", "max_attempts": 8}, connect_timeout=5, read_timeout=20
)
_CALLS_AT_ONCE = 16
_FIRST_LOOK, _LONGEST_LOOK = 0.2, 15.0
_WANTED: Mapping[Literal["stop", "start"], str] = {"stop": "stopped", "start": "running"}
_GONE = frozenset({"shutting-down", "terminated"})
_MEANINGS = {
    "InvalidInstanceID.NotFound": "EC2 knows no such instance",
    "InvalidInstanceID.Malformed": "the instance id is not one",
    "IncorrectInstanceState": "the instance is in a state in which this cannot be done",
    "UnsupportedOperation": "this kind of instance cannot be stopped (instance store)",
    "OperationNotPermitted": "stop protection is on for the instance",
    "UnauthorizedOperation": "the credentials do not allow this: see the IAM policy in README",
}
_RETRYABLE = frozenset({"IncorrectInstanceState", "RequestLimitExceeded", "InternalError"})


class Ec2Executor:
    """Calls StopInstances or StartInstances, then looks until EC2 says that it has happened.

    Region, credentials and endpoint are boto3's own settings.
    """

    def __init__(self) -> None:
        self._client: EC2Client | None = None
        self._calls = asyncio.Semaphore(_CALLS_AT_ONCE)

    async def carry_out(self, order: Order) -> Result:
        """Stop or start one instance."""
        if order.runtime == "external":
            return Done("runtime is external: there is no machine of ours")
        if order.instance_id is None:
            return Done("the workspace has no instance")
        try:
            before = await self._state(order.instance_id)
            if before in _GONE:
                return Failed("InstanceGone", f"{order.instance_id} is {before}", retryable=False)
            if before == _WANTED[order.action]:
                return Done(f"{order.instance_id} was {before} already")
            await self._call(lambda client: _request(client, order))
        except (ClientError, BotoCoreError) as error:
            return _failed(order, error)
        return await self._confirmed(order, order.instance_id)

    async def _confirmed(self, order: Order, instance_id: str) -> Result:
        """Look, less and less often, until it has happened or the deadline has passed."""
        pause, state = _FIRST_LOOK, "not looked at"
        while (left := (order.deadline - datetime.now(UTC)).total_seconds()) > 0:
            try:
                state = await self._state(instance_id)
            except (ClientError, BotoCoreError) as error:
                state = f"not visible ({type(error).__name__})"
            if state == _WANTED[order.action]:
                return Done(f"{instance_id} is {state}")
            if state in _GONE:
                return Failed("InstanceGone", f"{instance_id} is {state}", retryable=False)
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_LOOK)
        return Unknown(f"{instance_id} was {state} at the deadline")

    async def _state(self, instance_id: str) -> str:
        found = await self._call(
            lambda client: client.describe_instances(InstanceIds=[instance_id])
        )
        return str(found["Reservations"][0]["Instances"][0]["State"]["Name"])

    async def _call(self, call: "Callable[[EC2Client], _T]") -> _T:
        """Make one call in a thread, few at once."""
        async with self._calls:
            if self._client is None:
                self._client = await asyncio.to_thread(boto3.client, "ec2", config=_CONFIG)
            return await asyncio.to_thread(call, self._client)


def _request(client: "EC2Client", order: Order) -> Any:
    assert order.instance_id is not None
    if order.action == "stop":
        return client.stop_instances(InstanceIds=[order.instance_id])
    return client.start_instances(InstanceIds=[order.instance_id])


def _failed(order: Order, error: ClientError | BotoCoreError) -> Result:
    """Tell what a refusal means; where the answer was lost, that nothing is known."""
    if not isinstance(error, ClientError):
        return Unknown(f"EC2 gave no answer about {order.instance_id}: {type(error).__name__}")
    code = str(error.response["Error"]["Code"])
    meaning = _MEANINGS.get(code, "EC2 refused")
    retryable = code in _RETRYABLE or code.startswith("Server")
    return Failed(code, f"{meaning}: {order.instance_id}", retryable=retryable)
