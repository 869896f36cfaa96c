"""The wheel as pip installs it, used from outside the source tree."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROBE = """
import consumer.store.migrate as migrate
import consumer.store.statements as statements
import schemas
from importlib.resources import files

nouns = [f.name.removesuffix(".sql") for f in files("consumer.store").joinpath("sql").iterdir()]
print(statements.__file__)
print(schemas.__file__)
print(sum(len(statements.load(noun)) for noun in nouns), len(migrate.migrations()))
print(files("consumer.devstack").joinpath("platform.sql").is_file())
print(files("consumer.store").joinpath("schema.sql").is_file())
"""


def pip(*arguments: str) -> None:
    """Run pip without looking for anything on the network."""
    command = [sys.executable, "-m", "pip", *arguments, "--no-deps", "--quiet"]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and install it into a folder of its own."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("target")
    pip("wheel", "--wheel-dir", str(wheels), str(ROOT))
    (wheel,) = wheels.glob("*.whl")
    pip("install", "--target", str(target), str(wheel))
    return target


def test_it_reads_its_files_from_where_it_was_installed(installed: Path, tmp_path: Path) -> None:
    """Statements, migrations, the picture and the platform's table come with the package."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    statements, schemas, counts, *present = done.stdout.splitlines()
    assert Path(statements).is_relative_to(installed)
    assert Path(schemas).is_relative_to(installed)
    assert min(int(count) for count in counts.split()) >= 1
    assert present == ["True", "True"]


def test_the_command_is_installed_with_it(installed: Path) -> None:
    """`workspace-lifecycle` is a console script of the wheel, and the types are marked."""
    assert (installed / "bin" / "workspace-lifecycle").exists()
    assert (installed / "consumer" / "py.typed").exists()
    assert (installed / "schemas" / "py.typed").exists()
    assert not (installed / "tests").exists()
