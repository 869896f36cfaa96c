"""Calls against their statements: as many arguments as parameters, the fetch their kind says."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from importlib.resources import files
from pathlib import Path

import asyncpg
import pytest

import consumer.store
from consumer.operation import Operation, Standing
from consumer.store.statements import Statement, load, parse

STORE = Path(str(files(consumer.store)))
STATEMENTS: Mapping[str, Statement] = {
    name: statement
    for file in sorted((STORE / "sql").glob("*.sql"))
    for name, statement in parse(file.read_text()).items()
}
KIND_OF = {"fetchrow": "one", "fetch": "many", "execute": "exec"}


def _calls() -> Iterator[tuple[str, str, int]]:
    """Find each call that runs a statement: its name, the method, the number of arguments."""
    for path in sorted(STORE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.func, ast.Attribute):
                match = re.fullmatch(r"_SQL\['(\w+)'\]", ast.unparse(node.args[0]))
                if match:
                    yield match[1], node.func.attr, _arguments(node.args[1:])


def _arguments(written: list[ast.expr]) -> int:
    """Count arguments; `*columns` is as many as an Operation has fields."""
    spread = sum(len(fields(Operation)) for one in written if isinstance(one, ast.Starred))
    return spread + sum(not isinstance(one, ast.Starred) for one in written)


CALLS = sorted(set(_calls()))


def test_every_statement_is_called_somewhere() -> None:
    """The calls found here are all the statements there are, so that none is missed below."""
    assert {name for name, *_ in CALLS} == set(STATEMENTS)


@pytest.mark.parametrize(("name", "method", "arguments"), CALLS, ids=str)
async def test_a_call_gives_a_statement_what_it_takes(
    connection: "asyncpg.Connection[asyncpg.Record]", name: str, method: str, arguments: int
) -> None:
    """As many arguments as parameters; fetchrow for :one, fetch for :many, execute for :exec."""
    prepared = await connection.prepare(STATEMENTS[name].sql)
    assert len(prepared.get_parameters()) == arguments
    assert KIND_OF[method] == STATEMENTS[name].kind


async def test_a_row_that_is_spread_has_the_fields_of_its_class(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """`Standing(**row)` fits: the columns are its fields."""
    prepared = await connection.prepare(STATEMENTS["standing"].sql)
    columns = {attribute.name for attribute in prepared.get_attributes()}
    assert columns == {field.name for field in fields(Standing)}


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=lambda one: one.name)
def test_a_description_says_what_is_locked(statement: Statement) -> None:
    """A statement that only reads says that it locks nothing; its text is one statement."""
    assert statement.about.endswith(".")
    reads = statement.kind != "exec" and not re.search(
        r"\b(insert|update|delete|nextval|lock)\b|_lock", statement.sql, re.IGNORECASE
    )
    assert reads == ("Locks nothing." in statement.about or _says_so(statement))
    assert statement.sql.count(";") == 1
    assert statement.sql.endswith(";")


def _says_so(statement: Statement) -> bool:
    """Tell whether it says that it locks nothing and goes on to say why."""
    return "Locks nothing:" in statement.about


def test_each_file_stands_beside_its_module() -> None:
    """sql/<noun>.sql is loaded by <noun>.py and by nobody else."""
    for file in (STORE / "sql").glob("*.sql"):
        loaders = [p.stem for p in STORE.glob("*.py") if f'load("{file.stem}")' in p.read_text()]
        assert loaders == [file.stem]


def test_a_statement_is_taken_apart_whole() -> None:
    """Name, kind, the description in one line, and the text with its own comments."""
    text = "-- name: one :many\n-- First line\n-- second.\nselect 1\n-- inside\nfrom x;\n"
    (found,) = parse(text).values()
    assert found == Statement("one", "many", "First line second.", "select 1\n-- inside\nfrom x;")


def test_nothing_stands_outside_a_statement() -> None:
    """Text before the first name would be lost without a word, so it is refused."""
    with pytest.raises(ValueError, match="before the first"):
        parse("select 0;\n\n-- name: one :one\n-- About it.\nselect 1;\n")


def test_what_is_loaded_is_what_is_written() -> None:
    """What load gives is the texts by name, without their headings."""
    assert load("inbox")["claim"].startswith("with asked as (")
    assert "-- name" not in load("inbox")["claim"]
