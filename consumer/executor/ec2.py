"""Stops and starts on EC2, in threads. Never terminates: the machine is to come back as it was."""

import asyncio
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import boto3
from botocore import exceptions as aws
from botocore.config import Config
from botocore.parsers import ResponseParserError

from consumer.executor.port import Done, Failed, Order, Result, Unknown
from consumer.executor.refusals import gone, refused

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

_T = TypeVar("_T")
_CALLS_AT_ONCE = 4
"""Fewer than the threads asyncio has (5 on one CPU): slow calls must leave one for name lookups."""
_CONFIG = Config(
    retries={"mode": "adaptive", "max_attempts": 8}, connect_timeout=5, read_timeout=20
)
_FIRST_LOOK, _LONGEST_LOOK = 0.2, 15.0
_WANTED: Mapping[Literal["stop", "start"], str] = {"stop": "stopped", "start": "running"}
_GONE = frozenset({"shutting-down", "terminated"})
_NO_ANSWER = (aws.BotoCoreError, ResponseParserError)
_NO_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.TokenRetrievalError,
    aws.SSOError,
)
_UNREACHABLE = (aws.ConnectionError, aws.HTTPClientError)


class Ec2Executor:
    """Calls StopInstances or StartInstances, then looks until EC2 says that it has happened.

    Region, credentials and endpoint are boto3's own settings; `AWS_REGION` is read as well.
    """

    def __init__(self) -> None:
        self._client: EC2Client | None = None
        self._creating = asyncio.Lock()
        self._calls = asyncio.Semaphore(_CALLS_AT_ONCE)

    async def carry_out(self, order: Order) -> Result:
        """Stop or start one instance."""
        if order.runtime == "external" or not order.instance_id:
            return Done(_no_machine(order))
        try:
            before = await self._state(order.instance_id)
        except (aws.ClientError, *_NO_ANSWER) as error:
            return _failed(order.instance_id, error)
        if before in _GONE:
            return gone(order.instance_id, before)
        if before == _WANTED[order.action]:
            return Done(f"{order.instance_id} was {before} already")
        if datetime.now(UTC) >= order.deadline:
            return Failed("expired", "its deadline passed before EC2 was asked", retryable=True)
        return await self._act(order, order.instance_id)

    async def _act(self, order: Order, instance_id: str) -> Result:
        """Ask EC2; where its answer is lost, what it did can only be seen."""
        try:
            await self._call(lambda client: _request(client, order.action, instance_id))
        except aws.ClientError as error:
            return _failed(instance_id, error)
        except _NO_ANSWER as error:
            return await self._seen(order, instance_id, f"no answer ({type(error).__name__})")
        return await self._seen(order, instance_id, "asked")

    async def _seen(self, order: Order, instance_id: str, state: str) -> Result:
        """Look, less and less often, until it has happened or the deadline has passed."""
        pause = _FIRST_LOOK
        while (left := (order.deadline - datetime.now(UTC)).total_seconds()) > 0:
            try:
                state = await self._state(instance_id)
            except (aws.ClientError, *_NO_ANSWER) as error:
                state = f"not visible ({type(error).__name__})"
            if state == _WANTED[order.action]:
                return Done(f"{instance_id} is {state}")
            if state in _GONE:
                return gone(instance_id, state)
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_LOOK)
        return Unknown(f"{instance_id} at the deadline: {state}")

    async def _state(self, instance_id: str) -> str:
        found = await self._call(
            lambda client: client.describe_instances(InstanceIds=[instance_id])
        )
        for reservation in found["Reservations"]:
            for instance in reservation["Instances"]:
                return str(instance["State"]["Name"])
        return "not listed"

    async def _call(self, call: "Callable[[EC2Client], _T]") -> _T:
        """Make one call in a thread, few at once."""
        async with self._calls:
            return await asyncio.to_thread(call, await self._connected())

    async def _connected(self) -> "EC2Client":
        """Create the client at the first call, once: it takes 0.1 s, and sessions share badly."""
        async with self._creating:
            if self._client is None:
                self._client = await asyncio.to_thread(_create)
            return self._client


def _create() -> "EC2Client":
    """Create a client. boto3 by itself reads AWS_DEFAULT_REGION alone, not AWS_REGION."""
    session = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
    return session.client("ec2", config=_CONFIG)


def _no_machine(order: Order) -> str:
    if order.runtime == "external":
        return "runtime is external: there is no machine of ours"
    return "the workspace has no instance"


def _request(client: "EC2Client", action: Literal["stop", "start"], instance_id: str) -> Any:
    if action == "stop":
        return client.stop_instances(InstanceIds=[instance_id])
    return client.start_instances(InstanceIds=[instance_id])


def _failed(instance_id: str, error: Exception) -> Failed:
    """Tell what a refusal means, or why EC2 could not be asked. Nothing was carried out."""
    if isinstance(error, aws.ClientError):
        return refused(str(error.response.get("Error", {}).get("Code", "Unnamed")), instance_id)
    why = f"{instance_id} was not touched ({type(error).__name__})"
    if isinstance(error, _NO_CREDENTIALS):
        return Failed("no_credentials", f"there are no AWS credentials: {why}", retryable=True)
    if isinstance(error, aws.NoRegionError):
        return Failed("no_region", f"AWS_REGION is not set: {why}", retryable=True)
    if isinstance(error, _UNREACHABLE):
        return Failed("ec2_unreachable", f"EC2 gave no answer: {why}", retryable=True)
    return Failed("ec2_not_asked", f"EC2 could not be asked: {why}", retryable=True)
