"""Rights: what the connected role may do, as PostgreSQL itself has it."""

from uuid import uuid4

import asyncpg
import pytest

from consumer.store.migrate import REQUIRED_COLUMNS
from consumer.store.rights import any_instance, rights
from tests.support.forest import Forest

NEEDED = list(REQUIRED_COLUMNS)


@pytest.mark.parametrize(
    ("grants", "expected"),
    [
        ([], (NEEDED, ["status", "url", "updated_at"], False)),
        (["select on workspaces"], ([], ["status", "url", "updated_at"], False)),
        (["select (id, name) on workspaces"], (NEEDED[2:], None, False)),
        (["update (status, url) on workspaces"], (NEEDED, ["updated_at"], False)),
        (["select, update on workspaces"], ([], [], False)),
        (["select, insert on all tables in schema lifecycle"], (NEEDED, None, False)),
        (
            ["select, insert, update, delete on all tables in schema lifecycle"],
            (NEEDED, None, True),
        ),
    ],
)
async def test_a_role_has_what_it_was_granted(
    connection: "asyncpg.Connection[asyncpg.Record]",
    grants: list[str],
    expected: tuple[list[str], list[str] | None, bool],
) -> None:
    """Each privilege is told apart, on each column that is changed and on all of our tables."""
    role = f"role_{uuid4().hex}"
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(f"create role {role}; grant usage on schema lifecycle to {role}")
    for grant in grants:
        await connection.execute(f"grant {grant} to {role}")
    await connection.execute(f"set local role {role}")
    may = await rights(connection)
    await transaction.rollback()
    read, not_change, record = expected
    assert (may.role, may.may_not_read, may.may_record) == (role, read, record)
    assert not_change is None or may.may_not_change == not_change


async def test_an_instance_to_try_on_is_one_that_ec2_has(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """Neither another's machine nor that of a removed workspace, nor an empty id."""
    forest = Forest(connection)
    assert await any_instance(connection) is None
    await forest.plant("external", "empty", "gone:removed")
    await connection.execute("update workspaces set runtime = 'external' where name = 'external'")
    await connection.execute("update workspaces set instance_id = '' where name = 'empty'")
    assert await any_instance(connection) is None
    await forest.plant("ours")
    assert await any_instance(connection) == "i-ours"
