"""The wheel works without the source tree: SQL and generated schemas are inside."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROBE = """
import schemas, consumer.cli.main
from consumer.store.migrate import migrations
from consumer.store.statements import load
from schemas.document import stale
from importlib.resources import files
from pathlib import Path
assert load("tree") and migrations()
assert stale(Path(str(files("schemas"))) / "generated") == []
print(schemas.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "-w",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_it_holds_what_is_read_at_run_time(wheel: Path) -> None:
    """SQL, generated schemas, the dashboard, alert rules, the platform's table, typing markers."""
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = [*ROOT.glob("consumer/**/*.sql"), *ROOT.glob("schemas/generated/*.json")]
    sources += [*ROOT.glob("consumer/**/grafana/*.json"), *ROOT.glob("consumer/**/rules.yml")]
    wanted = {str(path.relative_to(ROOT)) for path in sources}
    assert len(wanted) > 20
    assert wanted | {"consumer/py.typed", "schemas/py.typed"} <= names
    assert not [name for name in names if name.startswith("tests")]


def test_it_works_without_the_source_tree(wheel: Path, tmp_path: Path) -> None:
    """Unpacked elsewhere, it imports and reads its own files."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    command = [sys.executable, "-c", PROBE]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env={"PYTHONPATH": "."}
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout or done.stdout.startswith(".")


def test_schemas_bring_nothing_but_pydantic() -> None:
    """`from schemas import PauseWorkspace, Summary` imports neither a broker nor a database."""
    probe = (
        "import sys; from schemas import PauseWorkspace, Summary;"
        "others = ('aio_pika', 'asyncpg', 'boto3', 'structlog', 'consumer');"
        "print([one for one in others if one in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
