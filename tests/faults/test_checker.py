"""The checker itself: what is tampered with behind the program's back is seen, each thing."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from uuid import uuid4

import aio_pika
import asyncpg
import pytest

from tests.support.checker import account
from tests.support.harm import recovered
from tests.support.load import HEARD, REPLIES, Load
from tests.support.program import process
from tests.support.siege import Urls
from tests.support.trial import A_ROUND, SETTINGS

_ORDERS = ("workspace.stop", "workspace.start")
_RECORD = (
    "delete from lifecycle.operation where operation_id ="
    " (select operation_id from lifecycle.operation where outcome = 'rejected' limit 1)"
)
_STATUS = (
    "update workspaces set status = 'failed'"
    " where id = (select workspace_id from lifecycle.target limit 1)"
)


@dataclass(frozen=True)
class Kept:
    """One message that was heard."""

    kind: str
    identity: str | None
    correlation: str | None
    body: bytes


@pytest.fixture
async def heard(urls: Urls, sent: Load) -> list[Kept]:
    """Run an unharmed program under a load, and take out what it said."""
    async with process(urls.amqp, urls.database, **SETTINGS):
        await sent.send(4 * A_ROUND)
        await recovered(urls, sent)
    return await taken(sent, HEARD)


async def taken(sent: Load, name: str) -> list[Kept]:
    """Take everything out of one of the trial's queues."""
    queue, kept = await sent.channel.get_queue(name), []
    while (one := await queue.get(no_ack=True, fail=False)) is not None:
        kept.append(Kept(one.type or "", one.message_id, one.correlation_id, one.body))
    return kept


async def put(sent: Load, queue: str, messages: Iterable[Kept]) -> None:
    """Put messages into a queue again."""
    for one in messages:
        message = aio_pika.Message(
            one.body, message_id=one.identity, correlation_id=one.correlation, type=one.kind
        )
        await sent.channel.default_exchange.publish(message, queue)


def place(heard: list[Kept], *endings: str) -> int:
    """Find the first message of a kind."""
    return next(place for place, one in enumerate(heard) if one.kind.endswith(endings))


async def test_what_is_whole_is_valid_whatever_came_twice(
    sent: Load, heard: list[Kept], connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """A message that came once more under its id is counted, and nothing else."""
    await put(sent, HEARD, [*heard, heard[place(heard, *_ORDERS)]])
    found = await account(sent, sent.channel, connection)
    assert found.valid(), found
    assert (found.sent, found.outcomes, found.repeated) == (len(sent.sent), len(sent.sent), 1)


async def test_every_kind_of_harm_is_seen(
    sent: Load, heard: list[Kept], connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """An order, an answer, an end, a reply, a record less; an order, an answer, a change more."""
    for kind in (_ORDERS, (".rejected",), (".settled",)):
        heard.pop(place(heard, *kind))
    more = [heard[place(heard, *kind)] for kind in (_ORDERS, (".summary",))]
    await put(sent, HEARD, [*heard, *(replace(one, identity=str(uuid4())) for one in more)])
    await put(sent, REPLIES, (await taken(sent, REPLIES))[1:])
    for tampering in (_RECORD, _STATUS):
        await connection.execute(tampering)
    found = await account(sent, sent.channel, connection)
    told = "\n".join((*found.lost, *found.unexpected, *found.doubled))
    for words in (
        "no command for", "no answer to", "no settlement of", "askings of", "no record of",
        "a command too many for", "2 outcomes of", "too late", "is failed after a",
    ):  # fmt: skip
        assert words in told
