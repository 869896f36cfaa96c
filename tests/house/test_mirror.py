"""The mirror: a module has a test file of its name, or stands here with a reason that holds."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WITHOUT = {
    "consumer/__main__.py": "two lines; tests/cli/test_run.py starts it as a process",
    "consumer/app.py": "the composition root; tests/contract/test_acceptance.py runs it whole",
    "consumer/audit/chain.py": "walked for its faults; tests/audit/test_verify.py",
    "consumer/audit/repair.py": "writes what verify misses; tests/audit/test_verify.py",
    "consumer/cli/answer.py": "what pause and resume print; tests/cli/test_ask.py",
    "consumer/cli/environment.py": "read by every verb; tests/cli/test_verbs.py",
    "consumer/cli/into.py": "one option; tests/cli/test_replay.py",
    "consumer/cli/lazy.py": "how main finds the verbs; tests/cli/test_verbs.py",
    "consumer/cli/main.py": "lists the verbs; tests/cli/test_verbs.py",
    "consumer/cli/paper.py": "what the verbs print; tests/cli/test_verbs.py",
    "consumer/cli/schemas.py": "one verb; tests/cli/test_verbs.py",
    "consumer/cli/workspace.py": "what Tab finds; tests/cli/test_completion.py",
    "consumer/broker/channel.py": "what two channels share; tests/broker/test_confirming.py",
    "consumer/broker/depth.py": "counts for the console; tests/console/test_server.py",
    "consumer/cli/console.py": "one verb; tests/console/test_verb.py",
    "consumer/console/feed.py": "what the console tells; tests/console/test_server.py",
    "consumer/doctor/database.py": "what one verb looks at; tests/cli/test_doctor.py",
    "consumer/doctor/executor.py": "what one verb looks at; tests/cli/test_doctor.py",
    "consumer/doctor/finding.py": "a noun; tests/cli/test_doctor.py",
    "consumer/doctor/names.py": "what one verb looks at; tests/cli/test_doctor.py",
    "consumer/executor/port.py": "a Protocol; tests/executor/test_conformance.py",
    "consumer/executor/refusals.py": "a table for one executor; tests/executor/test_ec2.py",
    "consumer/executor/simulated.py": "one of a suite's; tests/executor/test_conformance.py",
    "consumer/foreseen.py": "one class; tests/cli/test_verbs.py sees what ends a verb",
    "consumer/lifecycle/lifecycle.py": "the contract's promises; tests/contract/test_decision.py",
    "consumer/record.py": "a noun; tests/audit/test_lines.py writes it and reads it back",
    "consumer/store/waiting.py": "one count; tests/console/test_server.py",
    "consumer/store/forest.py": "one listing; tests/cli/test_verbs.py",
    "consumer/store/prune.py": "run by the pruner; tests/audit/test_pruner.py",
    "consumer/telemetry/health.py": "asked of a process; tests/contract/test_stop.py",
    "consumer/telemetry/readiness.py": "asked of a process; tests/faults/test_broker.py",
}
ROOMS = [
    str(path.relative_to(ROOT))
    for path in sorted([*ROOT.glob("consumer/**/*.py"), *ROOT.glob("schemas/**/*.py")])
    if path.name != "__init__.py" and "devstack" not in path.parts
]
TESTS = {path.stem for path in ROOT.glob("tests/**/test_*.py")}


def mirrored(module: str) -> bool:
    """Tell whether a test file has a module's name, or begins with it."""
    name = f"test_{Path(module).stem}"
    return any(test == name or test.startswith(f"{name}_") for test in TESTS)


@pytest.mark.parametrize("module", ROOMS)
def test_a_module_has_its_test_file_or_a_reason(module: str) -> None:
    """One or the other: a reason for what has a file by now is taken off the list."""
    assert mirrored(module) != (module in WITHOUT)


@pytest.mark.parametrize(("module", "reason"), WITHOUT.items())
def test_a_reason_names_a_test_that_is_there(module: str, reason: str) -> None:
    """The list speaks of modules and test files that exist."""
    assert (ROOT / module).exists()
    assert (ROOT / reason.partition("; ")[2].split(" ")[0]).exists()


def test_the_list_stays_short() -> None:
    """An exception is one: most modules have their file."""
    assert len(WITHOUT) * 3 < len(ROOMS)
