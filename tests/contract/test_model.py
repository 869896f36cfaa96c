"""Random forests and random commands, against a reference model written from the contract."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID, uuid4, uuid5

import aio_pika
import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.broker.topology import declare
from consumer.settings import Settings
from tests.support.caller import Heard, WireCaller
from tests.support.model import Answer, Model
from tests.support.program import running

STATUSES = (
    "provisioning", "online", "offline", "degraded", "failed", "removed", "paused", "hibernated",
)  # fmt: skip
NAMES = "abcdefghij"


@st.composite
def forests(draw: st.DrawFn) -> tuple[dict[str, str | None], dict[str, str]]:
    """Draw parents and statuses; a parent may come later, so that there are cycles too."""
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    parents = {name: draw(st.sampled_from([None, *names])) for name in names}
    weighted = st.sampled_from(["online", "paused", *STATUSES])
    return parents, {name: draw(weighted) for name in names}


COMMANDS = st.lists(
    st.tuples(
        st.sampled_from(["pause", "resume"]),
        st.sampled_from(NAMES),
        st.fixed_dictionaries(
            {},
            optional={
                "cascade": st.booleans(),
                "dry_run": st.booleans(),
                "max_affected": st.integers(1, 4),
                "if_match": st.booleans(),
            },
        ),
    ),
    min_size=1,
    max_size=6,
)


class World:
    """The running program and a forest in its database."""

    def __init__(self, caller: WireCaller, connection: Any) -> None:
        self.caller, self.connection = caller, connection
        self.ids: dict[str, UUID] = {}

    async def plant(self, parents: dict[str, str | None], statuses: dict[str, str]) -> None:
        """Replace everything by a forest, whose parent links may form cycles."""
        await self.connection.execute("truncate workspaces")
        self.ids = {name: uuid4() for name in parents}
        await self.connection.executemany(
            "insert into workspaces (id, name, status) values ($1, $2, $3)",
            [(self.ids[name], name, statuses[name]) for name in parents],
        )
        await self.connection.executemany(
            "update workspaces set parent_id = $2 where id = $1",
            [(self.ids[n], self.ids[p]) for n, p in parents.items() if p is not None],
        )

    async def statuses(self) -> dict[str, str]:
        """Read what became of it."""
        rows = await self.connection.fetch("select name, status::text from workspaces")
        return {row["name"]: row["status"] for row in rows}


def answered(heard: Heard) -> Answer:
    """Give what the model speaks of."""
    data = heard.data
    count = data.get("paused_count", data.get("resumed_count"))
    listed = tuple(one["name"] for one in data.get("descendants", ()))
    return heard.type.rpartition(".")[2], data["status"], data.get("code"), count, listed


async def check(world: World, model: Model, commands: list[Any]) -> None:
    """Send each command and compare answer, etag, statuses and what was sent out."""
    await world.plant(dict(model.parents), model.statuses)
    etags: dict[frozenset[str], str] = {}
    for action, name, drawn in commands:
        if name not in model.parents:
            continue
        flags, wire = dict(drawn), dict(drawn)
        changed = model.etag_set(action, name)
        if "if_match" in flags:
            flags["stale"] = not (flags.pop("if_match") and changed in etags)
            wire["if_match"] = "stale" if flags["stale"] else etags[changed]
        expected = model.answer(action, name, **flags)
        command = {"workspace_id": world.ids[name], **wire}
        heard = await world.caller.ask(f"workspace.{action}", command)
        assert answered(heard) == expected, (action, name, wire)
        if expected[1] != 404:
            assert etags.setdefault(changed, heard.data["tree_etag"]) == heard.data["tree_etag"]
        if expected[0] == "summary":
            await sent(world, heard, action, changed)
        assert await world.statuses() == model.statuses
    assert len(set(etags.values())) == len(etags)


async def sent(world: World, heard: Heard, action: str, changed: frozenset[str]) -> None:
    """See that each changed workspace, and no other, got its command under its derived id."""
    operation = heard.data["operation_id"]
    verb = "stop" if action == "pause" else "start"
    orders = await world.caller.hear(f"workspace.{verb}", len(changed), operation_id=operation)
    ids = [one.event["id"] for one in orders]
    derived = {str(uuid5(UUID(operation), str(world.ids[name]))) for name in changed}
    assert (set(ids), len(ids)) == (derived, len(changed))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("implicit", ["reject", "deprecated"])
@pytest.mark.parametrize("kind", ["database_url", "text_database_url"], ids=["enum", "text"])
def test_the_program_decides_as_the_contract_says(
    request: pytest.FixtureRequest,
    amqp_url: str,
    settings_of: Callable[..., Settings],
    kind: str,
    implicit: str,
) -> None:
    """Any commands on any forest get the model's answers and leave the model's statuses."""
    url = request.getfixturevalue(kind)
    with asyncio.Runner() as runner:
        rooms = AsyncExitStack()

        async def enter() -> World:
            await declare(amqp_url)
            broker = await rooms.enter_async_context(await aio_pika.connect(amqp_url))
            chosen = settings_of(database_url=url, executor="none", implicit_cascade=implicit)
            await rooms.enter_async_context(running(chosen))
            connection = await asyncpg.connect(url)
            rooms.push_async_callback(connection.close)
            return World(await WireCaller.on(broker), connection)

        world = runner.run(enter())

        @settings(
            max_examples=25,
            deadline=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(forest=forests(), commands=COMMANDS)
        def holds(forest: Any, commands: list[Any]) -> None:
            parents, statuses = forest
            model = Model(parents, dict(statuses), implicit=implicit == "deprecated")
            runner.run(check(world, model, commands))

        try:
            holds()
        finally:
            runner.run(rooms.aclose())
