"""Least privilege in the database: the documented role runs the program, and can do no more."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

import consumer.store
from consumer import app
from consumer.audit.bucket import Bucket
from consumer.settings import Settings
from consumer.store.migrate import check, migrate
from consumer.store.pool import opened
from consumer.store.rights import rights
from consumer.store.statements import parse
from tests.support.caller import WireCaller
from tests.support.documented import block
from tests.support.forest import Forest
from tests.support.program import running

_ROLE = re.compile(r"\b(role|to|authorization) (lifecycle(?:_owner)?)\b")


@dataclass(frozen=True)
class Roles:
    """The two documented roles on one database, and the superuser who made them."""

    superuser: str
    owner: str
    program: str


@pytest.fixture
async def roles(platform_database_url: str) -> AsyncIterator[Roles]:
    """Make the roles by the page's own statements, and migrate as the one that is for that."""
    unique = uuid4().hex[:8]
    names = {"lifecycle": f"program_{unique}", "lifecycle_owner": f"owner_{unique}"}
    written = _ROLE.sub(lambda found: f"{found[1]} {names[found[2]]}", block("sql", "create role"))
    direct = await asyncpg.connect(platform_database_url)
    await direct.execute("create table invoices (id integer)")
    await direct.execute(written)
    parts = urlsplit(platform_database_url)
    host = parts.netloc.rpartition("@")[2]
    urls = {
        role: urlunsplit(parts._replace(netloc=f"{name}:CHANGE-ME{too}@{host}"))
        for (role, name), too in zip(names.items(), ("-TOO", ""), strict=True)
    }
    try:
        await migrate(urls["lifecycle_owner"])
        yield Roles(platform_database_url, urls["lifecycle_owner"], urls["lifecycle"])
    finally:
        for name in names.values():
            await direct.execute(f"drop owned by {name} cascade; drop role {name}")
        await direct.close()


async def test_the_program_runs_as_the_documented_role(
    settings_of: Callable[..., Settings], roles: Roles, caller: WireCaller, bucket_url: str
) -> None:
    """Pause, resume, undo, a failure that gives back a status, and the archive."""
    direct = await asyncpg.connect(roles.superuser)
    forest = Forest(direct)
    top, other = await forest.plant("top", "top/a"), await forest.plant("other")
    settings = settings_of(database_url=roles.program, archive_url=bucket_url)
    async with running(settings):
        paused = await caller.pause(top, cascade=True)
        operation = paused.data["operation_id"]
        await caller.hear("workspace.pause.settled", operation_id=operation)
        undone = await caller.resume(top, undo=operation)
        await caller.hear("workspace.resume.settled", operation_id=undone.data["operation_id"])
        assert (await caller.pause(top)).data["code"] == "descendants_exist"
    async with running(settings_of(database_url=roles.program, simulated_failures=1.0)):
        failed = (await caller.pause(other)).data["operation_id"]
        (settled,) = await caller.hear("workspace.pause.settled", operation_id=failed)
        assert settled.data["failed_count"] == 1
    assert await forest.statuses() == {
        "top": "provisioning",
        "a": "provisioning",
        "other": "online",
    }
    await direct.close()
    async with opened(roles.program, 2) as database:
        assert await app.archiver_of(settings, database, Bucket(bucket_url)).once() > 0
        async with database.connection() as connection:
            await check(connection)
            may = await rights(connection)
    assert (may.may_not_read, may.may_not_change, may.may_record) == ([], [], True)


async def test_every_statement_is_allowed_to_the_documented_role(roles: Roles) -> None:
    """EXPLAIN asks for the same privileges as carrying it out, also for what is rarely run."""
    connection = await asyncpg.connect(roles.program)
    if connection.get_server_version().major < 16:
        pytest.skip("EXPLAIN takes parameters without values since PostgreSQL 16")
    folder = Path(str(files(consumer.store))) / "sql"
    for file in sorted(folder.glob("*.sql")):
        for statement in parse(file.read_text()).values() if file.stem != "migrate" else ():
            await connection.execute(f"explain (generic_plan) {statement.sql}")
    await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        *(
            f"update workspaces set {column} = {column}"
            for column in (
                *("id", "name", "role", "tier", "parent_id", "runtime", "instance_id"),
                *("active_tasks", "current_task", "last_heartbeat_at", "created_at"),
            )
        ),
        "delete from workspaces",
        "truncate workspaces",
        "insert into workspaces (name) values ('x')",
        "select current_task from workspaces",
        "select * from workspaces",
        "alter table workspaces add column x integer",
        "create index on workspaces (name)",
        "drop table workspaces",
        "select * from invoices",
        "drop table lifecycle.operation",
        "truncate lifecycle.operation",
        "alter table lifecycle.target add column x integer",
        "create table lifecycle.x ()",
        "drop function lifecycle.etag(uuid[])",
        "create role x",
    ],
)
async def test_the_documented_role_can_do_no_more(roles: Roles, statement: str) -> None:
    """Not another column, not a row more or less, no other table, and nothing of our own schema."""
    connection = await asyncpg.connect(roles.program)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "statement", ["select id from workspaces", "update workspaces set status = 'paused'"]
)
async def test_the_role_that_migrates_sees_no_workspace(roles: Roles, statement: str) -> None:
    """It owns the program's tables and knows nothing of the platform's."""
    connection = await asyncpg.connect(roles.owner)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
    assert await migrate(roles.owner) == []
