"""Takes stop and start commands, fences them, has them carried out, and publishes the result."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from pydantic import ValidationError

from consumer.executor.port import (
    SUPERSEDED,
    Done,
    Executor,
    Failed,
    Order,
    Standing,
    Unasked,
    Unknown,
)
from consumer.message import Inbound, Outbound, UnavailableError, UnreadableError
from consumer.observe import bound, say
from consumer.operation import message_id
from consumer.policy import Policy, refusal_text
from consumer.spans import processing
from schemas.catalog import BY_NAME, OPERATION_HEADER, MessageType
from schemas.commands import StopWorkspace
from schemas.envelope import Attributes, first_error, read, write
from schemas.results import Stopped
from schemas.strict import canonical_json

StandingOf = Callable[[Order], Awaitable[Standing]]
Receipt = Literal["confirmed", "returned", "failed"]
Publish = Callable[[Sequence[Outbound]], Awaitable[Sequence[Receipt]]]

SOURCE = "workspace-lifecycle-executor"
_UNKNOWN = (
    "rule 'fence': the database knows no such order: it was not decided so, or was pruned since"
)
_SUCCESS = {"stop": "workspace.stopped", "start": "workspace.started"}
_FAILURE = {"stop": "workspace.stop.failed", "start": "workspace.start.failed"}


class Worker:
    """The stage between the queue of executor commands and an executor.

    `standing` is the fence: it tells whether the database knows an order as it stands, and whether
    a later command has touched its workspace. `publish` gives one receipt a message. Commands over
    `max_body` bytes are not parsed.
    """

    def __init__(
        self,
        executor: Executor,
        standing: StandingOf,
        publish: Publish,
        policy: Policy,
        max_body: int = 65_536,
    ) -> None:
        self._executor = executor
        self._standing = standing
        self._publish = publish
        self._policy = policy
        self._max_body = max_body

    async def handle(self, inbound: Inbound) -> None:
        """Carry one command out. When this returns, its result is with the broker.

        Raises:
            UnreadableError: it is no stop or start command, from nobody who may send one, or not
                one that was decided.
            UnavailableError: the result could not be published; the command may come again.

        """
        self._refuse_stranger(inbound)
        if len(inbound.body) > self._max_body:
            raise UnreadableError(f"unreadable command: more than {self._max_body} bytes")
        attributes, order = _read(inbound)
        with (
            bound(operation_id=str(order.operation_id), workspace_id=str(order.workspace_id)),
            processing(inbound, attributes.traceparent) as span,
        ):
            standing = await self._standing(order)
            if standing.kind == "unknown":
                say("order.refused", rule="fence", user_id=inbound.user_id, app_id=inbound.app_id)
                raise UnreadableError(_UNKNOWN)
            order = replace(order, ends=standing.ends, traceparent=span.traceparent)
            result = await self._carry_out(order, standing, first=inbound.first)
            if isinstance(result, Unknown):
                say("order.unknown", action=order.action, detail=result.detail)
                return
            await self._answer(_result(attributes, order, result))
            _tell(order, result)
            if isinstance(result, Failed):
                span.fail(result.code)

    def _refuse_stranger(self, inbound: Inbound) -> None:
        rule = self._policy.refuses_order(inbound.user_id)
        if rule is not None:
            say("order.refused", rule=rule, user_id=inbound.user_id, app_id=inbound.app_id)
            raise UnreadableError(refusal_text(rule, "send stops and starts", inbound.user_id))

    async def _carry_out(
        self, order: Order, standing: Standing, *, first: bool
    ) -> Done | Failed | Unknown:
        """Have an order carried out; claim nothing of what an earlier delivery may have done."""
        if standing.kind == "overtaken":
            return SUPERSEDED
        if order.expired and first:
            return Failed("expired", "its deadline passed before it was begun", retryable=True)
        say("order.admitted")
        result = await self._executor.carry_out(order)
        say("order.ended")
        if isinstance(result, Unasked) and first:
            return Failed(result.code, result.detail, result.retryable)
        if isinstance(result, Unasked):
            return Unknown(f"{result.detail} this time, but an earlier delivery may have been")
        return result

    async def _answer(self, message: Outbound) -> None:
        (receipt,) = await self._publish([message])
        if receipt != "confirmed":
            raise UnavailableError(f"the result {message.type} was {receipt} by the broker")


def _tell(order: Order, result: Done | Failed) -> None:
    """Say the one fact of an order that was answered."""
    if result is SUPERSEDED:
        say("order.fenced", action=order.action, generation=order.generation)
    elif isinstance(result, Failed):
        say("order.failed", action=order.action, code=result.code, detail=result.detail)
    else:
        say("order.carried_out", action=order.action, detail=result.detail)


def _read(inbound: Inbound) -> tuple[Attributes, Order]:
    """Read a stop or start command.

    Raises:
        UnreadableError: it is none.

    """
    try:
        attributes, raw = read(inbound.body)
        kind = BY_NAME.get(attributes.type)
        if kind is None or kind.role != "executor-command":
            raise UnreadableError(f"{attributes.type[:64]!r} is no command for an executor")
        data: StopWorkspace = kind.adapter.validate_json(canonical_json(raw))
    except ValidationError as error:
        raise UnreadableError(f"unreadable command: {first_error(error)}") from None
    except ValueError as error:
        raise UnreadableError(f"unreadable command: {error}") from None
    action: Literal["stop", "start"] = "stop" if kind.name == "workspace.stop" else "start"
    members = data.model_dump(exclude={"previous_status"})
    return attributes, Order(action=action, traceparent=attributes.traceparent, **members)


def _result(attributes: Attributes, order: Order, result: Done | Failed) -> Outbound:
    """Make the result event: its id is the same however often the command is carried out."""
    names = _FAILURE if isinstance(result, Failed) else _SUCCESS
    kind = BY_NAME[names[order.action]]
    identity = str(message_id(order.operation_id, f"{order.workspace_id}:{kind.name}"))
    now = datetime.now(UTC)
    context = Attributes(
        id=identity,
        source=SOURCE,
        type=kind.name,
        subject=str(order.workspace_id),
        time=now,
        correlation_id=attributes.correlation_id,
        causation_id=attributes.id,
        traceparent=order.traceparent,
        operation_id=str(order.operation_id),
        dataschema=kind.dataschema,
    )
    return Outbound(
        exchange=kind.exchange,
        routing_key=kind.name,
        body=write(context, _event(kind, order, result)),
        message_id=identity,
        type=kind.name,
        correlation_id=attributes.correlation_id,
        timestamp=now,
        headers={OPERATION_HEADER: str(order.operation_id)},
        app_id=SOURCE,
    )


def _event(kind: MessageType, order: Order, result: Done | Failed) -> Stopped:
    members = {
        "operation_id": order.operation_id,
        "workspace_id": order.workspace_id,
        "generation": order.generation,
        "instance_id": order.instance_id,
        "detail": result.detail,
    }
    if isinstance(result, Failed):
        members |= {"code": result.code, "retryable": result.retryable}
    event: Stopped = kind.model(**members)
    return event
