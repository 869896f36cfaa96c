"""No secret gets out: recognisable ones are planted everywhere, and everything said is searched."""

import asyncio
import gzip
import json
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import boto3
import click
import pytest
from click.testing import CliRunner

from consumer.cli.main import cli as root
from consumer.devstack.platform import aws_environment
from consumer.devstack.server import free_ports
from consumer.devstack.stack import Stack
from tests.support.caller import WireCaller
from tests.support.forest import Forest
from tests.support.forked import PATIENCE, Forked
from tests.support.program import environment, process
from tests.support.users import user_on

DATABASE, TOKEN, AWS = "plantedDatabase7", "plantedConsole-token-7", "plantedAwsKey7"
AWAY, SPLIT = "plantedAway7", "planted77"
ID = "9a591777-7480-40d4-85d2-2bf7f3a1a5b5"
VERBS: dict[str, list[str]] = {
    "archive": ["--once"],
    "completion": ["bash"],
    "console": ["--listen", "0.0.0.0:no"],
    "dead-letters discard": ["--all"],
    "dead-letters list": [],
    "dead-letters requeue": ["--all"],
    "dead-letters show": ["an-id"],
    "declare": [],
    "demo": ["--no-such-option"],
    "doctor": ["--json"],
    "migrate": [],
    "operations": [ID],
    "pause": [ID, "--timeout", "1"],
    "replay": ["--verify"],
    "resume": [ID, "--timeout", "1"],
    "run": [],
    "schemas": ["--no-such-option"],
    "tree": [],
    "triggers": [],
    "watch": [ID],
}
"""Every verb, with what it takes to get as far as its secrets; two need none and write files."""


@dataclass(frozen=True)
class Planted:
    """URLs with secrets in them, and what must be found nowhere."""

    amqp_url: str
    database_url: str
    secrets: tuple[str, ...]

    def none_in(self, *texts: str) -> None:
        """Fail where a secret stands, without repeating the text around it."""
        for text in texts:
            assert [secret for secret in self.secrets if secret in text] == []


@pytest.fixture
def planted(stack: Stack, declared_url: str, database_url: str) -> Iterator[Planted]:
    """Plant a password that the broker checks, one that the database is given, and the others."""
    parts = urlsplit(database_url)
    netloc = f"{parts.username}:{parts.password or DATABASE}@{parts.netloc.rpartition('@')[2]}"
    with user_on(stack.management_url, declared_url, "planted") as amqp_url:
        secret = urlsplit(amqp_url).password or ""
        mine = (secret, parts.password or DATABASE, TOKEN, AWS, AWAY, SPLIT)
        yield Planted(amqp_url, urlunsplit(parts._replace(netloc=netloc)), mine)


def variables(stack: Stack, planted: Planted, bucket_url: str) -> dict[str, str]:
    """Give an environment full of secrets."""
    return {
        **aws_environment(stack),
        "AWS_SECRET_ACCESS_KEY": AWS,
        "LIFECYCLE_AMQP_URL": planted.amqp_url,
        "LIFECYCLE_DATABASE_URL": planted.database_url,
        "LIFECYCLE_CONSOLE_TOKEN": TOKEN,
        "LIFECYCLE_ARCHIVE_URL": bucket_url,
    }


def asked(url: str) -> str:
    """Ask over HTTP; give the answer, also where it is a refusal."""
    try:
        with urllib.request.urlopen(url) as answer:
            return str(answer.read())
    except HTTPError as refused:
        with refused:
            return str(refused.read())


async def test_a_run_that_goes_well_tells_none(
    stack: Stack,
    planted: Planted,
    bucket_url: str,
    tmp_path: Path,
    forest: Forest,
    caller: WireCaller,
) -> None:
    """Neither its log nor its health, its command line, its environment, the trail or the archive.

    The URLs come from files, as they should: then not even the environment has them. The first of
    two nodes of the broker is away.
    """
    given = variables(stack, planted, bucket_url)
    parts = urlsplit(planted.amqp_url)
    away = f"amqp://{parts.username}:{AWAY}@127.0.0.1:1{parts.path}"
    given["LIFECYCLE_AMQP_URL"] = f"{away},{planted.amqp_url}"
    for name in ("LIFECYCLE_AMQP_URL", "LIFECYCLE_DATABASE_URL", "LIFECYCLE_CONSOLE_TOKEN"):
        path = tmp_path / name
        path.write_text(f"{given.pop(name)}\n")
        given[f"{name}_FILE"] = str(path)
    (port,) = free_ports(1)
    given |= {"LIFECYCLE_LISTEN": f"127.0.0.1:{port}", "LIFECYCLE_LOG_LEVEL": "debug"}
    given |= {"LIFECYCLE_EXECUTOR": "ec2", "LIFECYCLE_ARCHIVE_EVERY": "0.2"}
    top = await forest.plant("top")
    async with process("", "", **given) as program:
        await program.until("program.started")
        proc = Path(f"/proc/{program.process.pid}")
        planted.none_in((proc / "cmdline").read_text(), (proc / "comm").read_text())
        planted.none_in((proc / "environ").read_text().replace(AWS, ""))
        await caller.pause(top)
        await caller.hear("workspace.stop.failed", workspace_id=top)  # there is no such machine
        await caller.send("workspace.stopped", b"nonsense", exchange="workspace.events")
        for path_ in ("readyz", "livez", "nowhere"):
            planted.none_in(await asyncio.to_thread(asked, f"http://127.0.0.1:{port}/{path_}"))
        await program.until("archive.written")
        program.process.terminate()
        assert await program.ended() == 0
    planted.none_in(*map(json.dumps, program.lines))
    planted.none_in(*await ran(["dead-letters", "list"], given))
    planted.none_in(*objects(stack, bucket_url))


def objects(stack: Stack, bucket_url: str) -> list[str]:
    """Read every object of the archive, and its metadata."""
    parts = urlsplit(bucket_url)
    s3 = boto3.Session("demo", "demo", region_name="us-east-1").client(
        "s3", endpoint_url=stack.aws_url
    )
    found = []
    for one in s3.list_objects_v2(Bucket=parts.netloc)["Contents"]:
        held = s3.get_object(Bucket=parts.netloc, Key=one["Key"])
        body = held["Body"].read()
        text = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        found.append(f"{one['Key']} {held['Metadata']} {text!r}")
    assert len(found) >= 2
    return found


def every_verb(group: click.Group = root, above: str = "") -> Iterator[str]:
    """Name every verb there is."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from every_verb(command, f"{above}{name} ")
        else:
            yield f"{above}{name}"


def test_every_verb_is_tried() -> None:
    """One that is added has to say here how it fails."""
    assert set(every_verb()) == set(VERBS)


def failing(planted: Planted, way: str) -> tuple[str, str]:
    """Give URLs with which nothing can work."""
    amqp, database = planted.amqp_url, planted.database_url
    host = urlsplit(amqp).netloc.rpartition("@")[2]
    return {
        "nobody is there": (
            f"amqp://planted:{AWAY}@127.0.0.1:1/,amqp://planted:{AWAY}@127.0.0.1:2/",
            f"postgresql://planted:{AWAY}@127.0.0.1:1/x",
        ),
        "refused": (f"amqp://planted:{AWAY}@{host}/", f"{database}-none?application_name={AWAY}"),
        "not percent-encoded": (
            f"{amqp},amqp://planted:77/{SPLIT}@{host}/", f"postgresql://planted:77#{SPLIT}@{host}/x",
        ),
        "no URL at all": (AWAY, AWAY),
        "options that do not exist": (
            f"{amqp}?heartbeat={AWAY}", f"{database}?sslmode={AWAY}&password={AWAY}",
        ),
    }[way]  # fmt: skip


WAYS = ("nobody is there", "refused", "not percent-encoded", "no URL at all")


@pytest.mark.parametrize("way", [*WAYS, "options that do not exist"])
async def test_no_verb_that_fails_tells_any(
    stack: Stack, planted: Planted, bucket_url: str, way: str
) -> None:
    """Every verb, in several ways: standard output and standard error are searched.

    One that waits for a server to come is watched while it waits, and ended.
    """
    amqp_url, database_url = failing(planted, way)
    given = variables(stack, planted, bucket_url)
    given |= {"LIFECYCLE_AMQP_URL": amqp_url, "LIFECYCLE_DATABASE_URL": database_url}
    few = asyncio.Semaphore(3)

    async def try_one(verb: str, arguments: list[str]) -> None:
        async with few:
            planted.none_in(*await ran([*verb.split(), *arguments], given))

    tried = [try_one(*one) for one in VERBS.items()]
    assert [bad for bad in await asyncio.gather(*tried, return_exceptions=True) if bad] == []


def test_no_help_tells_any(stack: Stack, planted: Planted, bucket_url: str) -> None:
    """Defaults that come from the environment would be shown there."""
    runner = CliRunner(env=variables(stack, planted, bucket_url))
    for verb in ("", *VERBS, "dead-letters"):
        helped = runner.invoke(root, [*verb.split(), "--help"])
        assert helped.exit_code == 0
        planted.none_in(helped.output)


async def test_no_doctor_tells_any(stack: Stack, planted: Planted, bucket_url: str) -> None:
    """Where all is well, and where nothing is."""
    for changes in ({}, {"AWS_ENDPOINT_URL": f"http://planted:{AWAY}@127.0.0.1:1"}):
        given = {**variables(stack, planted, bucket_url), **changes}
        for arguments in (["doctor"], ["doctor", "--json"]):
            planted.none_in(*await ran(arguments, given, patience=60))


async def test_a_broker_that_goes_away_is_told_without_any(
    stack: Stack, planted: Planted, bucket_url: str, declared_url: str
) -> None:
    """What is wrong with a topology, and with settings, is said without its surroundings."""
    given = variables(stack, planted, bucket_url)
    async with await aio_pika.connect(declared_url) as connection:
        channel = await connection.channel()
        await channel.queue_delete("lifecycle.results")
        await channel.declare_queue("lifecycle.results", durable=True)
    wrong = {"LIFECYCLE_MAX_BODY": AWAY, "LIFECYCLE_POLICY_FILE": AWAY, "LIFECYCLE_LISTEN": AWAY}
    for changes in ({}, *({name: value} for name, value in wrong.items() if "FILE" not in name)):
        planted.none_in(*await ran(["run"], {**given, **changes}))


async def ran(
    arguments: list[str], given: Mapping[str, str], patience: float = 4
) -> tuple[str, str]:
    """Run a verb for at most some seconds after its first word; give what it said."""
    forked = Forked(arguments, environment(**given))
    words = [asyncio.create_task(one.word.wait()) for one in (forked.out, forked.err)]
    await asyncio.wait(
        [*words, forked.out.all], return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE
    )
    for word in words:
        word.cancel()
    done, _ = await asyncio.wait([forked.out.all], timeout=patience)
    if not done:
        forked.process.terminate()
    said = await forked.said()
    assert any(said)
    return said
