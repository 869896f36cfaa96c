"""EC2 over boto3, in threads: look, stop, start. It can do nothing else to a machine."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, TypeVar

import boto3
from botocore import exceptions as aws
from botocore.config import Config
from botocore.parsers import ResponseParserError

from consumer.executor.refusals import THROTTLES, is_server_side
from consumer.observe import say

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

Action = Literal["stop", "start"]
Call = Literal["look", "stop", "start"]
_T = TypeVar("_T")
_CALLS_AT_ONCE = 4
"""Fewer than the threads asyncio has (5 on one CPU): slow calls must leave one for name lookups."""
_ADAPTIVE: Any = {"mode": "adaptive", "max_attempts": 7}
_ONE_BY_ONE: Any = {"mode": "adaptive", "max_attempts": 0}
"""Stops and starts keep to botocore's rate, but each attempt is ours: it has to pass the fence."""
_NO_ANSWER = (aws.BotoCoreError, ResponseParserError)
_NO_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.TokenRetrievalError,
    aws.SSOError,
)
_NEVER_SENT = (aws.EndpointConnectionError, aws.ConnectTimeoutError, aws.SSLError)
_PERMITTED, _FORBIDDEN = "DryRunOperation", "UnauthorizedOperation"


class Ec2Error(Exception):
    """EC2 did not do what it was asked. `code` is EC2's own word, or one of ours."""

    outcome: ClassVar[str]

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class RefusedError(Ec2Error):
    """EC2 said no, for certain: to all of the call, though only one instance may be the reason."""

    outcome = "refused"


class BusyError(Ec2Error):
    """The call did not get through: EC2 throttled it, or was not reached. Nothing was done."""

    outcome = "unreachable"


class ThrottledError(BusyError):
    """EC2 took no notice of the call: there were too many."""

    outcome = "throttled"


class LostError(Ec2Error):
    """There was no usable answer: EC2 may or may not have done it."""

    outcome = "lost"


class UnsetError(Ec2Error):
    """EC2 cannot be asked from here at all: credentials or region are missing. Nothing was done."""

    outcome = "unset"


@dataclass(frozen=True, slots=True)
class Seen:
    """One instance as EC2 describes it.

    Attributes:
        reason: EC2's code for its last change of state, such as `Server.InternalError`.
        hibernates: whether it was launched so that it can hibernate.

    """

    state: str
    reason: str | None = None
    hibernates: bool = False


class Ec2:
    """The calls we make. Region, credentials and endpoint are boto3's settings.

    `AWS_REGION` is read as well. Every method raises the errors above.
    """

    def __init__(self) -> None:
        self._looking: EC2Client | None = None
        self._acting: EC2Client | None = None
        self._creating = asyncio.Lock()
        self._calls = asyncio.Semaphore(_CALLS_AT_ONCE)

    async def look(self, instance_ids: Sequence[str]) -> Mapping[str, Seen]:
        """Describe instances, at most 200; those that EC2 does not list are not there.

        A filter is asked, not a list of ids: one unknown id would fail the whole call.
        (EC2 API Reference, DescribeInstances.)
        """
        wanted: Any = [{"Name": "instance-id", "Values": list(instance_ids)}]
        found = await self._call(
            "look", lambda: self._look_client().describe_instances(Filters=wanted)
        )
        return {
            instance["InstanceId"]: _seen(instance)
            for reservation in found["Reservations"]
            for instance in reservation["Instances"]
        }

    async def ask(
        self, action: Action, instance_ids: Sequence[str], *, hibernate: bool = False
    ) -> Mapping[str, str]:
        """Stop or start instances; give the state each was in before.

        Doing so again is harmless. (EC2 API Reference, StopInstances and StartInstances.)
        """
        ids = list(instance_ids)
        if action == "start":
            started = await self._call(
                "start", lambda: self._act_client().start_instances(InstanceIds=ids)
            )
            return _before(started["StartingInstances"])
        asked = {"Hibernate": True} if hibernate else {}
        stopped = await self._call(
            "stop", lambda: self._act_client().stop_instances(InstanceIds=ids, **asked)
        )
        return _before(stopped["StoppingInstances"])

    async def may(self, what: Call, instance_id: str) -> bool:
        """Ask, by a dry run, whether the credentials allow it. Nothing is done."""
        calls: Mapping[Call, Callable[[], Any]] = {
            "look": lambda: self._look_client().describe_instances(DryRun=True),
            "stop": lambda: self._act_client().stop_instances(
                InstanceIds=[instance_id], DryRun=True
            ),
            "start": lambda: self._act_client().start_instances(
                InstanceIds=[instance_id], DryRun=True
            ),
        }
        try:
            await self._call(what, calls[what])
        except RefusedError as refused:
            if refused.code not in {_PERMITTED, _FORBIDDEN}:
                raise
            return refused.code == _PERMITTED
        return True

    def _look_client(self) -> "EC2Client":
        assert self._looking is not None
        return self._looking

    def _act_client(self) -> "EC2Client":
        assert self._acting is not None
        return self._acting

    async def _call(self, name: Call, call: Callable[[], _T]) -> _T:
        """Make one call, and say how long it took and what came of it."""
        async with self._calls:
            began, outcome, retries = time.perf_counter(), "broken_off", 0
            try:
                answer = await self._made(call)
                outcome, retries = "ok", _retries(answer)
            except Ec2Error as error:
                outcome = error.outcome
                raise
            finally:
                seconds = time.perf_counter() - began
                say("ec2.called", call=name, outcome=outcome, retries=retries, seconds=seconds)
            return answer

    async def _made(self, call: Callable[[], _T]) -> _T:
        """Make one call in a thread."""
        try:
            await self._connected()
            return await asyncio.to_thread(call)
        except (aws.ClientError, *_NO_ANSWER) as error:
            _raise(error)

    async def _connected(self) -> None:
        """Create the clients at the first call, once: it takes 0.1 s, and sessions share badly."""
        async with self._creating:
            if self._looking is None or self._acting is None:
                self._looking, self._acting = await asyncio.to_thread(_create)


def _create() -> tuple["EC2Client", "EC2Client"]:
    """Create the clients. boto3 by itself reads AWS_DEFAULT_REGION alone, not AWS_REGION."""
    session = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
    looking, acting = (
        Config(retries=retries, connect_timeout=5, read_timeout=20)
        for retries in (_ADAPTIVE, _ONE_BY_ONE)
    )
    return session.client("ec2", config=looking), session.client("ec2", config=acting)


def _retries(answer: object) -> int:
    """Tell how often botocore made a call again before it was answered."""
    told = answer.get("ResponseMetadata", {}) if isinstance(answer, dict) else {}
    return int(told.get("RetryAttempts", 0))


def _seen(instance: Any) -> Seen:
    return Seen(
        state=str(instance["State"]["Name"]),
        reason=instance.get("StateReason", {}).get("Code") or None,
        hibernates=bool(instance.get("HibernationOptions", {}).get("Configured")),
    )


def _before(changes: Sequence[Any]) -> Mapping[str, str]:
    return {
        change["InstanceId"]: str(change.get("PreviousState", {}).get("Name", ""))
        for change in changes
    }


def _raise(error: Exception) -> NoReturn:
    """Tell apart what EC2 refused, did not take, and may have done without saying so."""
    if isinstance(error, aws.ClientError):
        said = error.response.get("Error", {})
        code, message = str(said.get("Code", "Unnamed")), str(said.get("Message", ""))
        if code in THROTTLES:
            raise ThrottledError(code, message) from error
        if is_server_side(code):
            raise LostError(code, message) from error
        raise RefusedError(code, message) from error
    name = type(error).__name__
    if isinstance(error, _NO_CREDENTIALS):
        raise UnsetError("no_credentials", f"there are no AWS credentials ({name})") from error
    if isinstance(error, aws.NoRegionError):
        raise UnsetError("no_region", "AWS_REGION is not set") from error
    if isinstance(error, _NEVER_SENT):
        raise BusyError("ec2_unreachable", f"EC2 was not reached ({name})") from error
    if isinstance(error, aws.ParamValidationError):
        raise RefusedError("InvalidInstanceID.Malformed", str(error)) from error
    if isinstance(error, (aws.ConnectionError, aws.HTTPClientError, ResponseParserError)):
        raise LostError("ec2_silent", f"EC2 gave no answer ({name})") from error
    raise UnsetError("ec2_not_asked", f"EC2 could not be asked ({name})") from error
