"""Pruning: never what is open, pending or young, and nothing that the archive does not have."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from consumer.audit.archive import Archiver
from consumer.audit.pruner import Pruner
from consumer.broker.stream import Stream
from consumer.settings import Settings
from consumer.store.pool import Database
from consumer.store.prune import pruned_before
from tests.audit.filling import Filler
from tests.broker.tools import Facts
from tests.support.caller import WireCaller
from tests.support.forest import Forest
from tests.support.program import running

DAY = timedelta(days=1)
PENDING = (
    "insert into lifecycle.outbox (operation_id, kind, type)"
    " select operation_id, 'event', answer_type from lifecycle.operation"
)
TABLES = ("operation", "target", "inbox")


@pytest.fixture
def pruner(pool: Database, stream: Stream) -> Pruner:
    """Make a pruner that keeps a day."""
    return Pruner(pool, stream, DAY, every=0.05)


@pytest.fixture
async def old(
    settings_of: Callable[..., Settings], caller: WireCaller, forest: Forest
) -> list[UUID]:
    """Settle two pauses, two days ago, and refuse one; give the paused workspaces."""
    async with running(settings_of()):
        tops = [await forest.plant(name, f"{name}/below") for name in ("one", "two")]
        for top in tops:
            told = await caller.ask("workspace.pause", _body(top), message_id=str(top))
            operation_id = told.data["operation_id"]
            await caller.hear("workspace.pause.settled", operation_id=operation_id)
        await caller.all_out()
    await age(forest.connection)
    return tops


async def age(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Make all that is recorded two days older."""
    await connection.execute(
        "update lifecycle.operation set recorded_at = recorded_at - interval '2 days',"
        " settled_at = settled_at - interval '2 days'"
    )
    await connection.execute(
        "update lifecycle.inbox set recorded_at = recorded_at - interval '2 days'"
    )


async def counts(forest: Forest) -> list[int]:
    """Count the rows."""
    return [
        await forest.connection.fetchval(f"select count(*) from lifecycle.{table}")
        for table in TABLES
    ]


async def test_what_is_archived_and_old_goes(
    pruner: Pruner, old: list[UUID], forest: Forest, archiver: Callable[..., Archiver]
) -> None:
    """Operations with their targets and ids; the database says until when."""
    assert len(old) == 2
    assert await counts(forest) == [3, 4, 3]
    due = await pruner.look()
    assert due is not None
    assert await pruner.prune(due) is False
    assert await counts(forest) == [3, 4, 3]
    await archiver().once()
    assert await pruner.prune(due) is True
    assert await counts(forest) == [0, 0, 0]
    assert await pruned_before(forest.connection) == due.before
    assert await pruner.look() is None


@pytest.mark.parametrize(
    "change",
    [
        "update lifecycle.operation set settled_at = null",
        "update lifecycle.operation set settled_at = now()",
        "update lifecycle.operation set recorded_at = now()",
        PENDING,
    ],
)
async def test_what_is_open_young_or_pending_stays(
    pruner: Pruner, old: list[UUID], forest: Forest, change: str
) -> None:
    """One such thing holds back all that was recorded after it."""
    assert old
    await forest.connection.execute(change)
    assert await pruner.look() is None


async def test_one_that_is_open_keeps_what_came_after_it(
    pruner: Pruner, old: list[UUID], forest: Forest, archiver: Callable[..., Archiver]
) -> None:
    """And what came before it goes."""
    await archiver().once()
    await forest.connection.execute(
        "update lifecycle.operation set settled_at = null where workspace_id = $1", old[1]
    )
    due = await pruner.look()
    assert due is not None
    assert await pruner.prune(due)
    assert await counts(forest) == [2, 2, 2]


async def test_a_stream_begun_anew_is_looked_at_again(
    pruner: Pruner,
    old: list[UUID],
    forest: Forest,
    filler: Filler,
    archiver: Callable[..., Archiver],
) -> None:
    """Places of another epoch say nothing."""
    assert old
    await archiver().once()
    await filler.number(0, 2)
    due = await pruner.look()
    assert due is not None
    await filler.begin_anew()
    await filler.number(0, 40)
    await archiver().once()
    assert await pruner.prune(due) is True
    assert await counts(forest) == [3, 4, 3]


async def test_it_runs_until_it_is_stopped(
    pruner: Pruner,
    old: list[UUID],
    forest: Forest,
    archiver: Callable[..., Archiver],
    facts: Facts,
) -> None:
    """It waits for the archive, prunes, and says how many."""
    assert old
    stop = asyncio.Event()
    task = asyncio.create_task(pruner.run(lambda: None, stop))
    await archiver().once()
    (said,) = await facts.wait("operations.pruned")
    assert said["count"] == 3
    stop.set()
    await asyncio.wait_for(task, 20)
    assert await counts(forest) == [0, 0, 0]


async def test_an_id_is_known_as_long_as_it_is_kept(
    pruner: Pruner,
    old: list[UUID],
    caller: WireCaller,
    archiver: Callable[..., Archiver],
    settings_of: Callable[..., Settings],
) -> None:
    """Before it is pruned the same answer comes, afterwards it is a command like any other."""
    async with running(settings_of()):
        first = await caller.ask("workspace.pause", _body(old[0]), message_id=str(old[0]))
        assert first.data["paused_count"] == 2
        await archiver().once()
        due = await pruner.look()
        assert due is not None
        await pruner.prune(due)
        second = await caller.ask("workspace.pause", _body(old[0]), message_id=str(old[0]))
    assert second.data["paused_count"] == 0


def _body(workspace_id: UUID) -> dict[str, object]:
    return {"workspace_id": workspace_id, "cascade": True}
