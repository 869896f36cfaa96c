"""Commands that share a transaction: each gets what it would get alone, and none waits for it."""

import asyncio
import hashlib
import json
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.lifecycle.case import Asked, Told
from consumer.lifecycle.transaction import LARGE, Transaction
from consumer.observe import listening
from consumer.operation import Command, Origin, Problem
from consumer.policy import Policy
from consumer.rates import Ticket
from consumer.store.pool import Connection, Database, StaleError
from consumer.store.tree import lock_tree
from schemas.commands import PauseWorkspace, ResumeWorkspace
from tests.support.forest import Forest

_MODELS = {"pause": PauseWorkspace, "resume": ResumeWorkspace}
_POLICY = Policy(max_listed=10)
_HOUR = timedelta(hours=1)


def asking(root: UUID, action: Any = "pause", key: str = "", **fields: Any) -> Asked:
    """Ask for something, under an id of its own where none is given."""
    key = key or str(uuid4())
    digest = hashlib.sha256(f"{action} {root} {sorted(fields.items())}".encode()).digest()
    origin = Origin(
        action=action, source="t", message_id=key, key=key, digest=digest, app_id="t",
        reply_to="amq.gen-x",
    )  # fmt: skip
    data = _MODELS[action](workspace_id=root, **fields)
    return Asked(Command(origin, data), frozenset({root}), Ticket(None))


async def together(pool: Database, asked: Sequence[Asked]) -> list[Told | None]:
    """Carry them out in one transaction."""

    async def work(connection: Connection) -> list[Told | None]:
        return await Transaction(connection, _POLICY, _HOUR, alone=False).carry(asked)

    return await pool.run_briefly(work)


async def alone(pool: Database, asked: Asked) -> Told | None:
    """Carry one out by itself."""

    async def work(connection: Connection) -> list[Told | None]:
        return await Transaction(connection, _POLICY, _HOUR, alone=True).carry([asked])

    return (await pool.run(work))[0]


async def written(connection: "asyncpg.Connection[asyncpg.Record]") -> list[Any]:
    """Read all that was written, save what is drawn anew each time."""
    found = []
    for table, drawn in (
        ("public.workspaces", "'{updated_at}'"),
        (
            "lifecycle.operation",
            "'{operation_id,answer,generation,recorded_at,deadline,settled_at}'",
        ),
        ("lifecycle.target", "'{operation_id,generation,settled_at}'"),
        ("lifecycle.inbox", "'{operation_id,recorded_at}'"),
        ("lifecycle.outbox", "'{seq,operation_id,created_at,body}'"),
    ):
        rows = await connection.fetch(f"select to_jsonb(t) - {drawn}::text[] as row from {table} t")
        found.append(sorted(row["row"] for row in rows))
    return found


async def answers(
    connection: "asyncpg.Connection[asyncpg.Record]", told: Sequence[Told | None]
) -> list[Any]:
    """Read what each was answered, save the ids that are drawn anew each time."""
    found = []
    for one in told:
        assert one is not None
        answer = await connection.fetchval(
            "select answer from lifecycle.operation where operation_id = $1", one.operation_id
        )
        said = json.loads(answer)["data"] | {"operation_id": None}
        found.append((one.fact, one.answer_type, one.status, one.code, one.count, said))
    return found


_TREES = ("{0}", "{0}/a{0}", "{0}/b{0}:paused", "b{0}/c{0}")
_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "cascade": st.booleans(),
        "dry_run": st.booleans(),
        "if_match": st.just("another"),
        "max_affected": st.integers(1, 4),
    },
)
_COMMANDS = st.lists(
    st.tuples(st.sampled_from(["pause", "resume"]), st.sampled_from(["", "b", "c"]), _FIELDS),
    min_size=2,
    max_size=4,
)


@given(drawn=_COMMANDS)
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_each_gets_in_company_what_it_would_get_alone(database_url: str, drawn: Any) -> None:
    """Answers, workspaces, targets and what leaves, whatever the others ask for."""
    asyncio.run(compared(database_url, drawn))


async def compared(database_url: str, drawn: Any) -> None:
    """Do it both ways on the same forest."""
    connection = await asyncpg.connect(database_url)
    pool = Database(await asyncpg.create_pool(database_url, min_size=1, max_size=2))
    forest, results = Forest(connection), []
    await connection.execute("truncate workspaces")
    trees = [branch.format(number) for number in range(len(drawn)) for branch in _TREES]
    await forest.plant(*trees)
    kept = await connection.fetch("select * from workspaces")
    asked = [
        asking(forest.ids[f"{below}{number}"], action, **fields)
        for number, (action, below, fields) in enumerate(drawn)
    ]
    for in_company in (True, False):
        await connection.execute(
            "truncate workspaces, lifecycle.operation, lifecycle.target, lifecycle.inbox,"
            " lifecycle.outbox"
        )
        await connection.copy_records_to_table("workspaces", records=map(tuple, kept))
        told = await together(pool, asked) if in_company else [await alone(pool, o) for o in asked]
        results.append((await answers(connection, told), await written(connection)))
    await connection.close()
    await pool._pool.close()
    assert results[0] == results[1]


async def test_who_would_have_to_wait_is_left_and_the_others_are_not(
    pool: Database, forest: Forest
) -> None:
    """Nothing of the one that was left is remembered, so that it can be carried out later."""
    one, other = await forest.plant("one", "one/a"), await forest.plant("other")
    async with forest.connection.transaction():
        await lock_tree(forest.connection, forest.ids["a"])
        left, done = await together(pool, [asking(one, key="k", cascade=True), asking(other)])
    assert left is None
    assert done is not None
    assert done.status == 200
    assert (await forest.statuses())["one"] == "online"
    assert not await forest.connection.fetchval(
        "select exists (select from lifecycle.inbox where key = 'k')"
    )
    again = await alone(pool, asking(one, key="k", cascade=True))
    assert again is not None
    assert (again.fact, again.count) == ("operation.recorded", 2)


async def test_a_large_tree_is_left_for_a_transaction_of_its_own(
    pool: Database, forest: Forest
) -> None:
    """Small commands do not wait until ten thousand rows are written."""
    large = await forest.plant("large", *(f"large/w{i}" for i in range(LARGE)))
    small = await forest.plant("small")
    left, done = await together(pool, [asking(large, cascade=True), asking(small)])
    assert left is None
    assert done is not None
    told = await alone(pool, asking(large, cascade=True))
    assert told is not None
    assert told.count == LARGE + 1


async def test_a_moved_workspace_that_stands_in_two_trees_rolls_back(
    pool: Database, forest: Forest
) -> None:
    """The platform may move it between the look at the lineage and the locks."""
    top = await forest.plant("top", "top/a", "a/b")
    before = await forest.snapshot()
    with pytest.raises(StaleError, match="moved"):
        await together(pool, [asking(top, cascade=True), asking(forest.ids["a"], cascade=True)])
    assert await forest.snapshot() == before


async def test_what_came_after_the_plan_is_not_taken_along(
    pool: Database, forest: Forest, database_url: str
) -> None:
    """A child that the platform adds just then makes another question of it: 409, and the list."""
    top = await forest.plant("top")
    added = iter([None])

    async def add() -> None:
        connection = await asyncpg.connect(database_url)
        row = uuid4(), "late", top, "online"
        await connection.execute(
            "insert into workspaces (id, name, parent_id, status) values ($1, $2, $3, $4)", *row
        )
        await connection.close()

    def notice(fact: str, _: object) -> None:
        if fact == "command.planned" and next(added, add) is None:
            beside = threading.Thread(target=lambda: asyncio.run(add()))
            beside.start()
            beside.join()

    with listening(notice):
        told = await alone(pool, asking(top))
    assert told is not None
    assert told.code == "descendants_exist"
    assert await forest.statuses() == {"top": "online", "late": "online"}


async def test_a_row_that_somebody_holds_is_not_waited_for_in_company(
    pool: Database, forest: Forest
) -> None:
    """The transaction gives up at once and nothing of it stays."""
    held, free = await forest.plant("held"), await forest.plant("free")
    async with forest.connection.transaction():
        await forest.connection.execute("update workspaces set url = 'x' where id = $1", held)
        with pytest.raises(StaleError, match="LockNotAvailable"):
            await together(pool, [asking(held), asking(free)])
    assert set((await forest.statuses()).values()) == {"online"}


async def test_what_needs_no_look_at_the_tree_waits_for_no_lock(
    pool: Database, forest: Forest
) -> None:
    """A malformed command and a dry run are answered while the tree is held."""
    top = await forest.plant("top")
    origin = Origin(action="pause", source="t", message_id="m", key="m", digest=b"x", app_id="t")
    malformed = Asked(Problem(origin, "because", top), None, Ticket(None))
    async with forest.connection.transaction():
        await lock_tree(forest.connection, top)
        bad, dry = await together(pool, [malformed, asking(top, dry_run=True)])
    assert bad is not None
    assert bad.code == "invalid_command"
    assert dry is not None
    assert dry.answer_type == "workspace.pause.previewed"


async def test_one_whose_tree_overlaps_waits_for_the_other_to_be_committed(
    pool: Database, forest: Forest
) -> None:
    """Or a cascade that waits for a row would take effect last, with an older generation.

    Rows are locked in the order of their ids, so the last one is free meanwhile.
    """
    top = await forest.plant("top", "top/a", "top/b")
    held, free = sorted([forest.ids["a"], forest.ids["b"]])
    async with forest.connection.transaction():
        await forest.connection.execute("select from workspaces where id = $1 for update", held)
        first = asyncio.create_task(alone(pool, asking(top, cascade=True)))
        await forest.waited_for()
        second = asyncio.create_task(alone(pool, asking(free)))
        while not second.done() and await forest.waiting() < 2:  # noqa: ASYNC110 (only asking tells)
            await asyncio.sleep(0.01)
    cascade, later = await first, await second
    assert cascade is not None
    assert later is not None
    assert (cascade.count, later.count) == (3, 0)
