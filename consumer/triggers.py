"""Events of other services become commands, by the rules of the triggers file."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid5

from pydantic import ValidationError

from consumer.message import Inbound, Outbound, UnavailableError, UnreadableError
from consumer.observe import bound, say
from consumer.trigger import Trigger, Triggers, value_at
from schemas.catalog import BY_NAME
from schemas.envelope import Attributes, first_error, taken_apart, write
from schemas.strict import canonical_json, parse_json, plain_text, rfc3339

Publish = Callable[
    [Sequence[Outbound]], Awaitable[Sequence[Literal["confirmed", "returned", "failed"]]]
]
_NAMESPACE = uuid5(NAMESPACE_URL, "urn:workspace-lifecycle:trigger")
_LONGEST_REQUESTED_BY = 200
_LONGEST_REASON = 1000
_BINARY = ("cloudEvents:", "cloudEvents_")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""As W3C Trace Context, section 3.2, has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What is needed of another service's event.

    Attributes:
        document: its whole JSON, as paths see it.
        id, source: tell it from any other; a redelivery has the same.

    """

    document: Any
    id: str
    source: str
    correlation_id: str | None
    traceparent: str | None


class TriggerStage:
    """The stage that sends commands for events: confirmed before the event is acknowledged."""

    def __init__(self, triggers: Triggers, publish: Publish, *, max_body: int) -> None:
        self._triggers, self._publish, self._max_body = triggers, publish, max_body

    async def handle(self, inbound: Inbound) -> None:
        """Send what the event's rules ask for; where one cannot, the others do all the same.

        Raises:
            UnreadableError: a rule speaks for it and cannot make a command of it.
            UnavailableError: it is not certain that the commands arrived; the event may come again.

        """
        if len(inbound.body) > self._max_body:
            raise UnreadableError(f"more than {self._max_body} bytes (LIFECYCLE_MAX_BODY)")
        if inbound.exchange not in self._triggers.exchanges:
            raise UnreadableError(f"no trigger names the exchange {inbound.exchange!r} it came to")
        event = event_of(inbound)
        with bound(event_id=event.id, event_source=event.source):
            faults = await self._send(event, _rules_for(self._triggers, inbound, event))
        if faults:
            raise UnreadableError("; ".join(faults))

    async def _send(self, event: Event, rules: Sequence[Trigger]) -> list[str]:
        """Send what can be sent; tell what is wrong with the rest."""
        commands, faults = [], []
        for rule in rules:
            try:
                commands.append(command_of(rule, event))
            except UnreadableError as error:
                faults.append(str(error))
        if commands and set(await self._publish(commands)) != {"confirmed"}:
            raise UnavailableError("the broker did not confirm the command of a trigger")
        for command in commands:
            say("trigger.fired", command_id=command.message_id, app_id=command.app_id)
        if not rules:
            say("event.passed_over")
        return faults


def _rules_for(triggers: Triggers, inbound: Inbound, event: Event) -> list[Trigger]:
    """Name the rules that speak for an event."""
    return [
        rule
        for rule in triggers.trigger
        if rule.takes(inbound.exchange, inbound.routing_key) and rule.holds(event.document)
    ]


def event_of(inbound: Inbound) -> Event:
    """Read an event: a CloudEvent 1.0 in either mode, or other JSON with a `message_id`.

    Raises:
        UnreadableError: it is neither, or a message of this program that came round.

    """
    try:
        document = _whole(inbound)
        is_cloudevent = isinstance(document, dict) and "specversion" in document
        event = _of_cloudevent(inbound, document) if is_cloudevent else _of_plain(inbound, document)
    except ValueError as error:
        raise UnreadableError(f"unreadable event: {error}") from None
    said = document.get("type") if is_cloudevent else None
    if {inbound.type, inbound.routing_key, said} & BY_NAME.keys():
        raise UnreadableError("a message of this program, which can be no trigger of another")
    return event


def _whole(inbound: Inbound) -> Any:
    """Give an event's JSON; one in binary mode as it would be in structured mode.

    So a rule is the same for both. In binary mode the attributes are headers and the body is the
    data (AMQP protocol binding for CloudEvents 1.0.2, section 3.1).

    Raises:
        ValueError: the body is no JSON, or a header of an attribute no text, number or time.

    """
    document = parse_json(inbound.body)
    attributes = {
        name.removeprefix(prefix): _attribute(name, value)
        for name, value in inbound.headers.items()
        for prefix in _BINARY
        if name.startswith(prefix)
    }
    if "specversion" not in attributes:
        return document
    return parse_json(canonical_json({**attributes, "data": document}))


def _attribute(name: str, value: object) -> str | int | bool:
    if isinstance(value, datetime):
        return rfc3339(value)
    if not isinstance(value, (str, int)):
        raise ValueError(f"{name!a}: an attribute is text, a whole number, a flag or a time")
    return value


def _of_cloudevent(inbound: Inbound, document: Any) -> Event:
    attributes, _ = taken_apart(document)
    return Event(
        document=document,
        id=attributes.id,
        source=attributes.source,
        correlation_id=attributes.correlation_id or _property(inbound.correlation_id),
        traceparent=attributes.traceparent or _traceparent(inbound),
    )


def _of_plain(inbound: Inbound, document: Any) -> Event:
    identity = _property(inbound.message_id)
    if identity is None:
        raise ValueError("it has no message_id by which a redelivery could be told")
    return Event(
        document=document,
        id=identity,
        source=_property(inbound.app_id) or inbound.exchange,
        correlation_id=_property(inbound.correlation_id),
        traceparent=_traceparent(inbound),
    )


def _property(value: str | None) -> str | None:
    """Keep a property where there is one that can be stored and sent on.

    Raises:
        ValueError: there is one that cannot.

    """
    return plain_text(value) if value else None


def _traceparent(inbound: Inbound) -> str | None:
    value = inbound.headers.get("traceparent")
    return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else None


def command_of(rule: Trigger, event: Event) -> Outbound:
    """Make the command that a rule asks for; for one event always the same, with the same id.

    Raises:
        UnreadableError: the event does not tell what the command needs.

    """
    kind = BY_NAME[f"workspace.{rule.action}"]
    try:
        command = kind.adapter.validate_json(canonical_json(_members(rule, event)))
    except ValidationError as error:
        why = first_error(error).replace("workspace_id", rule.workspace, 1)
        raise UnreadableError(f"trigger {rule.name!r}: {why}") from None
    name = canonical_json([rule.name, event.source, event.id]).decode()
    attributes = Attributes(
        id=str(uuid5(_NAMESPACE, name)),
        source=rule.sender,
        type=kind.name,
        subject=str(command.workspace_id),
        dataschema=kind.dataschema,
        correlation_id=event.correlation_id,
        causation_id=event.id,
        traceparent=event.traceparent,
    )
    return Outbound(
        exchange=kind.exchange,
        routing_key=kind.name,
        body=write(attributes, command),
        message_id=attributes.id,
        type=kind.name,
        correlation_id=event.correlation_id,
        app_id=rule.sender,
    )


def _members(rule: Trigger, event: Event) -> dict[str, Any]:
    said = rule.reason
    if said is not None and said.startswith("$"):
        said = value_at(event.document, said)
    members = {
        "workspace_id": value_at(event.document, rule.workspace),
        "cascade": rule.cascade,
        "max_affected": rule.max_affected,
        "reason": said[:_LONGEST_REASON] if isinstance(said, str) else None,
        "requested_by": f"event {event.id} of {event.source}"[:_LONGEST_REQUESTED_BY],
    }
    return {name: value for name, value in members.items() if value is not None}
