"""Messages by the hundred thousand, for the audit stream alone."""

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from uuid import UUID

from pamqp.commands import Basic

from schemas.envelope import CLOUDEVENTS
from tests.support.wire import Wire, form

_AT_ONCE = 50_000
_ZERO = str(UUID(int=0))
_BODY = (
    b'{"specversion":"1.0","id":"%b","source":"workspace-lifecycle","type":"workspace.stop",'
    b'"subject":"%b","time":"2026-05-28T12:00:00Z","datacontenttype":"application/json",'
    b'"operationid":"7c9e6679-7425-40de-944b-e07fc1f90ae7","data":{"operation_id":'
    b'"7c9e6679-7425-40de-944b-e07fc1f90ae7","workspace_id":"%b","name":"Writing Agent",'
    b'"instance_id":"i-0123456789abcdef0","runtime":"ec2","previous_status":"online",'
    b'"generation":7,"deadline":"2026-05-28T12:05:00Z"}}'
)


async def flood(url: str, count: int) -> None:
    """Publish so many stop commands, each with ids of its own, to the events exchange."""
    wire = await Wire.open(url)
    for start in range(0, count, _AT_ONCE):
        await wire.publish(_messages(count + start, min(_AT_ONCE, count - start)))
    await wire.close()


def _messages(seed: int, count: int) -> Iterator[bytes]:
    """Give messages that differ in their ids alone."""
    properties = Basic.Properties(
        content_type=CLOUDEVENTS,
        delivery_mode=2,
        message_id=_ZERO,
        timestamp=datetime(2026, 5, 28, 12, tzinfo=UTC),
        message_type="workspace.stop",
        app_id="flood",
    )
    body = _BODY.replace(b"%b", _ZERO.encode())
    whole = form("workspace.events", "flood", properties, body, [_ZERO])
    ids = Random(seed)
    for _ in range(count):
        identity = str(UUID(int=ids.getrandbits(128))).encode()
        yield whole % ((identity,) * 4)
