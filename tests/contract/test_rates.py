"""Sender not allowed: 403 for what comes too fast, while everybody else is answered."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import pytest

from consumer.client import LifecycleClient
from consumer.devstack.stack import Stack
from consumer.operation import Operation
from consumer.rules import Grant, Rule, Rules
from consumer.settings import Settings
from consumer.store.operations import record_operations
from consumer.store.pool import Connection, StaleError
from schemas.events import Summary
from tests.support.caller import WireCaller
from tests.support.forest import Forest
from tests.support.program import running
from tests.support.users import user_on

SOME_WAY_OFF = 600.0


@pytest.fixture
def user(amqp_url: str) -> str:
    """Give the user as whom the tests are connected."""
    return urlsplit(amqp_url).username or "guest"


def limited(user: str, burst: int, rate: float = 0.1) -> Rules:
    """Let a user send a few commands, and the next one only after minutes."""
    return Rules(rule=(Rule(name="few", users=(user,), cascade=True, rate=rate, burst=burst),))


async def test_over_the_rate_it_is_403_with_the_rule_and_when_to_come_back(
    settings_of: Callable[..., Settings], caller: WireCaller, forest: Forest, user: str
) -> None:
    """Nothing changes, a dry run says the same, and the answer stays the answer."""
    top = await forest.plant("top", "top/below")
    async with running(settings_of(policy_file=limited(user, 1))):
        await caller.ask("workspace.pause", {"workspace_id": uuid4()}, user_id=user)
        fields = {"workspace_id": top, "cascade": True}
        refused = await caller.ask("workspace.pause", fields, message_id="m", user_id=user)
        assert (refused.data["status"], refused.data["code"]) == (403, "forbidden")
        assert refused.data["descendants"] == []
        found = re.fullmatch(
            r"rule 'few' of the policy file does not let user '.*' send more than 0\.1 commands a "
            r"minute: send it again, under a new id, in (\d+) s",
            refused.data["detail"],
        )
        assert found
        assert 0 < int(found[1]) <= SOME_WAY_OFF
        preview = await caller.ask("workspace.pause", {**fields, "dry_run": True}, user_id=user)
        assert (preview.data["would"], preview.data["status"]) == ("rejected", 403)
        again = await caller.ask("workspace.pause", fields, message_id="m", user_id=user)
        assert again.message.body == refused.message.body
    assert await forest.statuses() == {"top": "online", "below": "online"}


async def test_what_is_known_or_refused_anyhow_costs_no_token(
    settings_of: Callable[..., Settings], caller: WireCaller, forest: Forest, user: str
) -> None:
    """A repeated id gets its stored answer; nor is counted what is malformed or expired."""
    top, other = await forest.plant("top"), await forest.plant("other")
    fields: dict[str, Any] = {"workspace_id": top}
    past = {"not_after": "2000-01-01T00:00:00Z"}
    async with running(settings_of(policy_file=limited(user, 2))):
        first = await caller.ask("workspace.pause", fields, message_id="m", user_id=user)
        for _ in range(5):
            again = await caller.ask("workspace.pause", fields, message_id="m", user_id=user)
            assert again.message.body == first.message.body
            for wrong in ({"cascad": True}, past, {"reason": "another body"}):
                same = {"message_id": "m"} if "reason" in wrong else {}
                answer = await caller.ask(
                    "workspace.pause", {**fields, **wrong}, user_id=user, **same
                )
                assert answer.data["code"] != "forbidden"
            nobody = await caller.ask("workspace.pause", fields)
            assert "require_user_id" in nobody.data["detail"]
        second = await caller.ask("workspace.pause", {"workspace_id": other}, user_id=user)
        assert second.data["paused_count"] == 1
        third = await caller.ask("workspace.resume", {"workspace_id": other}, user_id=user)
        assert third.data["code"] == "forbidden"


async def test_a_transaction_that_is_done_again_costs_one_token(
    settings_of: Callable[..., Settings],
    caller: WireCaller,
    forest: Forest,
    user: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The token is the command's, however often the database makes it begin anew."""
    top, other = await forest.plant("top"), await forest.plant("other")
    tries: list[Operation] = []

    async def late(connection: Connection, operations: Sequence[Operation]) -> None:
        tries.extend(operations)
        if len(tries) < 4:
            raise StaleError("the tree changed")
        await record_operations(connection, operations)

    monkeypatch.setattr("consumer.lifecycle.transaction.record_operations", late)
    async with running(settings_of(policy_file=limited(user, 2))):
        for one in (top, other):
            answer = await caller.ask("workspace.pause", {"workspace_id": one}, user_id=user)
            assert answer.data["paused_count"] == 1
        last = await caller.ask("workspace.resume", {"workspace_id": top}, user_id=user)
        assert last.data["code"] == "forbidden"
    assert len(tries) == 6


@pytest.fixture
async def flood(stack: Stack, declared_url: str) -> AsyncIterator["Callable[[Any], Flood]"]:
    """Give a way to flood the commands as a user of one's own."""
    with user_on(stack.management_url, declared_url, "noisy") as url:
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange("workspace.commands")
            yield lambda top: Flood(exchange, urlsplit(url).username or "", top)


class Flood:
    """Somebody who sends cascades as fast as the broker takes them."""

    def __init__(self, exchange: Any, user: str, top: Any) -> None:
        self._exchange, self._user, self._top = exchange, user, top
        self.sent = 0

    async def run(self) -> None:
        """Send until cancelled, some hundred confirms at a time."""
        kinds = ("workspace.pause", "workspace.resume")
        while True:
            await asyncio.gather(*(self._send(kinds[n % 2]) for n in range(200)))
            self.sent += 200

    async def _send(self, kind: str) -> None:
        body: Mapping[str, Any] = {"workspace_id": str(self._top), "cascade": True}
        message = aio_pika.Message(
            json.dumps(body).encode(), message_id=str(uuid4()), app_id="noisy", user_id=self._user
        )
        await self._exchange.publish(message, kind)


async def test_while_one_floods_the_others_are_answered(
    settings_of: Callable[..., Settings],
    amqp_url: str,
    forest: Forest,
    flood: "Callable[[Any], Flood]",
) -> None:
    """The queue is one for all, so that each waits for what is before it, and that is refused.

    The flood goes on from before the first question until after the last answer, on a tree that
    takes long to pause; a handful of its commands are carried out, and all others are refused.
    """
    big = await forest.plant("big", *(f"big/{n}" for n in range(1000)))
    tops = [await forest.plant(f"quiet-{n}") for n in range(10)]
    noisy = Rule(name="noisy", users=("noisy-*",), cascade=True, rate=6, burst=2)
    rules = Rules(rule=(noisy,), default=Grant())
    async with (
        running(settings_of(policy_file=rules)),
        LifecycleClient(amqp_url, source="quiet") as client,
    ):
        flooding = flood(big)
        sending = asyncio.create_task(flooding.run())
        try:
            while flooding.sent < 400:  # noqa: ASYNC110 (nothing tells us)
                await asyncio.sleep(0.01)
            before = flooding.sent
            for top in tops:
                assert isinstance(await client.pause(top), Summary)
            assert flooding.sent > before
            assert not sending.done()
        finally:
            sending.cancel()
            await asyncio.wait([sending])
        carried = await forest.connection.fetchval(
            "select count(*) from lifecycle.operation where app_id = 'noisy' and status = 200"
        )
        refused = await forest.connection.fetchval(
            "select count(*) from lifecycle.operation where app_id = 'noisy' and status = 403"
        )
    assert carried <= 2 + 120 * 6 / 60
    assert refused > 100
