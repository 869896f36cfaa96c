"""Messages by the hundred thousand: AMQP frames written in bulk to a plain socket."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from urllib.parse import unquote, urlsplit
from uuid import UUID

from pamqp import frame
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.commands import Basic, Channel, Connection
from pamqp.header import ContentHeader, ProtocolHeader

from schemas.envelope import CLOUDEVENTS

_ZERO = str(UUID(int=0)).encode()
_AT_ONCE = 1000
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
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 5672)
    user, password = unquote(parts.username or "guest"), unquote(parts.password or "guest")
    writer.write(ProtocolHeader().marshal())
    await _answer(reader)
    secret = f"\0{user}\0{password}"
    _write(writer, 0, Connection.StartOk({}, "PLAIN", secret, "en_US"))
    await _answer(reader)
    _write(writer, 0, Connection.TuneOk(2047, 131_072, 0))
    _write(writer, 0, Connection.Open(unquote(parts.path[1:]) or "/"))
    await _answer(reader)
    _write(writer, 1, Channel.Open())
    await _answer(reader)
    for chunk in _messages(count):
        writer.write(chunk)
        await writer.drain()
    # The broker answers this when it has taken all that stood before it.
    _write(writer, 1, Channel.Close(200, "", 0, 0))
    await _answer(reader)
    writer.close()
    await writer.wait_closed()


def _messages(count: int) -> Iterator[bytes]:
    """Give frames in chunks. One message is made whole; the others differ in their ids alone."""
    body = _BODY.replace(b"%b", _ZERO)
    properties = Basic.Properties(
        content_type=CLOUDEVENTS,
        delivery_mode=2,
        message_id=_ZERO.decode(),
        timestamp=datetime(2026, 5, 28, 12, tzinfo=UTC),
        message_type="workspace.stop",
        app_id="flood",
    )
    publish = Basic.Publish(0, "workspace.events", "flood", mandatory=False, immediate=False)
    whole = b"".join(
        frame.marshal(part, 1)
        for part in (publish, ContentHeader(0, len(body), properties), ContentBody(body))
    )
    parts = whole.split(_ZERO)
    ids = Random(count)
    for start in range(0, count, _AT_ONCE):
        yield b"".join(
            str(UUID(int=ids.getrandbits(128))).encode().join(parts)
            for _ in range(start, min(start + _AT_ONCE, count))
        )


def _write(writer: asyncio.StreamWriter, channel: int, method: Frame) -> None:
    writer.write(frame.marshal(method, channel))


async def _answer(reader: asyncio.StreamReader) -> None:
    """Read one frame, whatever it says."""
    head = await reader.readexactly(7)
    await reader.readexactly(int.from_bytes(head[3:7], "big") + 1)
