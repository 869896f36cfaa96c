"""Which messages of the trail are wanted. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from consumer.record import Record
from schemas.catalog import COMMANDS, COMMANDS_QUEUE, OPERATION_HEADER, routed_to
from schemas.envelope import CLOUDEVENTS

EXECUTED = tuple(kind.name for kind in routed_to(COMMANDS_QUEUE))
"""What may be carried out again: pauses and resumes, and never a stop or a start by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a message has to be to be wanted; what is None or empty asks for nothing.

    Attributes:
        since, until: from this time on, and before that one.
        workspace: named anywhere in the message, be it as one of a list.
        operation: named in the header or anywhere in the message.
        command: the id of the operation's command, which cannot name the operation itself.
        types: message types.
        executable: nothing but pauses and resumes that say who they are.

    """

    since: datetime | None = None
    until: datetime | None = None
    workspace: UUID | None = None
    operation: UUID | None = None
    command: str | None = None
    types: frozenset[str] = frozenset()
    executable: bool = False

    def holds(self, record: Record, time: datetime | None) -> bool:
        """Tell whether a message sent at `time` is wanted; one without any time always may be."""
        if time is not None and (
            (self.since is not None and time < self.since)
            or (self.until is not None and time >= self.until)
        ):
            return False
        return (
            (not self.types or record.type in self.types)
            and (not self.executable or _is_executable(record))
            and (self.workspace is None or _names(record.body, self.workspace))
            and (self.operation is None or self._is_of_operation(record, self.operation))
        )

    def _is_of_operation(self, record: Record, operation: UUID) -> bool:
        return (
            record.headers.get(OPERATION_HEADER) == str(operation)
            or _names(record.body, operation)
            or self._is_command(record)
        )

    def _is_command(self, record: Record) -> bool:
        """Tell whether it is the operation's command: in a CloudEvent the id stands in the body."""
        return self.command is not None and (
            record.properties.get("message_id") == self.command
            or self.command.encode() in record.body
        )


class Sieve:
    """Lets through what is wanted. A message without a time was sent when the one before it was."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._time: datetime | None = None

    def through(self, records: Sequence[Record]) -> Iterator[Record]:
        """Give those that are wanted, in order."""
        for record in records:
            self._time = record.time or self._time
            if self._wanted.holds(record, self._time):
                yield record


def _is_executable(record: Record) -> bool:
    """Tell whether a record is a command that the inbox knows again by its id."""
    is_command = {record.routing_key, record.type} <= set(EXECUTED)
    properties = record.properties
    has_id = bool(properties.get("message_id")) or properties.get("content_type") == CLOUDEVENTS
    return record.exchange == COMMANDS and is_command and has_id


def _names(body: bytes, identity: UUID) -> bool:
    text = str(identity).encode()
    return text in body or text in body.lower()
