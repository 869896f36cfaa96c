"""`watch`: one operation to its end, whatever happens to the connection meanwhile."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import aio_pika
import pytest
from aio_pika.exceptions import DeliveryError

from consumer.cli.watch import _news
from consumer.client import Course
from consumer.store.targets import expire_targets
from schemas.results import Stopped
from tests.broker.gate import Gate
from tests.cli.conftest import Cli, Ran
from tests.store.carried import pause
from tests.support.caller import WireCaller
from tests.support.forest import Forest
from tests.support.program import environment
from tests.support.terminal import at_a_terminal

PATIENCE = 30.0
NOBODY = "00000000-0000-4000-8000-000000000000"


class Watching:
    """A running `watch`, read line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        """Wait for the next line of its output."""
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)).decode()

    async def complaint(self) -> str:
        """Wait for the next line of what it says on standard error."""
        assert self.process.stderr is not None
        return (await asyncio.wait_for(self.process.stderr.readline(), PATIENCE)).decode()

    async def ended(self) -> Ran:
        """Wait until it has ended; give its exit code and what was not read."""
        out, err = await asyncio.wait_for(self.process.communicate(), PATIENCE)
        return Ran(self.process.pid, self.process.returncode or 0, out.decode(), err.decode())


Watch = Callable[..., AbstractAsyncContextManager[Watching]]


class Fleet:
    """Says what became of machines, as an executor would."""

    def __init__(self, caller: WireCaller) -> None:
        self._caller = caller

    async def stopped(self, operation_id: UUID, workspace_id: UUID) -> None:
        """Say that one is stopped."""
        await self._say("workspace.stopped", operation_id, workspace_id)

    async def failed(self, operation_id: UUID, workspace_id: UUID, code: str) -> None:
        """Say that one could not be stopped, and why."""
        why = {"code": code, "detail": "not mine", "retryable": False}
        await self._say("workspace.stop.failed", operation_id, workspace_id, **why)

    async def _say(self, kind: str, operation_id: UUID, workspace_id: UUID, **more: object) -> None:
        data: dict[str, Any] = {
            "operation_id": str(operation_id),
            "workspace_id": str(workspace_id),
        }
        (told,) = await self._caller.hear("workspace.stop", **data)
        data |= {"generation": told.data["generation"], **more}
        say = partial(
            self._caller.send, kind, json.dumps(data).encode(), exchange="workspace.events"
        )
        try:
            await say()
        except DeliveryError:  # a nack: the watcher's queue died while the broker routed it there
            await say()


@pytest.fixture
def fleet(caller: WireCaller) -> Fleet:
    """Stand in for an executor."""
    return Fleet(caller)


@pytest.fixture
def watching(amqp_url: str, database_url: str) -> Watch:
    """Run `watch` against this test's servers; keywords are more variables."""
    urls = {"LIFECYCLE_AMQP_URL": amqp_url, "LIFECYCLE_DATABASE_URL": database_url}

    @asynccontextmanager
    async def run(
        identity: UUID, *options: str, verb: str = "watch", **variables: str
    ) -> AsyncIterator[Watching]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "consumer", verb, str(identity), *options,
            env=environment(**(urls | variables)),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            yield Watching(process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    return run


async def ask(caller: WireCaller, top: UUID) -> UUID:
    """Pause a tree; give the operation."""
    return UUID((await caller.pause(top, cascade=True)).data["operation_id"])


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_it_ends_when_the_last_machine_has_its_outcome(
    watching: Watch, caller: WireCaller, fleet: Fleet, forest: Forest
) -> None:
    """A line at the start, a line at the end, and nothing between them where nobody looks."""
    top = await forest.plant("top", "top/a")
    operation_id = await ask(caller, top)
    async with watching(operation_id) as one:
        begun = await one.line()
        await fleet.stopped(operation_id, top)
        await fleet.stopped(operation_id, forest.ids["a"])
        ran = await one.ended()
    assert begun.startswith(f"{operation_id}  ")
    assert begun.endswith("  pause  top  tests  carried  2 targets: 2 open  open\n")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "settled: 2 succeeded, 0 failed, 0 superseded, 0 timed out\n"


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_a_failure_is_five_and_named(
    watching: Watch, caller: WireCaller, fleet: Fleet, forest: Forest
) -> None:
    """What failed is told at the end, as `pause --wait` tells it."""
    top = await forest.plant("top", "top/a")
    operation_id = await ask(caller, top)
    async with watching(operation_id) as one:
        await one.line()
        await fleet.stopped(operation_id, top)
        await fleet.failed(operation_id, forest.ids["a"], "refused")
        ran = await one.ended()
    assert ran.code == 5
    assert ran.out.splitlines() == [
        "settled: 1 succeeded, 1 failed, 0 superseded, 0 timed out",
        "  a  refused: not mine",
    ]


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_what_was_left_to_a_newer_command_is_fine(
    watching: Watch, caller: WireCaller, fleet: Fleet, forest: Forest
) -> None:
    """Superseded is no failure."""
    top = await forest.plant("top")
    operation_id = await ask(caller, top)
    async with watching(operation_id) as one:
        await one.line()
        await fleet.failed(operation_id, top, "superseded")
        ran = await one.ended()
    assert (ran.code, "1 superseded" in ran.out) == (0, True)


@pytest.mark.usefixtures("caller")
async def test_what_timed_out_is_five(cli: Cli, forest: Forest) -> None:
    """A machine of which nothing is known is told as such, of an operation that is over too."""
    carried = await pause(forest.connection, await forest.plant("top"), seconds=-1)
    await expire_targets(forest.connection)
    ran = await cli("watch", carried.operation_id)
    assert ran.code == 5
    assert ran.out.splitlines()[1:] == [
        "settled: 0 succeeded, 0 failed, 0 superseded, 1 timed out",
        "  top  timed out",
    ]


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_what_was_never_carried_out_ends_with_its_answers_code(
    cli: Cli, caller: WireCaller, forest: Forest
) -> None:
    """A rejected operation has the exit code that its sender got, a previewed one 0."""
    top = await forest.plant("top", "top/a")
    refused = (await caller.pause(top)).data["operation_id"]
    absent = (await caller.pause(uuid4())).data["operation_id"]
    previewed = (await caller.pause(top, dry_run=True)).data["operation_id"]
    codes = [(await cli("watch", one)).code for one in (refused, absent, previewed)]
    assert codes == [9, 4, 0]


@pytest.mark.usefixtures("caller")
async def test_an_unknown_operation_is_four(cli: Cli) -> None:
    """An id that nobody gave out is one line on standard error."""
    ran = await cli("watch", NOBODY)
    assert (ran.code, ran.out) == (4, "")
    assert ran.err == f"workspace-lifecycle: there is no operation {NOBODY}\n"


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_json_is_the_end_as_operations_tells_it(
    watching: Watch, cli: Cli, caller: WireCaller, fleet: Fleet, forest: Forest
) -> None:
    """--json prints one object and nothing else, the same that `operations ID --json` prints."""
    top = await forest.plant("top")
    operation_id = await ask(caller, top)
    async with watching(operation_id, "--json") as one:
        await fleet.failed(operation_id, top, "refused")
        ran = await one.ended()
    assert ran.code == 5
    assert ran.out == (await cli("operations", operation_id, "--json")).out
    assert json.loads(ran.out)["targets"][0]["code"] == "refused"


async def test_it_listens_before_it_looks(watching: Watch, amqp_url: str, forest: Forest) -> None:
    """While its first look is held up, what is said is heard already."""
    carried = await pause(forest.connection, await forest.plant("top"))
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel(on_return_raises=True)
        events = await channel.declare_exchange("workspace.events", "topic", durable=True)
        with pytest.raises(DeliveryError):
            await events.publish(aio_pika.Message(b"nobody hears"), "workspace.pause.settled")
        async with forest.connection.transaction():
            await forest.connection.execute("lock table lifecycle.operation")
            async with watching(carried.operation_id) as one:
                await forest.waited_for()
                for word in ("settled", "progress", "corrected"):
                    await events.publish(aio_pika.Message(b"heard"), f"workspace.pause.{word}")
                await events.publish(aio_pika.Message(b"heard"), "workspace.stop.failed")
                assert one.process.returncode is None


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_a_lost_connection_is_told_and_outlived(
    watching: Watch, gate: Gate, caller: WireCaller, fleet: Fleet, forest: Forest
) -> None:
    """What happened while nothing could be heard is found by looking again."""
    top = await forest.plant("top")
    operation_id = await ask(caller, top)
    async with watching(operation_id, LIFECYCLE_AMQP_URL=gate.url) as one:
        await one.line()
        await gate.refuse()
        assert "no longer listening" in await one.complaint()
        await fleet.stopped(operation_id, top)
        await caller.hear("workspace.pause.settled", operation_id=operation_id)
        await gate.admit()
        ran = await one.ended()
    assert ran.code == 0
    assert ran.err.splitlines()[-1] == "workspace-lifecycle: listening again"
    assert ran.out.startswith("settled: 1 succeeded")


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_it_hears_on_after_a_lost_connection(
    watching: Watch, gate: Gate, caller: WireCaller, fleet: Fleet, forest: Forest
) -> None:
    """A cut connection is replaced, and what is said after it ends the watch."""
    top = await forest.plant("top")
    operation_id = await ask(caller, top)
    async with watching(operation_id, LIFECYCLE_AMQP_URL=gate.url) as one:
        await one.line()
        gate.cut()
        assert "no longer listening" in await one.complaint()
        while "listening again" not in await one.complaint():
            pass
        await fleet.stopped(operation_id, top)
        ran = await one.ended()
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_a_wait_that_lost_its_connection_names_this_verb(
    watching: Watch, gate: Gate, forest: Forest
) -> None:
    """`pause --wait` cannot know what it missed; it says how to go on."""
    top = await forest.plant("top")
    async with watching(top, "--wait", verb="pause", LIFECYCLE_AMQP_URL=gate.url) as one:
        operation_id = (await one.line()).split()[-1]
        gate.cut()
        ran = await one.ended()
    assert ran.code == 1
    assert ran.err.endswith(f"the operation goes on: workspace-lifecycle watch {operation_id}\n")


async def test_a_broker_that_is_away_at_the_start_is_one_line(
    watching: Watch, gate: Gate, forest: Forest
) -> None:
    """Where there was never a connection there is nothing to go on with."""
    carried = await pause(forest.connection, await forest.plant("top"))
    await gate.refuse()
    async with watching(carried.operation_id, LIFECYCLE_AMQP_URL=gate.url) as one:
        ran = await one.ended()
    await gate.admit()
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (1, "", 1)


@pytest.mark.usefixtures("caller")
async def test_ctrl_c_ends_it_without_a_traceback(watching: Watch, forest: Forest) -> None:
    """An interrupted watch says nothing more and has the exit code of one."""
    carried = await pause(forest.connection, await forest.plant("top"))
    async with watching(carried.operation_id) as one:
        await one.line()
        one.process.send_signal(signal.SIGINT)
        ran = await one.ended()
    assert (ran.code, ran.out, ran.err) == (130, "", "")


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_a_terminal_gets_a_bar(
    gate: Gate, database_url: str, caller: WireCaller, fleet: Fleet, forest: Forest
) -> None:
    """At a terminal each outcome moves the bar, and what is told stands above it."""
    top = await forest.plant("top", "top/a")
    operation_id = await ask(caller, top)
    urls = {"LIFECYCLE_AMQP_URL": gate.url, "LIFECYCLE_DATABASE_URL": database_url}
    async with at_a_terminal("watch", operation_id, **urls) as screen:
        await screen.shows("0/2")
        await fleet.failed(operation_id, forest.ids["a"], "refused")
        await screen.shows("1 failed")
        await screen.shows("1/2")
        gate.cut()
        await screen.shows("\rworkspace-lifecycle: no longer listening")
        await screen.shows("\rworkspace-lifecycle: listening again")
        await fleet.stopped(operation_id, top)
        await screen.shows("settled: 1 succeeded, 1 failed")


async def test_what_is_said_in_one_breath_is_one_reason_to_look() -> None:
    """Many events on each other's heels are taken together."""
    heard: asyncio.Queue[Course] = asyncio.Queue()
    event = Stopped(operation_id=UUID(int=1), workspace_id=UUID(int=2), generation=1)
    for _ in range(1000):
        heard.put_nowait(event)

    class Hearing(AsyncIterator[Course]):
        async def __anext__(self) -> Course:
            return await heard.get()

    assert await _news(Hearing(), PATIENCE)
    assert heard.empty()
