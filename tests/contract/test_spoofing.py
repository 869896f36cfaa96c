"""Who says it: the policy file goes by users that RabbitMQ verifies, and nobody gets round it."""

from collections.abc import Callable
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.exceptions import ChannelPreconditionFailed

from consumer.broker.connection import RefusedError
from consumer.client import LifecycleClient, RejectedError
from consumer.devstack.stack import Stack
from consumer.rules import Grant, Rules
from consumer.settings import Settings
from schemas.events import Summary
from tests.broker.tools import Facts
from tests.contract.answering import orders, paused, say, send_order
from tests.support.caller import WireCaller
from tests.support.forest import Forest
from tests.support.program import running
from tests.support.users import user_on

EVERYBODY = Rules(require_user_id=False, default=Grant(cascade=True))


@pytest.fixture
def user(amqp_url: str) -> str:
    """Give the user as whom the tests and the program are connected."""
    return urlsplit(amqp_url).username or "guest"


async def test_rabbitmq_takes_no_message_in_another_users_name(
    stranger: WireCaller, caller: WireCaller, user: str
) -> None:
    """What the policy file goes by cannot be forged: the broker refuses, and nothing arrives."""
    fields = {"workspace_id": str(uuid4())}
    with pytest.raises(ChannelPreconditionFailed, match="user_id property set to"):
        await stranger.send("workspace.pause", fields, user_id=user)
    await caller.send("workspace.pause", fields, message_id="the end")
    assert (await caller.take("lifecycle.commands")).message_id == "the end"


@pytest.mark.usefixtures("program")
async def test_what_the_program_sends_has_its_user(
    caller: WireCaller, forest: Forest, user: str
) -> None:
    """Events, orders and results of the built-in executor are verified to be its own."""
    operation = await paused(caller, await forest.plant("top"))
    for kind in ("pause.summary", "stop", "stopped", "pause.settled"):
        (heard,) = await caller.hear(f"workspace.{kind}", operation_id=operation)
        assert heard.message.user_id == user


async def test_a_program_that_the_broker_knows_by_another_name_does_not_start(
    settings_of: Callable[..., Settings], amqp_url: str
) -> None:
    """It says whom the broker takes it for, and where to write that, instead of trying on."""
    from_token = settings_of(amqp_url=f"{amqp_url}?user_id=somebody")
    with pytest.raises(RefusedError, match=r"'somebody' .*authenticated user was.*user_id= in the"):
        async with running(from_token):
            pass


@pytest.mark.usefixtures("caller")
async def test_the_python_client_gives_its_user(
    settings_of: Callable[..., Settings], amqp_url: str, forest: Forest
) -> None:
    """A service needs no more than its URL to be let in by a policy file."""
    top = await forest.plant("top")
    async with (
        running(settings_of(policy_file=Rules(default=Grant()))),
        LifecycleClient(amqp_url, source="billing") as client,
    ):
        assert isinstance(await client.pause(top), Summary)
    async with (
        running(settings_of(policy_file=Rules(default=Grant()))),
        LifecycleClient(f"{amqp_url}?user_id=", source="billing") as client,
    ):
        with pytest.raises(RejectedError, match="require_user_id"):
            await client.pause(top)


@pytest.mark.usefixtures("caller")
async def test_a_policy_file_without_a_user_to_go_by_ends_the_start(
    settings_of: Callable[..., Settings], amqp_url: str
) -> None:
    """Where the program does not know its own user, its own orders would be refused."""
    settings = settings_of(amqp_url=f"{amqp_url}?user_id=", policy_file=EVERYBODY)
    with pytest.raises(RefusedError, match="goes by user_id: say user_id="):
        async with running(settings):
            pass


async def test_results_of_a_service_that_is_no_executor_are_parked(
    settings_of: Callable[..., Settings],
    caller: WireCaller,
    stranger: WireCaller,
    forest: Forest,
    facts: Facts,
) -> None:
    """The rule is named, the operation waits on, and who may send results still can."""
    rules = Rules(require_user_id=False, default=Grant(cascade=True), executors=("executor-*",))
    async with running(settings_of(executor="none", policy_file=rules)):
        operation = await paused(caller, await forest.plant("top"))
        order = (await orders(caller, operation, 1))["top"]
        await say(stranger, "stopped", order)
        letter = await caller.take("lifecycle.results.dead")
        assert letter.headers["x-death-reason"] == (
            "rule 'executors' of the policy file does not let who gives no user_id send results"
        )
        assert [told["rule"] for told in facts.of("result.refused")] == ["executors"]
        open_count = "select open_count from lifecycle.operation where operation_id::text = $1"
        assert await forest.connection.fetchval(open_count, operation) == 1
        await say(caller, "stopped", order)  # still nobody's: the user_id is what counts
        await caller.take("lifecycle.results.dead")


async def test_who_is_an_executor_is_what_the_broker_says(
    settings_of: Callable[..., Settings],
    caller: WireCaller,
    forest: Forest,
    stack: Stack,
    amqp_url: str,
) -> None:
    """A user whom `executors` matches settles; one whom it does not is refused by name."""
    rules = Rules(require_user_id=False, default=Grant(cascade=True), executors=("executor-*",))
    with (
        user_on(stack.management_url, amqp_url, "executor") as good,
        user_on(stack.management_url, amqp_url, "billing") as bad,
    ):
        async with running(settings_of(executor="none", policy_file=rules)):
            operation = await paused(caller, await forest.plant("top"))
            order = (await orders(caller, operation, 1))["top"]
            for url in (bad, good):
                async with await aio_pika.connect(url) as connection:
                    other = await WireCaller.on(connection, listen=False)
                    name = urlsplit(url).username
                    kind = "workspace.stopped"
                    await other.send(kind, order, exchange="workspace.events", user_id=name)
            (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
            letter = await caller.take("lifecycle.results.dead")
    assert settled.data["succeeded_count"] == 1
    assert f"user '{urlsplit(bad).username}'" in str(letter.headers["x-death-reason"])
    assert letter.headers["x-original-user-id"] == urlsplit(bad).username


async def test_orders_of_another_user_are_parked(
    settings_of: Callable[..., Settings],
    caller: WireCaller,
    stranger: WireCaller,
    forest: Forest,
    facts: Facts,
) -> None:
    """The very order that was decided, sent again by somebody else, is not carried out either."""
    settings = settings_of(policy_file=EVERYBODY)
    async with running(settings, ("commands", "relay", "settlement")):
        operation = await paused(caller, await forest.plant("top"))
        (stop,) = await caller.hear("workspace.stop", operation_id=operation)
        await send_order(stranger, stop.data)
    async with running(settings):
        await caller.hear("workspace.pause.settled", operation_id=operation)
        letter = await caller.take("lifecycle.executor.dead")
    assert caller.of(operation).count("workspace.stopped") == 1
    assert "rule 'program' of the policy file" in str(letter.headers["x-death-reason"])
    assert [told["rule"] for told in facts.of("order.refused")] == ["program"]
