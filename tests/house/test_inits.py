"""Imports: packages are folders, names come from where they are made, at the top of the file."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = sorted(path for room in ("consumer", "schemas") for path in ROOT.glob(f"{room}/**/*.py"))
ALL = sorted([*CODE, *ROOT.glob("tests/**/*.py")])
INITS = [path for path in ALL if path.name == "__init__.py"]


def late(tree: ast.Module) -> Iterator[int]:
    """Find imports that run when something is called, or only where something holds.

    Those for the type checker alone never run, and an optional package is tried at the top.
    """
    at_the_top = list(tree.body)
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            at_the_top += node.body
        if isinstance(node, ast.Try) and "ImportError" in ast.unparse(node.handlers[0]):
            at_the_top += node.body
    for found in ast.walk(tree):
        if isinstance(found, ast.Import | ast.ImportFrom) and found not in at_the_top:
            yield found.lineno


@pytest.mark.parametrize("path", INITS, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_init_is_empty_but_for_schemas(path: Path) -> None:
    """schemas/__init__.py is the one surface; nothing else re-exports."""
    if path == ROOT / "schemas" / "__init__.py":
        assert "__all__" in path.read_text()
    else:
        assert path.read_text().strip() == ""


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_is_relative_or_late(path: Path) -> None:
    """What a module needs stands at its top, by its full name."""
    tree = ast.parse(path.read_text())
    relative = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level]
    assert relative == []
    assert list(late(tree)) == []


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_private_name_is_not_imported(path: Path) -> None:
    """Nothing begins with an underscore outside the module that made it."""
    taken = [
        alias.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert [name for name in taken if name.startswith("_")] == []


def test_every_folder_with_python_is_a_package() -> None:
    """No module can be shadowed by a folder that is not one."""
    for folder in {path.parent for path in ALL}:
        assert (folder / "__init__.py").exists(), folder
