"""SQL stands in store/sql and store/migrations, and in no Python string outside the devstack."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = [
    path
    for path in sorted([*ROOT.glob("consumer/**/*.py"), *ROOT.glob("schemas/**/*.py")])
    if "devstack" not in path.parts
]
VERB = re.compile(
    r"^\s*(select|with|insert|update|delete|merge|truncate|create|alter|drop|grant|lock|listen"
    r"|notify|prepare|set|begin|commit|rollback|copy|call|do|vacuum|analyze)\s+[\w*('${\"]",
    re.IGNORECASE,
)
CLAUSE = re.compile(
    r"\b(select\b.+\bfrom|insert\s+into|update\s+[\w.]+\s+set|delete\s+from|create\s+(table|schema)"
    r"|pg_\w+\s*\(|for\s+(no\s+key\s+)?update)\b",
    re.IGNORECASE | re.DOTALL,
)
RUNS_SQL = {"execute", "executemany", "fetch", "fetchrow", "fetchval", "prepare", "cursor"}


def strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Give every string that is not a docstring, f-strings with {} for what is filled in."""
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.lineno, node.value
        if isinstance(node, ast.JoinedStr):
            parts = [one.value if isinstance(one, ast.Constant) else "{}" for one in node.values]
            yield node.lineno, "".join(map(str, parts))


def sql_in(source: str) -> list[tuple[int, str]]:
    """Find SQL: a clause in any string, or a verb where a string is run."""
    tree = ast.parse(source)
    found = [(line, text) for line, text in strings(tree) if CLAUSE.search(text)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            told = strings(ast.Module(body=[ast.Assign([], node.args[0])], type_ignores=[]))
            if node.func.attr in RUNS_SQL:
                found += [(node.lineno, text) for _, text in told if VERB.search(text)]
    return found


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_sql_stands_in_python(path: Path) -> None:
    """Not as a literal, not as an f-string, and not as what a connection is told to run."""
    assert sql_in(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        'x = "select a from b"',
        'x = f"select {column} from b"',
        'x = """\nupdate lifecycle.outbox set a = 1"""',
        'c.execute("set lock_timeout = 1")',
        'c.fetchval("select 1")',
        'c.execute(f"listen {channel}")',
    ],
)
def test_this_test_finds_what_it_looks_for(source: str) -> None:
    """SQL in each of its disguises is found."""
    assert sql_in(source)


def test_prose_is_not_sql() -> None:
    """A docstring may speak of a selection, and an error of an update."""
    assert not sql_in('"""Select rows from a table."""\nx = "update the settings, from the top"')


def test_files_with_sql_stand_in_three_places() -> None:
    """Statements, migrations and the picture; the devstack's one file plays the platform."""
    places = {
        str(path.parent.relative_to(ROOT)) if path.name != "schema.sql" else "schema.sql"
        for path in [*ROOT.glob("consumer/**/*.sql"), *ROOT.glob("schemas/**/*.sql")]
    }
    assert places == {
        "consumer/store/sql",
        "consumer/store/migrations",
        "schema.sql",
        "consumer/devstack",
    }
