"""Targets: settled once each, whatever order and how many at once."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from uuid import UUID, uuid4

import asyncpg
import pytest

from consumer.operation import Operation, Outcome, Result
from consumer.store.operations import standing
from consumer.store.pool import Connection, Database
from consumer.store.targets import News, expire_targets, failures, newest, settle_targets
from tests.support.forest import Forest
from tests.support.one import pause_targets, record_operation, resume_targets


@pytest.fixture
async def forest(connection: "asyncpg.Connection[asyncpg.Record]") -> Forest:
    """Give an empty forest."""
    return Forest(connection)


async def paused(pool: Database, top: UUID, deadline: float = 60) -> tuple[UUID, int, int]:
    """Carry a pause into the database; give operation, generation and count."""
    operation_id = uuid4()

    async def work(connection: Connection) -> tuple[int, int]:
        recorded = await pause_targets(connection, top, operation_id, 10)
        now = datetime.now(UTC)
        operation = Operation(
            operation_id=operation_id, action="pause", workspace_id=top, source="t", app_id="t",
            message_id=None, correlation_id=None, traceparent=None, cascade=True, undo=None,
            requested_by=None, reason=None, outcome="carried", status=200, code=None,
            deprecated=False, generation=recorded.generation, answer_type="x", answer=b"",
            target_count=recorded.count, open_count=recorded.count, recorded_at=now,
            deadline=now + timedelta(seconds=deadline),
        )  # fmt: skip
        await record_operation(connection, operation)
        return recorded.generation, recorded.count

    generation, count = await pool.run(work)
    return operation_id, generation, count


def result(
    operation: UUID, workspace: UUID, generation: int, outcome: Outcome = "succeeded"
) -> Result:
    """Say what an executor said."""
    return Result(
        operation_id=operation,
        workspace_id=workspace,
        generation=generation,
        action="pause",
        outcome=outcome,
        message_id="r",
        code="c" if outcome == "failed" else None,
    )


async def settle(pool: Database, *results: Result) -> list[News]:
    """Take results in, in one transaction."""
    return await pool.run(partial(_settle, results))


async def _settle(results: tuple[Result, ...], connection: Connection) -> list[News]:
    return await settle_targets(connection, results)


async def test_in_any_order_twice_and_at_once_an_operation_settles_exactly_once(
    pool: Database, forest: Forest
) -> None:
    """Whichever transaction brings the last outcome settles the operation, and no other."""
    top = await forest.plant("top", *(f"top/w{i}" for i in range(40)))
    operation, generation, count = await paused(pool, top)
    results = [result(operation, one, generation) for one in forest.ids.values()] * 2
    Random(4).shuffle(results)
    batches = [settle(pool, *results[i : i + 7]) for i in range(0, len(results), 7)]
    progress = [one for batch in await asyncio.gather(*batches) for one in batch]
    assert sum(one.outcome_count for one in progress) == count == 41
    assert [one.open_count for one in progress].count(0) == 1


async def test_strangers_and_wrong_generations_are_harmless(pool: Database, forest: Forest) -> None:
    """Only this operation's own result for this workspace counts."""
    top = await forest.plant("top", "other")
    operation, generation, _ = await paused(pool, top)
    wrong = [
        result(uuid4(), top, generation),
        result(operation, forest.ids["other"], generation),
        result(operation, top, generation + 1),
        result(operation, top, generation - 1),
    ]
    assert await settle(pool, *wrong) == []
    (progress,) = await settle(pool, result(operation, top, generation))
    assert progress.open_count == 0


async def test_a_failed_stop_gives_back_status_and_url(pool: Database, forest: Forest) -> None:
    """A workspace whose stop failed is as it was, where nothing newer has touched it."""
    top = await forest.plant("top:degraded", "top/kept", "top/moved")
    operation, generation, _ = await paused(pool, top)
    await forest.connection.execute("update workspaces set status = 'failed' where name = 'moved'")
    later = uuid4()

    async def resume(connection: Connection) -> None:
        await resume_targets(connection, forest.ids["kept"], later, 10)

    await pool.run(resume)
    failed = [result(operation, one, generation, "failed") for one in forest.ids.values()]
    (progress,) = await settle(pool, *failed)
    assert (progress.open_count, progress.compensated_count) == (0, 1)
    assert await forest.statuses() == {
        "top": "degraded",
        "kept": "provisioning",
        "moved": "failed",
    }
    urls = await forest.connection.fetch("select url from workspaces order by name")
    assert [row["url"] for row in urls] == ["", "", "http://top"]
    async with pool.connection() as connection:
        listed = await failures(connection, operation, 2)
        assert [one.name for one in listed] == ["top", "kept"]
        assert await newest(connection, [forest.ids["kept"]], [generation]) == [False]
        assert await newest(connection, [top], [generation]) == [True]


async def test_what_is_open_at_the_deadline_times_out_and_is_left(
    pool: Database, forest: Forest
) -> None:
    """An unknown outcome is counted, settled once, and its workspace is not touched."""
    top = await forest.plant("top", "top/a")
    operation, generation, _ = await paused(pool, top, deadline=-1)
    await settle(pool, result(operation, top, generation))

    async def expire(connection: Connection) -> list[News]:
        return await expire_targets(connection)

    (progress,) = await pool.run(expire)
    assert (progress.operation_id, progress.outcome_count) == (operation, 1)
    assert await pool.run(expire) == []
    assert progress.settled
    assert await forest.statuses() == {"top": "paused", "a": "paused"}


async def test_a_late_result_corrects_the_workspace_and_the_counts_once(
    pool: Database, forest: Forest
) -> None:
    """What had timed out gets its outcome after all, and the operation is not settled again."""
    top = await forest.plant("top", "top/a:degraded", "top/b")
    operation, generation, _ = await paused(pool, top, deadline=-1)
    await pool.run(expire_targets)
    late = result(operation, forest.ids["a"], generation, "failed")
    (news,) = await settle(pool, late, result(operation, top, generation))
    assert (news.settled, news.progressed, news.open_count) == (False, False, 0)
    assert [(one.name, one.outcome, one.restored_status) for one in news.corrections] == [
        ("top", "succeeded", None),
        ("a", "failed", "degraded"),
    ]
    assert await settle(pool, late) == []
    async with pool.connection() as connection:
        stands = (await standing(connection, [operation]))[operation]
    assert (stands.succeeded_count, stands.failed_count, stands.timed_out_count) == (1, 1, 1)
    assert await forest.statuses() == {"top": "paused", "a": "degraded", "b": "paused"}


async def test_a_late_failure_does_not_touch_what_a_newer_command_changed(
    pool: Database, forest: Forest
) -> None:
    """The correction is told, with nothing given back."""
    top = await forest.plant("top")
    operation, generation, _ = await paused(pool, top, deadline=-1)
    await pool.run(expire_targets)
    async with pool.connection() as connection:
        await resume_targets(connection, top, uuid4(), 10)
    (news,) = await settle(pool, result(operation, top, generation, "failed"))
    assert [one.restored_status for one in news.corrections] == [None]
    assert await forest.statuses() == {"top": "provisioning"}


@pytest.mark.parametrize(("targets", "told"), [(100, False), (101, True)])
async def test_progress_is_due_once_a_second_and_only_of_large_operations(
    pool: Database, forest: Forest, targets: int, told: bool
) -> None:
    """Those that watch over 100 targets are told at the first outcome, then not for a second."""
    top = await forest.plant("top", *(f"top/{number}" for number in range(targets - 1)))
    operation, generation, _ = await paused(pool, top)
    first, second, third = (
        result(operation, forest.ids[str(number)], generation) for number in range(3)
    )
    assert [news.progressed for news in await settle(pool, first)] == [told]
    assert [news.progressed for news in await settle(pool, second)] == [False]
    await forest.connection.execute(
        "update lifecycle.operation set progress_at = progress_at - interval '1 second'"
    )
    assert [news.progressed for news in await settle(pool, third)] == [told]
