"""Looking back: which operations, in what order, and which of their targets."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from consumer.operation import Operation
from consumer.store.history import (
    Entry,
    EntryTarget,
    entry,
    entry_targets,
    open_operations,
    recent_operations,
    workspace_operations,
)
from consumer.store.statements import load
from consumer.store.targets import expire_targets, settle_targets
from tests.store.carried import pause, resume
from tests.support.forest import Forest
from tests.support.one import record_operation

BEGAN = datetime(2020, 5, 28, 9, 30, tzinfo=UTC)
MANY = 50_000


def command(number: int, **changes: object) -> Operation:
    """Make an operation of the minute `number`, refused unless it is said otherwise."""
    recorded_at = BEGAN + timedelta(minutes=number)
    row = Operation(
        operation_id=UUID(int=number), action="pause", workspace_id=None, source="/billing",
        app_id="billing", message_id=f"m-{number}", correlation_id="c", traceparent=None,
        cascade=None, undo=None, requested_by="ops", reason="budget", outcome="rejected",
        status=409, code="descendants_exist", deprecated=False, generation=None,
        answer_type="workspace.pause.rejected", answer=b"answer", target_count=0, open_count=0,
        recorded_at=recorded_at, deadline=recorded_at,
    )  # fmt: skip
    return replace(row, **changes)  # type: ignore[arg-type]  # as the test has them


async def test_the_newest_come_first_and_no_more_than_asked_for(forest: Forest) -> None:
    """Operations are listed by the time of their recording, whatever order they came in."""
    for number in (2, 5, 1, 4, 3):
        await record_operation(forest.connection, command(number))
    found = await recent_operations(forest.connection, 3)
    assert [one.operation_id.int for one in found] == [5, 4, 3]


async def test_operations_of_one_moment_have_one_order(forest: Forest) -> None:
    """Where two were recorded at the same time, their ids decide."""
    for number in (1, 3, 2):
        await record_operation(forest.connection, command(number, recorded_at=BEGAN))
    found = await recent_operations(forest.connection, 2)
    assert [one.operation_id.int for one in found] == [3, 2]


async def test_an_entry_is_what_was_recorded(forest: Forest) -> None:
    """Every member comes back as it went in, with the named workspace's name."""
    top = await forest.plant("top")
    row = command(1, workspace_id=top, cascade=True, undo=uuid4(), deprecated=True)
    await record_operation(forest.connection, row)
    found = await entry(forest.connection, row.operation_id)
    assert found is not None
    shared = {one.name for one in fields(Entry)} & {one.name for one in fields(Operation)}
    assert {name: getattr(found, name) for name in shared} == {
        name: getattr(row, name) for name in shared
    }
    assert (found.name, found.settled_at) == ("top", row.recorded_at)


async def test_an_unknown_operation_is_none(forest: Forest) -> None:
    """An id that nobody gave out is no entry and has no targets."""
    assert await entry(forest.connection, uuid4()) is None
    assert await entry_targets(forest.connection, uuid4(), None, every=True) == []


async def test_a_name_outlives_its_workspace(forest: Forest) -> None:
    """The name is the present one; of a workspace that is gone, the one it had as a target."""
    top = await forest.plant("top")
    carried = await pause(forest.connection, top)
    await forest.connection.execute("update workspaces set name = 'renamed'")
    renamed = await entry(forest.connection, carried.operation_id)
    await forest.connection.execute("delete from workspaces")
    gone = await entry(forest.connection, carried.operation_id)
    assert renamed is not None
    assert gone is not None
    assert (renamed.name, gone.name) == ("renamed", "top")


async def test_open_ones_are_those_that_are_not_settled(forest: Forest) -> None:
    """What is settled is left out, also where a workspace is asked for."""
    top = await forest.plant("top", "top/below")
    other = await forest.plant("other")
    first = await pause(forest.connection, top)
    second = await resume(forest.connection, top)
    third = await pause(forest.connection, other)
    await settle_targets(
        forest.connection, [first.result(forest.ids[name]) for name in ("top", "below")]
    )
    everywhere = await open_operations(forest.connection, 9, None)
    below = await open_operations(forest.connection, 9, forest.ids["below"])
    assert [one.operation_id for one in everywhere] == [third.operation_id, second.operation_id]
    assert [one.operation_id for one in below] == [second.operation_id]
    assert await open_operations(forest.connection, 1, None) == everywhere[:1]


async def test_a_workspace_has_the_operations_that_named_it_or_touched_it(forest: Forest) -> None:
    """Refused ones that named it, carried ones above it; each once, and nobody else's."""
    top = await forest.plant("top", "top/below")
    below = forest.ids["below"]
    await record_operation(forest.connection, command(1, workspace_id=below))
    await record_operation(forest.connection, command(2, workspace_id=await forest.plant("other")))
    touched = await pause(forest.connection, top)
    named = await resume(forest.connection, below)
    found = await workspace_operations(forest.connection, 9, below)
    assert [one.operation_id for one in found] == [
        named.operation_id,
        touched.operation_id,
        UUID(int=1),
    ]
    assert await workspace_operations(forest.connection, 2, below) == found[:2]


async def test_what_is_not_well_is_told_in_the_contracts_order(forest: Forest) -> None:
    """Failed, timed out and open targets by depth and name; with `every` the others too."""
    top = await forest.plant("top", "top/c", "top/b", "top/a", "a/deep")
    carried = await pause(forest.connection, top)
    await settle_targets(
        forest.connection,
        [
            carried.result(forest.ids["b"]),
            carried.result(forest.ids["a"], "superseded"),
            carried.result(forest.ids["deep"], "failed"),
        ],
    )
    some = await entry_targets(forest.connection, carried.operation_id, None)
    every = await entry_targets(forest.connection, carried.operation_id, None, every=True)
    cut = await entry_targets(forest.connection, carried.operation_id, 2)
    assert [(one.name, one.outcome) for one in some] == [
        ("top", None),
        ("c", None),
        ("deep", "failed"),
    ]
    assert (some[2].code, some[2].detail, some[2].instance_id) == ("refused", "no", "i-deep")
    assert [one.name for one in every] == ["top", "a", "b", "c", "deep"]
    assert cut == some[:2]


async def test_what_timed_out_is_not_well(forest: Forest) -> None:
    """A target without an outcome at the deadline is listed as timed out."""
    carried = await pause(forest.connection, await forest.plant("top"), seconds=-1)
    await expire_targets(forest.connection)
    (target,) = await entry_targets(forest.connection, carried.operation_id, None)
    found = await entry(forest.connection, carried.operation_id)
    assert target.outcome == "timed_out"
    assert found is not None
    assert (found.timed_out_count, found.open_count) == (1, 0)


@pytest.mark.parametrize(
    ("statement", "model"), [("entries", Entry), ("entry_targets", EntryTarget)]
)
async def test_the_columns_are_the_fields(
    connection: "asyncpg.Connection[asyncpg.Record]", statement: str, model: type
) -> None:
    """A row spread into its class fits it."""
    prepared = await connection.prepare(load("history")[statement])
    assert [one.name for one in prepared.get_attributes()] == [one.name for one in fields(model)]


async def test_a_long_history_is_read_by_its_indexes(forest: Forest) -> None:
    """Among many operations only the newest and a workspace's, without an index, take a scan."""
    await record_many(forest)
    calls: dict[str, tuple[object, ...]] = {
        "recent_operations": (20,),
        "workspace_operations": (20, UUID(int=7)),
        "open_operations": (20, UUID(int=7)),
        "entries": ([UUID(int=7)], 20),
        "entry_targets": (UUID(int=7), False, 101),
    }
    scanned = {
        name for name, arguments in calls.items() if await scans(forest.connection, name, arguments)
    }
    assert scanned <= {"recent_operations", "workspace_operations"}


async def record_many(forest: Forest) -> None:
    """Record a long history, all of it settled, each operation with its target."""
    await forest.connection.execute(
        "insert into lifecycle.operation (operation_id, action, workspace_id, source, app_id,"
        " outcome, status, deprecated, answer_type, answer, target_count, open_count, recorded_at,"
        " deadline, settled_at) select gen_random_uuid(), 'pause', gen_random_uuid(), 's', 's',"
        " 'carried', 200, false, 't', '', 1, 0, now() + n * interval '1 second', now(), now()"
        f" from generate_series(1, {MANY}) n"
    )
    await forest.connection.execute(
        "insert into lifecycle.target (operation_id, workspace_id, generation, depth, name,"
        " previous_status, commanded) select operation_id, workspace_id, 1, 0, 'n', 'online', true"
        " from lifecycle.operation"
    )
    await forest.connection.execute("analyze lifecycle.operation, lifecycle.target, workspaces")


async def scans(
    connection: "asyncpg.Connection[asyncpg.Record]", name: str, arguments: tuple[object, ...]
) -> bool:
    """Tell whether a statement would read one of the program's tables whole."""
    explained = await connection.fetch(f"explain {load('history')[name]}", *arguments)
    lines = [row[0] for row in explained]
    return any(
        f"Seq Scan on {table}" in line for line in lines for table in ("operation", "target")
    )
