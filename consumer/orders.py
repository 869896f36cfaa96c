"""Stop and start commands, one a workspace: ten thousand of an operation differ in little."""

import hashlib
from datetime import datetime
from json.encoder import encode_basestring as quoted
from uuid import UUID

from consumer.operation import Target
from schemas.catalog import BY_NAME, SOURCE
from schemas.envelope import Attributes, head
from schemas.strict import rfc3339

_BLANK = "-" * 36
"""Stands for a UUID where the envelope is written once for all."""


class Orders:
    """Writes the commands of one operation: bytes as `schemas.envelope.write` gives them.

    What they share is written once; validating and serialising each alone took ten times as long.
    """

    def __init__(
        self,
        kind: str,
        operation_id: UUID,
        *,
        time: datetime,
        correlation_id: str | None,
        causation_id: str | None,
        traceparent: str | None,
    ) -> None:
        shared = head(
            Attributes(
                id=_BLANK,
                source=SOURCE,
                type=kind,
                subject=_BLANK,
                time=time,
                correlation_id=correlation_id,
                causation_id=causation_id,
                traceparent=traceparent,
                operation_id=str(operation_id),
                dataschema=BY_NAME[kind].dataschema,
            )
        )
        # Id and subject stand before all that a caller may have written.
        self._before_id, self._before_subject, self._rest = shared.decode().split(_BLANK, 2)
        self._rest += f'{{"operation_id":"{operation_id}","workspace_id":"'
        self._hashed = hashlib.sha1(operation_id.bytes, usedforsecurity=False)
        self._deadline: datetime | None = None
        self._end = ""

    def write(self, target: Target) -> tuple[str, bytes]:
        """Give the id and the body of the command for one workspace's machine."""
        if target.deadline != self._deadline:  # an operation has one
            self._deadline, self._end = target.deadline, f'"{rfc3339(target.deadline)}"}}}}'
        workspace_id = str(target.workspace_id)
        identity = self._identity(workspace_id)
        text = (
            f"{self._before_id}{identity}{self._before_subject}{workspace_id}{self._rest}"
            f'{workspace_id}","name":{quoted(target.name)},'
            f'"instance_id":{_nullable(target.instance_id)},'
            f'"runtime":{_nullable(target.runtime)},'
            f'"previous_status":{quoted(target.previous_status)},'
            f'"generation":{target.generation},"deadline":{self._end}'
        )
        return identity, text.encode()

    def _identity(self, workspace_id: str) -> str:
        """Derive the id as `operation.message_id` does (UUID version 5, RFC 9562)."""
        hashed = self._hashed.copy()
        hashed.update(workspace_id.encode())
        text = hashed.hexdigest()
        variant = "89ab"[int(text[16], 16) & 3]
        return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"


def _nullable(text: str | None) -> str:
    return "null" if text is None else quoted(text)
