"""Starting private servers, and what is said of one that does not start."""

from pathlib import Path

import pytest

from consumer.devstack.server import StackError, free_ports, in_memory, listens, start, wait


def ended(folder: Path, script: str) -> str:
    """Start a script that ends by itself; give what is said of it."""
    server = start(["sh", "-c", script], log=folder / "log")
    with pytest.raises(StackError) as caught:
        wait("the server", server, lambda: False)
    server.stop()
    return str(caught.value)


def test_ports_are_different_and_free() -> None:
    """Nobody listens on them, and no two are the same."""
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert not any(listens(port) for port in ports)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo one; echo two; exit 1", "the server did not start: two"),
        ("echo 'FATAL:  no'; echo 'LOG:  down'", "the server did not start: FATAL:  no"),
        ("exit 1", "the server did not start: it said nothing"),
    ],
)
def test_a_server_that_ends_is_quoted(tmp_path: Path, script: str, said: str) -> None:
    """The line with the reason is taken, else the last one."""
    assert ended(tmp_path, script) == said


def test_a_quotation_is_one_line_of_bounded_length(tmp_path: Path) -> None:
    """What Erlang prints in a line fills pages."""
    said = ended(tmp_path, "printf 'init terminating %01000d\\nthe end\\n' 1")
    assert said.startswith("the server did not start: init terminating 0")
    assert len(said) < 400
    assert "\n" not in said


def test_a_server_hears_the_signals_its_guard_ignores(tmp_path: Path) -> None:
    """Who sends a private server SIGTERM gets what they asked for."""
    server = start(["sh", "-c", "kill -TERM $$; sleep 60"], log=tmp_path / "log")
    assert server.process.wait(20) != 0
    server.stop()


def test_where_tmpdir_chooses_it_is_not_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who set it has a reason; else a folder in memory can be made and removed."""
    monkeypatch.setenv("TMPDIR", "/somewhere")
    assert in_memory() is None
    monkeypatch.delenv("TMPDIR")
    place = in_memory()
    assert place is None or Path(place).is_dir()
