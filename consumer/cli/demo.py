"""`demo`: the incident, played safely on an embedded stack."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import click
from pydantic import SecretStr
from rich.console import Console
from rich.rule import Rule

from consumer import app
from consumer.cli import environment
from consumer.cli.answer import show_answer, what_next
from consumer.cli.paper import paper
from consumer.cli.tree import Whole, drawn, load
from consumer.client import LifecycleClient, Watch, event_of
from consumer.devstack.lease import database, vhost
from consumer.devstack.platform import MANAGER, Fleet, aws_environment, found_company
from consumer.devstack.stack import Stack, embedded
from consumer.observe import listening
from consumer.settings import Settings
from consumer.store.migrate import migrate
from consumer.telemetry.logs import configure
from schemas.catalog import BY_NAME, IMPLICIT_CASCADE_HEADER
from schemas.commands import PauseWorkspace
from schemas.events import Rejected

LEGACY = "legacy-gateway"


@click.command()
@click.option("--keep", is_flag=True, help="Leave the stack up at the end and print its URLs.")
def demo(keep: bool) -> None:
    """Play the incident of 2026-05-28 on a stack of its own, in under a minute."""
    console = paper()
    console.print(Rule("2026-05-28: one workspace was named, five went down. Again, safely:"))
    with ExitStack() as rooms:
        stack = rooms.enter_context(embedded(lambda line: console.print(f"[dim]{line}[/]")))
        amqp_url = rooms.enter_context(vhost(stack))
        database_url = rooms.enter_context(database(stack))
        os.environ.update(aws_environment(stack))
        stage = _Stage(console, stack, amqp_url, database_url)
        console.print("[dim]" + ", ".join(f"{k}: {v}" for k, v in stack.origin.items()) + "[/]")
        top = environment.run(_play(stage))
        console.print(Rule("Every command had one outcome, and every machine was told once."))
        _keep(stage, top) if keep else _leave(stage)


@dataclass(frozen=True, slots=True)
class _Stage:
    """Where the play is on, and who tells it."""

    console: Console
    stack: Stack
    amqp_url: str
    database_url: str

    def tell(self, step: str, what: str) -> None:
        self.console.print(f"\n[bold cyan]{step}[/] {what}")

    def note(self, what: str) -> None:
        self.console.print(f"[dim]{what}[/]")

    def settings(self) -> Settings:
        """Give the program's settings, whatever the environment says."""
        return Settings(
            amqp_url=SecretStr(self.amqp_url),
            database_url=SecretStr(self.database_url),
            implicit_cascade_apps=(LEGACY,),
            executor="ec2",
        )

    async def draw(self) -> None:
        for tree in drawn(await load(self.database_url, None)):
            self.console.print(Whole(tree))


@dataclass(frozen=True, slots=True)
class _Cast:
    """Who plays: a caller, the named workspace and the machines."""

    stage: _Stage
    client: LifecycleClient
    watch: Watch
    top: UUID
    fleet: Fleet
    instances: Sequence[str]

    async def ask(self, kind: str, message_id: str | None = None, **fields: object) -> Any:
        """Send one command about the named workspace and show its answer."""
        model: type[PauseWorkspace] = BY_NAME[kind].model
        command = model.model_validate({"workspace_id": self.top, **fields})
        event = event_of(await self.client.ask(kind, command, message_id))
        show_answer(self.stage.console, event, command)
        if isinstance(event, Rejected):
            what_next(self.stage.console, event)
        return event

    async def settle(self, operation_id: UUID) -> None:
        """Wait for every machine's outcome and show what EC2 and the table say."""
        settled = await self.watch.settled(operation_id)
        states = await asyncio.to_thread(self.fleet.states, self.instances)
        self.stage.console.print(
            f"[green]settled[/] {settled.succeeded_count} of {settled.target_count} after "
            f"{settled.duration_ms} ms; EC2 says: {', '.join(states.values())}"
        )
        await self.stage.draw()


async def _play(stage: _Stage) -> UUID:
    """Play it all; give the workspace at the top."""
    fleet = Fleet()
    instances = await asyncio.to_thread(fleet.launch, 5)
    top = await found_company(stage.database_url, instances)
    await migrate(stage.database_url)
    stage.tell("The organisation", "five workspaces, each on an EC2 instance of its own:")
    await stage.draw()
    async with (
        _program(stage),
        LifecycleClient(stage.amqp_url, source="demo") as client,
        client.watching() as watch,
    ):
        cast = _Cast(stage, client, watch, top, fleet, instances)
        etag = await _ask_first(cast)
        await _cascade(cast, etag)
        await _legacy(cast)
    return top


@asynccontextmanager
async def _program(stage: _Stage) -> AsyncIterator[None]:
    """Run the real program beside the play, as `workspace-lifecycle run` would."""
    stop, started = asyncio.Event(), asyncio.Event()

    def notice(fact: str, _: object) -> None:
        if fact == "program.started":
            started.set()

    with listening(notice):
        program = asyncio.create_task(app.serve(stage.settings(), app.ROLES, stop))
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait([program, waiting], return_when=asyncio.FIRST_COMPLETED)
        try:
            yield
        finally:
            stop.set()
            waiting.cancel()
            await program


async def _ask_first(cast: _Cast) -> str:
    """Name one workspace and learn what else would be hit; give the etag of that set."""
    cast.stage.tell("1", f"pause {MANAGER}, as on that day, without a cascade flag:")
    rejected = await cast.ask("workspace.pause", reason="nightly cost cut")
    cast.stage.note("Nothing was changed, nothing was stopped: the caller decides.")
    cast.stage.tell("2", "a dry run with cascade=true tells what would happen:")
    await cast.ask("workspace.pause", cascade=True, dry_run=True)
    return str(rejected.tree_etag)


async def _cascade(cast: _Cast, etag: str) -> None:
    """Opt in, see it carried out, send it twice, and take it back."""
    identity = str(uuid4())
    cast.stage.tell("3", "cascade=true with if_match: exactly the five that were shown:")
    summary = await cast.ask("workspace.pause", identity, cascade=True, if_match=etag)
    await cast.settle(summary.operation_id)
    cast.stage.tell("4", "the same message again, as brokers and clients do:")
    again = await cast.ask("workspace.pause", identity, cascade=True, if_match=etag)
    same = again == summary
    cast.stage.note(f"The stored answer, {'word for word' if same else 'CHANGED'}; no second stop.")
    cast.stage.tell("5", "undo puts back exactly what that pause changed:")
    resumed = await cast.ask("workspace.resume", undo=summary.operation_id)
    await cast.settle(resumed.operation_id)


async def _legacy(cast: _Cast) -> None:
    """Show the migration period: a caller that has not moved yet."""
    cast.stage.tell("6", f"{LEGACY} has not moved yet: for it alone an absent flag still cascades:")
    async with LifecycleClient(cast.stage.amqp_url, source=LEGACY) as legacy:
        command = PauseWorkspace(workspace_id=cast.top)
        answer = await legacy.ask("workspace.pause", command)
    event = event_of(answer)
    show_answer(cast.stage.console, event, command)
    header = answer.headers.get(IMPLICIT_CASCADE_HEADER)
    cast.stage.note(f"{IMPLICIT_CASCADE_HEADER}: {header}")
    await cast.watch.settled(event.operation_id)


def _leave(stage: _Stage) -> None:
    """Say what there is to do for somebody whose stack is gone now."""
    stage.console.print(
        "Next: `make demo KEEP=1` leaves it up, for docs/tutorial.md to go on from there.\n"
        "README.md says how to run it between your own services and your own fleet."
    )


def _keep(stage: _Stage, top: UUID) -> None:
    """Hold the stack, with the program in it, until Ctrl-C."""
    known = {
        "PATH": f"{Path(sys.executable).parent}:$PATH",
        "LIFECYCLE_AMQP_URL": stage.amqp_url,
        "LIFECYCLE_DATABASE_URL": stage.database_url,
        **aws_environment(stage.stack),
    }
    lines = "\n".join(f'export {name}="{value}"' for name, value in known.items())
    stage.console.print(
        f"It is still up. In another shell:\n\n{lines}\n\nand then, for example,\n\n"
        f"workspace-lifecycle tree\nworkspace-lifecycle resume {top} --cascade --wait\n\n"
        f"[dim]management: {stage.stack.management_url}[/]\n"
        "docs/tutorial.md goes on from here. The program runs on: Ctrl-C ends it all."
    )
    configure("warning")
    environment.run(app.run(stage.settings()))
