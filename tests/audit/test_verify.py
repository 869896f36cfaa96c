"""Verify finds each kind of damage, and nothing where there is none."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aio_pika
import asyncpg
import boto3
import pytest

from consumer.audit.archive import Archiver
from consumer.audit.bucket import Bucket
from consumer.audit.repair import Repairer
from consumer.audit.trail import Source
from consumer.audit.verify import Verdict, Verifier
from consumer.broker.stream import Stream
from consumer.settings import Settings
from consumer.store.pool import Database
from tests.audit.filling import Filler, objects
from tests.support.caller import WireCaller
from tests.support.forest import Forest
from tests.support.program import running

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

MAX_BODY = 1_000_000


@dataclass
class Trailed:
    """A trail of three operations, settled and archived, and what can look at it."""

    pool: Database
    stream: Stream
    bucket: Bucket
    bucket_url: str
    connection: "Connection"
    filler: Filler
    operation: str = ""

    async def verify(self, source: Source = "auto") -> Verdict:
        """Verify it."""
        verifier = Verifier(self.pool, self.stream, self.bucket, MAX_BODY)
        return await verifier.verify(source, lambda _: None)

    async def kinds(self, source: Source = "auto") -> list[str]:
        """Verify it; give the kinds that were found, each once."""
        return sorted({one.kind for one in (await self.verify(source)).findings})

    async def names(self, prefix: str = "") -> list[str]:
        """List what is in the bucket."""
        return [name async for name in self.bucket.names(prefix)]

    def remove(self, name: str) -> None:
        """Remove an object, as somebody may who wants it gone."""
        parts = urlsplit(self.bucket_url)
        key = f"{parts.path.strip('/')}/{name}"
        boto3.client("s3").delete_object(Bucket=parts.netloc, Key=key)


@pytest.fixture
async def trailed(  # each is a part of it
    pool: Database,
    stream: Stream,
    bucket: Bucket,
    bucket_url: str,
    connection: "Connection",
    filler: Filler,
    archiver: Callable[..., Archiver],
    settings_of: Callable[..., Settings],
    caller: WireCaller,
    forest: Forest,
) -> Trailed:
    """Refuse a pause, carry it out, resume: four objects or more, and all of it settled."""
    found = Trailed(pool, stream, bucket, bucket_url, connection, filler)
    async with running(settings_of()):
        top = await forest.plant("top", "top/a", "top/b", "top/c:failed")
        assert (await caller.pause(top)).data["status"] == 409
        summary = await caller.pause(top, cascade=True)
        found.operation = summary.data["operation_id"]
        await caller.hear("workspace.pause.settled", operation_id=found.operation)
        other = await forest.plant("other")
        paused = (await caller.pause(other)).data["operation_id"]
        await caller.hear("workspace.pause.settled", operation_id=paused)
        resumed = (await caller.resume(other)).data["operation_id"]
        await caller.hear("workspace.resume.settled", operation_id=resumed)
        await caller.all_out()
    await archiver(records=5).once()
    return found


@pytest.mark.parametrize("source", ["auto", "s3", "stream"])
async def test_nothing_is_found_where_nothing_is_wrong(trailed: Trailed, source: Source) -> None:
    """From either source; a pause of one that failed before is part of it."""
    verdict = await trailed.verify(source)
    assert verdict.findings == ()
    assert (verdict.operations, verdict.workspaces) == (5, 5)
    assert verdict.messages >= 20


async def test_what_is_not_archived_yet_is_read_from_the_stream(trailed: Trailed) -> None:
    """A part in each: no gap is found at the joint."""
    await trailed.filler.number(0, 10)
    assert (await trailed.verify()).findings == ()


Damage = Callable[[Trailed], Awaitable[Any]]
SQL = {
    "other-counts": "update lifecycle.operation set succeeded_count = succeeded_count - 1,"
    " failed_count = 1 where target_count > 1",
    "other-answer": "update lifecycle.operation set answer_type = 'workspace.pause.rejected'"
    " where target_count > 1",
    "other-status": "update workspaces set status = 'online' where name = 'a'",
    "missing-commands": "insert into lifecycle.target select operation_id, gen_random_uuid(),"
    " generation, depth, name, instance_id, runtime, previous_status, previous_url, true"
    " from lifecycle.target where name = 'a'",
    "never-settled": "update lifecycle.operation set settled_at = null,"
    " deadline = now() - interval '1 hour' where target_count > 1",
    "unknown-operation": "delete from lifecycle.operation where target_count > 1",
}


@pytest.mark.parametrize("kind", SQL)
async def test_a_database_that_says_otherwise_is_found(trailed: Trailed, kind: str) -> None:
    """One kind of difference, and no other."""
    await trailed.connection.execute(SQL[kind])
    assert await trailed.kinds("stream") == [kind]


async def test_a_summary_that_counts_otherwise_is_found(trailed: Trailed) -> None:
    """Five paused, says the database."""
    await trailed.connection.execute(
        "update lifecycle.operation set target_count = 5 where target_count = 4"
    )
    assert await trailed.kinds() == ["other-answer", "other-counts"]


async def test_what_is_pruned_is_not_missed(trailed: Trailed) -> None:
    """The database says until when it was."""
    await trailed.connection.execute(
        "insert into lifecycle.pruning select max(recorded_at) + interval '1 s'"
        " from lifecycle.operation"
    )
    for table in ("target", "inbox", "operation"):
        await trailed.connection.execute(f"delete from lifecycle.{table}")
    assert await trailed.kinds() == []


async def test_a_command_without_outcome_is_found(trailed: Trailed) -> None:
    """It waits in the queue, and nobody consumes."""
    exchange = await trailed.filler.channel.get_exchange("workspace.commands", ensure=False)
    for identity in ("lost", "lost too"):
        body = json.dumps({"workspace_id": trailed.operation}).encode()
        await exchange.publish(
            aio_pika.Message(body, message_id=identity, app_id="billing"), "workspace.pause"
        )
    verdict = await trailed.verify()
    assert [one.kind for one in verdict.findings] == ["command-without-outcome"] * 2
    assert "'lost' of 'billing'" in verdict.findings[0].text


async def test_an_event_of_ours_that_cannot_be_read_is_found(trailed: Trailed) -> None:
    """Nothing of the program writes such a thing."""
    await trailed.filler.fill(b"{", key="workspace.pause.summary", app_id="workspace-lifecycle")
    assert await trailed.kinds() == ["unreadable"]


async def test_a_missing_operation_is_found_and_repaired(
    trailed: Trailed, caller: WireCaller, forest: Forest, settings_of: Callable[..., Settings]
) -> None:
    """The stream lost its tail; the database knows who asked and what came of it."""
    async with running(settings_of()):
        top = await forest.plant("later", "later/below")
        lost = (await caller.pause(top, cascade=True, reason="lost")).data["operation_id"]
        await caller.hear("workspace.pause.settled", operation_id=lost)
        await caller.all_out()
    await trailed.filler.begin_anew()
    await trailed.filler.number(0, 3)
    verdict = await trailed.verify()
    assert {one.kind for one in verdict.findings} == {"missing-operation"}
    assert lost in {str(one) for one in verdict.repairable()}
    assert "begun anew" in verdict.notes[0]
    repairer = Repairer(trailed.pool, trailed.bucket, 100)
    assert await repairer.repair(verdict.repairable()) == 2
    written = {name: await trailed.bucket.get(name) for name in await trailed.names("repaired/")}
    assert await trailed.kinds() == []
    await repairer.repair(verdict.repairable())
    assert written == {name: (await objects(trailed.bucket))[name] for name in written}


async def test_a_missing_settlement_is_found_and_repaired(
    trailed: Trailed, caller: WireCaller, forest: Forest, settings_of: Callable[..., Settings]
) -> None:
    """An executor answered nothing; the database says that it was settled."""
    async with running(settings_of(executor="none"), ("commands", "relay")):
        lone = (await caller.pause(await forest.plant("lone"))).data["operation_id"]
        await caller.all_out()
    assert await trailed.kinds() == []
    await trailed.connection.execute(
        "update lifecycle.operation set settled_at = now(), open_count = 0, succeeded_count = 1"
        " where operation_id = $1",
        lone,
    )
    verdict = await trailed.verify()
    assert [one.kind for one in verdict.findings] == ["missing-settlement"]
    await Repairer(trailed.pool, trailed.bucket, 100).repair(verdict.repairable())
    assert await trailed.kinds() == []


async def test_what_waits_in_the_outbox_is_not_missed(
    trailed: Trailed, caller: WireCaller, forest: Forest, settings_of: Callable[..., Settings]
) -> None:
    """It is decided, and not published yet."""
    lone = await forest.plant("lone")
    async with running(settings_of(), ("commands",)):
        identity = await caller.send("workspace.pause", {"workspace_id": lone})
        await _recorded(trailed.connection, identity)
    assert await trailed.connection.fetchval("select count(*) from lifecycle.outbox") > 0
    assert await trailed.kinds() == []


@asynccontextmanager
async def changed(trailed: Trailed, name: str) -> AsyncIterator[None]:
    """Change one byte of an object."""
    body = await trailed.bucket.get(name)
    await trailed.bucket.put(name, body[:-5] + bytes([body[-5] ^ 1]) + body[-4:], "text/plain")
    yield


@pytest.mark.parametrize(("prefix", "place"), [("dt=", 1), ("manifest/", 0), ("manifest/", -1)])
async def test_a_removed_object_is_found(trailed: Trailed, prefix: str, place: int) -> None:
    """One within; of the manifests also the first and the last, which no other follows."""
    name = (await trailed.names(prefix))[place]
    trailed.remove(name)
    verdict = await trailed.verify("s3")
    broken = [one.text for one in verdict.findings if one.kind == "broken-chain"]
    assert any(name.rpartition("/")[2].partition(".")[0] in text for text in broken)


@pytest.mark.parametrize("prefix", ["dt=", "manifest/"])
async def test_a_changed_object_is_found(trailed: Trailed, prefix: str) -> None:
    """One byte of it, and its name is told."""
    name = (await trailed.names(prefix))[1]
    async with changed(trailed, name):
        verdict = await trailed.verify("s3")
    broken = [one.text for one in verdict.findings if one.kind == "broken-chain"]
    assert any(name in text for text in broken)


async def test_an_object_that_nobody_wrote_is_found(trailed: Trailed) -> None:
    """Beside the chain."""
    name = "dt=2026-01-01/hour=00/0001-stranger.ndjson.gz"
    await trailed.bucket.put(name, b"x", "text/plain")
    assert await trailed.kinds("s3") == ["broken-chain"]


async def test_a_cut_taken_out_whole_is_found_as_a_gap(trailed: Trailed) -> None:
    """Object, manifest and mark: even then the offsets tell."""
    data, manifest = (await trailed.names("dt="))[1], (await trailed.names("manifest/"))[1]
    trailed.remove(data)
    trailed.remove(manifest)
    await trailed.connection.execute(
        "delete from lifecycle.archive_mark where first_offset ="
        " (select first_offset from lifecycle.archive_mark order by 1 offset 1 limit 1)"
    )
    assert {"broken-chain", "gap"} <= set(await trailed.kinds("s3"))


async def _recorded(connection: "Connection", message_id: str) -> None:
    while not await connection.fetchval(
        "select 1 from lifecycle.operation where message_id = $1", message_id
    ):
        pass
