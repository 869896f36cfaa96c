"""The house: import contracts, and files of a size one can read."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = sorted([*ROOT.glob("consumer/**/*.py"), *ROOT.glob("schemas/**/*.py")])


def test_the_import_contracts_hold() -> None:
    """Layers, walls and stages are as pyproject.toml says."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_can_be_read_at_a_sitting(path: Path) -> None:
    """No file is over 400 lines and no function over 60."""
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


def test_nothing_terminates_an_instance() -> None:
    """TerminateInstances is nowhere in the code, in any spelling."""
    for path in CODE:
        text = path.read_text().lower().replace("_", "")
        assert "terminateinstances" not in text, path
