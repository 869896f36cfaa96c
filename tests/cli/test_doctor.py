"""`doctor`: it finds what would not work, names it, and changes nothing."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import aio_pika
import asyncpg
import boto3
import pytest

from consumer.devstack.management import call
from consumer.devstack.platform import aws_environment
from consumer.devstack.server import free_ports
from consumer.devstack.stack import Stack
from tests.cli.conftest import Cli
from tests.support.documented import block
from tests.support.forest import Forest
from tests.support.front import Front, front_before


def states(out: str) -> list[tuple[str, str]]:
    """Give part and state of each finding."""
    return [(finding["part"], finding["state"]) for finding in json.loads(out)]


def said(out: str, state: str) -> str:
    """Give what was said of one state."""
    return "\n".join(one["said"] for one in json.loads(out) if one["state"] == state)


@pytest.fixture
def front(stack: Stack) -> Iterator[Front]:
    """Put a front before moto."""
    with front_before(stack.aws_url) as before:
        yield before


def aws(stack: Stack, front: Front) -> Mapping[str, str]:
    """Lead boto3 through the front."""
    return {**aws_environment(stack), "AWS_ENDPOINT_URL": front.url, "LIFECYCLE_EXECUTOR": "ec2"}


async def with_a_machine(stack: Stack, forest: Forest) -> str:
    """Plant a workspace that has an instance."""
    client = boto3.Session("demo", "demo", region_name="us-east-1").client(
        "ec2", endpoint_url=stack.aws_url
    )
    image = client.describe_images(MaxResults=5)["Images"][0]["ImageId"]
    launched = client.run_instances(ImageId=image, MinCount=1, MaxCount=1)
    instance_id = launched["Instances"][0]["InstanceId"]
    await forest.plant("w")
    await forest.connection.execute("update workspaces set instance_id = $1", instance_id)
    return instance_id


@pytest.mark.usefixtures("declared_url")
async def test_a_sound_installation_is_found_sound(
    cli: Cli, stack: Stack, forest: Forest, front: Front
) -> None:
    """Everything is looked at, by dry runs where looking is doing, and nothing is changed."""
    await with_a_machine(stack, forest)
    before = await forest.snapshot()
    ran = await cli("doctor", "--json", **aws(stack, front))
    assert ran.code == 0, ran.err
    assert set(states(ran.out)) == {
        ("broker", "ok"),
        ("broker", "note"),
        ("database", "ok"),
        ("executor", "ok"),
        ("clock", "ok"),
        ("archive", "note"),
    }
    assert "nobody consumes lifecycle.commands" in said(ran.out, "note")
    assert await forest.snapshot() == before
    assert front.asked == ["DescribeInstances", "StopInstances", "StartInstances"]


async def test_what_credentials_may_not_do_is_wrong(
    cli: Cli, stack: Stack, forest: Forest, front: Front
) -> None:
    """A permission that is missing is named, with the instance it was tried on."""
    instance_id = await with_a_machine(stack, forest)
    front.refusals["StopInstances"] = (403, "UnauthorizedOperation")
    ran = await cli("doctor", "--json", **aws(stack, front))
    assert ran.code == 1
    assert said(ran.out, "wrong") == (
        f"ec2:StopInstances on {instance_id} is not allowed to these credentials"
    )


@pytest.mark.parametrize("missing", ["AWS_REGION", "AWS_ACCESS_KEY_ID"])
async def test_what_aws_lacks_is_told_once(
    cli: Cli, stack: Stack, forest: Forest, front: Front, missing: str
) -> None:
    """No call can be made then, so there are no three that could not."""
    await with_a_machine(stack, forest)
    nothing = dict.fromkeys(("AWS_DEFAULT_REGION", "AWS_SECRET_ACCESS_KEY", missing))
    nowhere = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null"}
    ran = await cli("doctor", "--json", **{**aws(stack, front), **nowhere, **nothing})
    assert ran.code == 1
    assert said(ran.out, "wrong").count("EC2 cannot be asked") == 1
    (mend,) = [one["mend"] for one in json.loads(ran.out) if one["state"] == "wrong"]
    assert "AWS_REGION" in mend
    assert front.asked == []


async def test_before_the_first_run_nothing_is_declared_by_looking(cli: Cli) -> None:
    """On a new vhost the topology is noted as missing, and still is afterwards."""
    for _ in range(2):
        ran = await cli("doctor", "--json", LIFECYCLE_EXECUTOR="none")
        assert ran.code == 0
        assert "not declared yet" in said(ran.out, "note")
        assert "no AWS needed" in said(ran.out, "ok")


async def test_a_setting_that_is_misspelt_is_wrong(cli: Cli) -> None:
    """A cap under another name is none, and everything else works."""
    ran = await cli("doctor", "--json", LIFECYCLE_EXECUTOR="none", LIFECYCLE_MAX_CASCDE="20")
    assert ran.code == 1
    assert said(ran.out, "wrong") == "LIFECYCLE_MAX_CASCDE has no effect"


async def test_a_node_that_would_be_no_help_is_noted(cli: Cli, declared_url: str) -> None:
    """Everything works over the other one, until that goes away too."""
    parts, (port,) = urlsplit(declared_url), free_ports(1)
    netloc = f"{parts.username}:{parts.password}@127.0.0.1:{port}"
    away = urlunsplit(parts._replace(netloc=netloc))
    given = {"LIFECYCLE_AMQP_URL": f"{away},{declared_url}", "LIFECYCLE_EXECUTOR": "none"}
    ran = await cli("doctor", "--json", **given)
    assert ran.code == 0
    assert "the topology is declared" in said(ran.out, "ok")
    assert f"127.0.0.1:{port}" in said(ran.out, "note")


async def test_a_queue_with_other_arguments_is_wrong(cli: Cli, amqp_url: str) -> None:
    """What `run` would refuse to start on is found before it is run."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("lifecycle.results", durable=True)
        ran = await cli("doctor", LIFECYCLE_EXECUTOR="none")
    assert ran.code == 1
    assert "lifecycle.results" in ran.out
    assert "x-dead-letter-exchange = none and we need" in ran.out


async def test_what_the_brokers_user_may_not_do_is_wrong(
    cli: Cli, stack: Stack, declared_url: str
) -> None:
    """Each right that is missing is named, and the patterns that would give it."""
    parts = urlsplit(declared_url)
    user = f"little-{uuid4().hex}"
    rights = {"configure": ".*", "write": "^workspace[.]", "read": ".*"}
    call(stack.management_url, "PUT", f"users/{user}", {"password": user, "tags": ""})
    call(stack.management_url, "PUT", f"permissions/{parts.path[1:]}/{user}", rights)
    url = urlunsplit(parts._replace(netloc=f"{user}:{user}@{parts.hostname}:{parts.port}"))
    ran = await cli("doctor", "--json", LIFECYCLE_AMQP_URL=url, LIFECYCLE_EXECUTOR="none")
    call(stack.management_url, "DELETE", f"users/{user}")
    assert said(ran.out, "wrong") == (
        "the user may not write lifecycle.dead-letter, write amq.default"
    )
    assert "write patterns of `rabbitmqctl set_permissions`" in ran.out
    assert user not in ran.out + ran.err


async def test_a_clock_that_is_off_is_noted(
    cli: Cli, database_url: str, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Callers who send not_after would wonder."""
    name = database_url.rpartition("/")[2]
    await connection.execute(
        "create function public.clock_timestamp() returns timestamptz language sql as"
        " $$ select now() + interval '5 minutes' $$;"
        f' alter database "{name}" set search_path = public, pg_catalog'
    )
    ran = await cli("doctor", "--json", LIFECYCLE_EXECUTOR="none")
    assert ran.code == 0
    assert "the database's clock is 300 s ahead of ours" in said(ran.out, "note")


async def test_dead_letters_are_noted(cli: Cli, declared_url: str) -> None:
    """What was parked is not forgotten."""
    async with await aio_pika.connect(declared_url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("lifecycle.dead-letter")
        await exchange.publish(aio_pika.Message(b"x"), "lifecycle.results")
        ran = await cli("doctor", LIFECYCLE_EXECUTOR="none")
    assert "lifecycle.results.dead holds dead letters: 1" in ran.out


async def test_servers_that_are_away_are_named_and_the_rest_is_still_looked_at(cli: Cli) -> None:
    """One thing that is wrong does not hide another, and no password is shown."""
    ran = await cli(
        "doctor",
        LIFECYCLE_AMQP_URL="amqp://me:secret@127.0.0.1:1/",
        LIFECYCLE_DATABASE_URL="postgresql://me:secret@127.0.0.1:1/x",
        LIFECYCLE_EXECUTOR="none",
    )
    assert ran.code == 1
    assert [line.split()[:2] for line in ran.out.splitlines()] == [
        ["wrong", "broker"],
        ["wrong", "database"],
        ["ok", "executor"],
        ["note", "archive"],
    ]
    assert "secret" not in ran.out + ran.err


async def test_a_database_that_is_not_migrated_is_wrong(
    cli: Cli, platform_database_url: str
) -> None:
    """The command that mends it is said."""
    ran = await cli(
        "doctor", LIFECYCLE_DATABASE_URL=platform_database_url, LIFECYCLE_EXECUTOR="none"
    )
    assert ran.code == 1
    assert "workspace-lifecycle migrate" in ran.out


@pytest.mark.parametrize(
    ("grants", "lacking"),
    [
        ([], "may not read the schema lifecycle"),
        (["usage on schema lifecycle", "select on all tables in schema lifecycle"], "lacks"),
    ],
)
async def test_a_role_that_may_too_little_is_wrong(
    cli: Cli,
    database_url: str,
    connection: "asyncpg.Connection[asyncpg.Record]",
    grants: list[str],
    lacking: str,
) -> None:
    """What the database role lacks is named before the first command meets it."""
    role = f"little_{uuid4().hex}"
    await connection.execute(f"create role {role} login password 'little'")
    try:
        for grant in grants:
            await connection.execute(f"grant {grant} to {role}")
        parts = urlsplit(database_url)
        url = urlunsplit(parts._replace(netloc=f"{role}:little@{parts.netloc.rpartition('@')[2]}"))
        ran = await cli("doctor", LIFECYCLE_DATABASE_URL=url, LIFECYCLE_EXECUTOR="none")
    finally:
        await connection.execute(f"drop owned by {role}; drop role {role}")
    assert ran.code == 1
    assert lacking in ran.out


async def test_each_trigger_is_told_with_whether_its_exchange_is_there(
    cli: Cli, declared_url: str, tmp_path: Path
) -> None:
    """A missing exchange is wrong, and looking declares none."""
    path = tmp_path / "triggers.toml"
    path.write_text(block("toml", "[[trigger]]", "triggers.md"))
    given = {"LIFECYCLE_TRIGGERS_FILE": str(path), "LIFECYCLE_EXECUTOR": "none"}
    for _ in range(2):
        ran = await cli("doctor", "--json", **given)
        assert ran.code == 1
        assert "pause $.data.workspace_id" in said(ran.out, "wrong")
        assert "there is no exchange 'billing'" in said(ran.out, "wrong")
        assert "not declared yet: lifecycle.triggers.dead, lifecycle.triggers" in said(
            ran.out, "note"
        )
    async with await aio_pika.connect(declared_url) as connection:
        channel = await connection.channel()
        await channel.declare_exchange("billing", "topic")
        assert (await cli("declare", **given)).code == 0
        ran = await cli("doctor", "--json", **given)
    assert ran.code == 0, ran.out
    assert ("trigger", "ok") in states(ran.out)
    assert "nobody consumes lifecycle.triggers" in said(ran.out, "note")
