"""Writing what the database still knows of operations that the trail has lost.

A repaired operation is one object under `repaired/`, beside the archive, which nothing changes.
Each of its messages has the header `x-repaired`; the offsets are those of its lines.
"""

import asyncio
import gzip
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from consumer.answers import settled_event
from consumer.audit.bucket import Bucket
from consumer.audit.fold import REPAIRED
from consumer.audit.lines import encode
from consumer.audit.manifest import NDJSON, unpack
from consumer.operation import Target, message_id
from consumer.orders import Orders
from consumer.record import Record
from consumer.store.operations import standing
from consumer.store.pool import Connection, Database
from consumer.store.targets import failures
from consumer.store.trail import Asking, asking, ordered_targets
from schemas.catalog import BY_NAME, COMMANDS, OPERATION_HEADER, SOURCE
from schemas.envelope import CLOUDEVENTS

PREFIX = "repaired/"
_DATABASE = "database"
_CHUNK = 1000


class Repairer:
    """Writes operations as they stand in the database; again, the same bytes."""

    def __init__(self, database: Database, bucket: Bucket, max_listed: int) -> None:
        self._database, self._bucket, self._max_listed = database, bucket, max_listed

    async def repair(self, operation_ids: Sequence[UUID]) -> int:
        """Write an object for each; give the count of those that the database still knows.

        Raises:
            UnavailableError: database or S3 is away.

        """
        count = 0
        for operation_id in operation_ids:
            async with self._database.connection() as connection:
                asked = await asking(connection, operation_id)
                if asked is None:
                    continue
                records = await self._records(connection, asked)
            lines = b"".join(
                encode(replace(one, offset=place)) for place, one in enumerate(records)
            )
            body = await asyncio.to_thread(gzip.compress, lines, 6, mtime=0)
            await self._bucket.put(_name(asked), body, NDJSON)
            count += 1
        return count

    async def _records(self, connection: Connection, asked: Asking) -> list[Record]:
        records = [_command(asked), _event(asked, asked.answer_type, asked.answer)]
        if asked.outcome != "carried":
            return records
        after: UUID | None = None
        orders = _orders(asked)
        while targets := await ordered_targets(connection, asked.operation_id, after, _CHUNK):
            records += [_order(orders, asked, target) for target in targets]
            after = targets[-1].workspace_id
        if asked.settled_at is not None:
            stands = (await standing(connection, [asked.operation_id]))[asked.operation_id]
            failed = await failures(connection, asked.operation_id, self._max_listed)
            settled = settled_event(replace(stands, at=asked.settled_at), failed, None)
            records.append(_event(asked, settled.type, settled.body, asked.settled_at))
        return records


async def repaired(bucket: Bucket) -> AsyncGenerator[list[Record], None]:
    """Read what was repaired, an operation at a time.

    Raises:
        UnavailableError: S3 is away.
        ValueError: an object cannot be read.

    """
    async for name in bucket.names(PREFIX):
        yield unpack(await bucket.get(name))


def _name(asked: Asking) -> str:
    hour = asked.recorded_at.astimezone(UTC)
    return f"{PREFIX}{hour:dt=%Y-%m-%d/hour=%H}/{asked.operation_id}.ndjson.gz"


def _command(asked: Asking) -> Record:
    """Give the command as far as it is known; its own bytes are not kept."""
    members = {
        "workspace_id": asked.workspace_id,
        "cascade": asked.cascade,
        "undo": asked.undo,
        "requested_by": asked.requested_by,
        "reason": asked.reason,
    }
    told = {
        name: str(value) if isinstance(value, UUID) else value
        for name, value in members.items()
        if value is not None
    }
    kind = f"workspace.{asked.action}"
    return Record(
        offset=0,
        exchange=COMMANDS,
        routing_key=kind,
        body=json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode(),
        properties=_set(
            content_type="application/json",
            correlation_id=asked.correlation_id,
            message_id=asked.message_id,
            timestamp=asked.recorded_at,
            app_id=asked.app_id,
            type=kind,
        ),
        headers={REPAIRED: _DATABASE, OPERATION_HEADER: str(asked.operation_id)},
    )


def _event(asked: Asking, kind: str, body: bytes, time: datetime | None = None) -> Record:
    return _ours(asked, kind, body, str(message_id(asked.operation_id, kind)), time)


def _order(orders: Orders, asked: Asking, target: Target) -> Record:
    identity, body = orders.write(target)
    return _ours(asked, _order_kind(asked), body, identity, None)


def _orders(asked: Asking) -> Orders:
    return Orders(
        _order_kind(asked),
        asked.operation_id,
        time=asked.recorded_at,
        correlation_id=asked.correlation_id or asked.message_id,
        causation_id=asked.message_id,
        traceparent=asked.traceparent,
    )


def _order_kind(asked: Asking) -> str:
    return "workspace.stop" if asked.action == "pause" else "workspace.start"


def _ours(asked: Asking, kind: str, body: bytes, identity: str, time: datetime | None) -> Record:
    return Record(
        offset=0,
        exchange=BY_NAME[kind].exchange,
        routing_key=kind,
        body=body,
        properties=_set(
            content_type=CLOUDEVENTS,
            delivery_mode=2,
            correlation_id=asked.correlation_id or asked.message_id,
            message_id=identity,
            timestamp=time or asked.recorded_at,
            app_id=SOURCE,
            type=kind,
        ),
        headers={REPAIRED: _DATABASE, OPERATION_HEADER: str(asked.operation_id)},
    )


def _set(**properties: Any) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if value is not None}
