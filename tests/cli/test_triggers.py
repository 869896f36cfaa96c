"""`triggers`: the rules are listed and tried, and nothing is sent."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from consumer.client import event_of
from consumer.message import Inbound
from schemas.commands import PauseWorkspace
from tests.cli.conftest import Cli
from tests.support.documented import block


@pytest.fixture
def rules(tmp_path: Path) -> str:
    """Write the file of docs/triggers.md."""
    path = tmp_path / "triggers.toml"
    path.write_text(block("toml", "[[trigger]]", "triggers.md"))
    return str(path)


def event(tmp_path: Path, **data: object) -> Path:
    """Write an event."""
    path = tmp_path / "event.json"
    members = {"specversion": "1.0", "id": "e-1", "source": "/billing", "type": "exceeded"}
    path.write_text(json.dumps(members | {"data": data}))
    return path


async def test_the_documented_rule_is_listed(cli: Cli, rules: str) -> None:
    """In a line, with what it does."""
    ran = await cli("triggers", LIFECYCLE_TRIGGERS_FILE=rules, LIFECYCLE_DATABASE_URL=None)
    assert ran.code == 0
    assert ran.out == (
        "budget exceeded: billing.budget.exceeded on billing -> pause $.data.workspace_id, "
        "with cascade, at most 50, when $.data.level is 'hard', as billing-triggers\n"
    )


async def test_an_event_is_tried(cli: Cli, rules: str, tmp_path: Path) -> None:
    """What would be sent is shown as it would be, whether the place is told or not."""
    workspace = uuid4()
    path = event(tmp_path, workspace_id=str(workspace), level="hard")
    place = ("--exchange", "billing", "--routing-key", "billing.budget.exceeded")
    for where in ((), place):
        ran = await cli("triggers", "--try", path, *where, LIFECYCLE_TRIGGERS_FILE=rules)
        assert ran.code == 0, ran.err
        shown = json.loads(ran.out)
        assert (shown["trigger"], shown["app_id"]) == ("budget exceeded", "billing-triggers")
        body = json.dumps(shown["command"]).encode()
        command = event_of(Inbound(body=body, queue="", exchange="", routing_key=""))
        assert command == PauseWorkspace(
            workspace_id=workspace,
            cascade=True,
            max_affected=50,
            reason="budget exceeded",
            requested_by="event e-1 of /billing",
        )


async def test_an_event_that_leads_to_nothing_is_exit_code_1(
    cli: Cli, rules: str, tmp_path: Path
) -> None:
    """Another key, another level, no workspace there, no event at all: each is told."""
    workspace = str(uuid4())
    soft = event(tmp_path, workspace_id=workspace, level="soft")
    ran = await cli("triggers", "--try", soft, LIFECYCLE_TRIGGERS_FILE=rules)
    assert (ran.code, ran.out) == (1, "")
    hard = event(tmp_path, workspace_id=workspace, level="hard")
    ran = await cli("triggers", "--try", hard, "--routing-key", "x", LIFECYCLE_TRIGGERS_FILE=rules)
    assert (ran.code, ran.out) == (1, "")
    nowhere = event(tmp_path, level="hard")
    ran = await cli("triggers", "--try", nowhere, LIFECYCLE_TRIGGERS_FILE=rules)
    assert (ran.code, "$.data.workspace_id: Field required" in ran.err) == (1, True)
    nowhere.write_text("nothing")
    ran = await cli("triggers", "--try", nowhere, LIFECYCLE_TRIGGERS_FILE=rules)
    assert (ran.code, "not JSON" in ran.err) == (1, True)


async def test_without_a_file_or_with_a_wrong_one_it_says_so(cli: Cli, tmp_path: Path) -> None:
    """As `run` does at its start, naming the variable."""
    ran = await cli("triggers")
    assert (ran.code, "LIFECYCLE_TRIGGERS_FILE is not set" in ran.err) == (2, True)
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(
        '[[trigger]]\nname = "x"\nexchange = "workspace.events"\nrouting_key = "#"\n'
        'action = "pause"\nworkspace = "$.id"\n'
    )
    for verb in ("triggers", "run"):
        ran = await cli(verb, LIFECYCLE_TRIGGERS_FILE=str(wrong))
        assert ran.code == 2
        assert "LIFECYCLE_TRIGGERS_FILE:" in ran.err
        assert "trigger.0.exchange: is an exchange of this program" in ran.err


async def test_an_event_in_binary_mode_is_tried(cli: Cli, rules: str, tmp_path: Path) -> None:
    """Its attributes are headers, which can be said; what is none is refused."""
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"workspace_id": str(uuid4()), "level": "hard"}))
    attributes = {"specversion": "1.0", "id": "e-1", "source": "/billing", "type": "exceeded"}
    said = [f"--header=cloudEvents:{name}={value}" for name, value in attributes.items()]
    ran = await cli("triggers", "--try", path, *said, LIFECYCLE_TRIGGERS_FILE=rules)
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["command"]["causationid"] == "e-1"
    ran = await cli("triggers", "--try", path, "--header=x", LIFECYCLE_TRIGGERS_FILE=rules)
    assert (ran.code, "NAME=VALUE" in ran.err) == (2, True)
