"""The lock: exactly what is installed, made from what pyproject.toml asks for, and audited."""

import json
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = {extra: ROOT / ".ci" / f"lock-{extra}.txt" for extra in ("dev", "devstack", "bench")}
PINNED = re.compile(r"^([a-z0-9][a-z0-9.-]*)(?:\[[^]]+\])?==(\S+)(?: ; [^\\]+)? \\$", re.MULTILINE)


def ci(script: str, *arguments: str, root: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run one of the scripts of .ci with the Python of the tests."""
    return subprocess.run(
        [sys.executable, str(root / ".ci" / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def normal(name: str) -> str:
    """Write a package's name as an index does."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;]", name, maxsplit=1)[0]).lower()


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """Read what pyproject.toml asks for."""
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return found


def test_the_locks_are_made_from_this_pyproject() -> None:
    """Who adds or removes a dependency, or moves its bounds, makes them anew: `make lock`."""
    done = ci("lock", "--check")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"aio-pika>=10.2",', '"aio-pika>=10.3",'),
        ('  "pyyaml",\n', ""),
        ('requires-python = ">=3.11"', 'requires-python = ">=3.12"'),
        ("hatchling>=1.27", "hatchling>=1.26"),
    ],
)
def test_any_other_pyproject_makes_them_stale(tmp_path: Path, old: str, new: str) -> None:
    """A bound, a package less, another Python, another builder."""
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    text = (ROOT / "pyproject.toml").read_text()
    assert old in text
    (tmp_path / "pyproject.toml").write_text(text.replace(old, new))
    done = ci("lock", "--check", root=tmp_path)
    assert done.returncode == 1
    assert "lock-dev.txt, lock-devstack.txt, lock-bench.txt" in done.stderr
    assert "make lock" in done.stderr


@pytest.mark.parametrize("extra", LOCKS)
def test_everything_that_is_asked_for_is_pinned_with_its_hashes(
    project: dict[str, Any], extra: str
) -> None:
    """The program's own, the extra's, and what builds it: pip refuses all that has no hash."""
    text = LOCKS[extra].read_text()
    pinned = {name for name, _ in PINNED.findall(text)}
    extras = project["project"]["optional-dependencies"]
    asked = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    held = {"devstack": ("devstack",), "dev": ("devstack", "dev"), "bench": (*extras,)}
    asked += [one for name in held[extra] for one in extras[name]]
    assert {normal(one) for one in asked} - {"workspace-lifecycle"} <= pinned
    entries = re.split(r"(?m)^(?=[a-z])", text.partition("\n")[2])
    assert [one for one in entries if one.strip() and "--hash=sha256:" not in one] == []


@pytest.mark.parametrize("extra", LOCKS)
def test_a_lock_tells_nothing_of_where_packages_come_from(extra: str) -> None:
    """Whoever installs it takes them from an index of their own."""
    text = LOCKS[extra].read_text()
    assert not re.search(r"https?:|file:|--index|--extra-index|--find-links|/simple", text)


def test_the_locks_pin_the_same() -> None:
    """`make demo` and `make bench` run on what `make test` has tested."""
    dev, devstack, bench = (dict(PINNED.findall(path.read_text())) for path in LOCKS.values())
    assert devstack.items() <= dev.items() < bench.items()


@contextmanager
def database(vulnerable: str) -> Iterator[str]:
    """Serve a database of vulnerabilities that knows of one package; give its URL."""

    class Asked(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Answer one question as OSV does."""
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told = {"vulns": [KNOWN]} if asked["package"]["name"] == vulnerable else {}
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Asked) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


KNOWN = {
    "id": "PYSEC-2999-1",
    "summary": "it is bad",
    "published": "2999-01-01T00:00:00Z",
    "modified": "2999-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "asyncpg"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999.0"}]}],
        }
    ],
}


def test_a_known_vulnerability_fails_the_audit() -> None:
    """The package, the finding, and the version that mends it."""
    with database("asyncpg") as url:
        done = ci("audit", "--vulnerability-service", "osv", "--osv-url", url)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.fullmatch(r"audit: asyncpg \S+ has PYSEC-2999-1, mended in 999\.0\n", done.stdout)


def test_without_one_it_passes() -> None:
    """All that is pinned was looked up."""
    with database("no-such-package") as url:
        done = ci("audit", "--vulnerability-service", "osv", "--osv-url", url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"audit: nothing is known against \d{3} packages pinned\n", done.stdout)


def test_a_database_that_is_not_reached_is_said_in_one_line_and_fails_nothing() -> None:
    """A machine without that network builds all the same."""
    done = ci("audit", "--vulnerability-service", "osv", "--osv-url", "http://127.0.0.1:1/")
    assert done.returncode == 0
    assert done.stdout.startswith("audit: NOT DONE, the vulnerability database was not reached")
    assert done.stdout.count("\n") == 1
