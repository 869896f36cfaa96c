"""The loader of `sql/`: every statement has a name, a kind and a description."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_STATEMENT = re.compile(
    r"-- name: (?P<name>\w+) :(?P<kind>one|many|exec)\n(?P<about>(?:-- [^\n]*\n)+)"
    r"(?P<sql>.*?)(?=\n-- name: |\Z)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. `kind` says what it gives: at most one row, many, or none that matter."""

    name: str
    kind: str
    about: str
    sql: str


def parse(text: str) -> Mapping[str, Statement]:
    """Find every statement of a file.

    Raises:
        ValueError: a name is used twice, or something stands outside a statement.

    """
    if text.partition("-- name:")[0].strip():
        raise ValueError("something stands before the first statement")
    found: dict[str, Statement] = {}
    for match in _STATEMENT.finditer(text):
        if match["name"] in found:
            raise ValueError(f"the statement {match['name']!r} is written twice")
        about = " ".join(line.removeprefix("-- ") for line in match["about"].splitlines())
        found[match["name"]] = Statement(match["name"], match["kind"], about, match["sql"].strip())
    if len(found) != text.count("-- name:"):
        raise ValueError("a statement lacks its kind (:one, :many, :exec) or its description")
    return found


@cache
def load(noun: str) -> Mapping[str, str]:
    """Give the text of each statement in `sql/<noun>.sql`, by name."""
    text = files("consumer.store").joinpath("sql", f"{noun}.sql").read_text(encoding="utf-8")
    return {name: statement.sql for name, statement in parse(text).items()}
