"""The house: import contracts, SQL in its place, empty inits, files of a size one can read."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = sorted([*ROOT.glob("consumer/**/*.py"), *ROOT.glob("schemas/**/*.py")])
SQL = re.compile(
    r"\b(select\s.+\sfrom|insert\s+into|update\s+\w+\s+set|delete\s+from|create\s+table)\b",
    re.IGNORECASE | re.DOTALL,
)


def test_the_import_contracts_hold() -> None:
    """Layers, walls and stages are as pyproject.toml says."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_sql_stands_in_python(path: Path) -> None:
    """All SQL is in store/sql and store/migrations; the devstack plays the platform."""
    if "devstack" in path.parts:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not SQL.search(node.value), (path, node.lineno)


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_can_be_read_at_a_sitting(path: Path) -> None:
    """No file is over 400 lines and no function over 60."""
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


def test_inits_are_empty_save_schemas() -> None:
    """A package is a folder; the one with a surface says it in __all__."""
    filled = [path for path in CODE if path.name == "__init__.py" and path.read_text().strip()]
    assert filled == [ROOT / "schemas" / "__init__.py"]


def test_nothing_terminates_an_instance() -> None:
    """TerminateInstances is nowhere in the code, in any spelling."""
    for path in CODE:
        text = path.read_text().lower().replace("_", "")
        assert "terminateinstances" not in text, path


TESTED_ELSEWHERE = {
    "__main__": "tests/cli runs it for every verb",
    "main": "tests/cli, every verb",
    "environment": "tests/cli/test_run.py",
    "paper": "tests/cli/test_verbs.py",
    "migrate": "tests/store and tests/cli",
    "schemas": "tests/cli/test_verbs.py",
    "tree": "tests/store and tests/cli",
    "app": "tests/contract runs it throughout",
    "lifecycle": "tests/contract, whose subject it is",
    "relay": "tests/contract/test_events.py and tests/bench",
    "settlement": "tests/contract/test_events.py and tests/store/test_targets.py",
    "answers": "tests/contract/test_events.py",
    "observe": "every test that listens",
    "message": "values without behaviour",
    "operation": "values without behaviour",
    "port": "values without behaviour, tests/executor/test_conformance.py",
    "refusals": "tests/executor/test_ec2.py",
    "simulated": "tests/executor/test_conformance.py",
    "health": "tests/contract/test_stop.py",
    "logs": "tests/contract/test_stop.py",
    "inbox": "tests/contract/test_encoding.py",
    "operations": "tests/store/test_targets.py",
    "outbox": "tests/contract and tests/bench",
    "pool": "tests/contract/test_concurrency.py",
    "wake": "tests/contract/test_concurrency.py",
    "forest": "tests/cli/test_verbs.py",
}


def test_each_module_has_its_test_file_or_a_reason() -> None:
    """The mirror: a module is tested in a file of its name, or it is said here where."""
    tests = {path.stem.removeprefix("test_") for path in ROOT.glob("tests/**/test_*.py")}
    modules = {
        path.stem for path in CODE if path.name != "__init__.py" and "devstack" not in path.parts
    }
    missing = modules - tests - set(TESTED_ELSEWHERE)
    assert missing == {"topology"} - tests
