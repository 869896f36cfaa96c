"""Every statement: named, described, valid on both status types, and called by somebody."""

import re
from importlib.resources import files
from pathlib import Path

import asyncpg
import pytest

import consumer.store
from consumer.store.statements import Statement, parse

STORE = Path(str(files(consumer.store)))
STATEMENTS = [
    statement
    for file in sorted((STORE / "sql").glob("*.sql"))
    for statement in parse(file.read_text()).values()
]
CODE = {path.name: path.read_text() for path in STORE.glob("*.py")}


@pytest.fixture(params=["database_url", "text_database_url"], ids=["enum", "text"])
def either_url(request: pytest.FixtureRequest) -> str:
    """Lease a migrated database with either kind of status column."""
    return str(request.getfixturevalue(request.param))


async def test_every_statement_is_valid_on_either_status_type(either_url: str) -> None:
    """PREPARE accepts each statement on a migrated database, TEXT or enum."""
    connection = await asyncpg.connect(either_url)
    created = next(one for one in STATEMENTS if one.name == "create_migration_table")
    await connection.execute(created.sql)
    for statement in STATEMENTS:
        await connection.prepare(statement.sql)
    await connection.close()


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda one: one.name)
def test_every_statement_is_called_under_its_name(statement: Statement) -> None:
    """No statement stands there that nobody calls, and each says what it does."""
    assert any(f'_SQL["{statement.name}"]' in text for text in CODE.values())
    assert len(statement.about) > 20


def test_every_name_in_the_code_is_a_statement() -> None:
    """No call names a statement that is not there."""
    called = {name for text in CODE.values() for name in re.findall(r'_SQL\["(\w+)"\]', text)}
    assert called == {statement.name for statement in STATEMENTS}


def test_names_are_unique() -> None:
    """A name means one statement, in whatever file it stands."""
    names = [statement.name for statement in STATEMENTS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "-- name: one :one\n-- About.\nselect 1;\n\n-- name: one :one\n-- About.\nselect 2;",
            "twice",
        ),
        ("-- name: one\n-- About.\nselect 1;", "kind"),
        ("-- name: one :one\nselect 1;", "description"),
    ],
)
def test_a_careless_file_is_refused(text: str, error: str) -> None:
    """A statement without kind or description, or written twice, is an error when it is loaded."""
    with pytest.raises(ValueError, match=error):
        parse(text)
