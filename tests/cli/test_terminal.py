"""At a terminal: a refused cascade is offered, the tree is live, colours can be had off."""

import json
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import aio_pika
import pytest

from tests.cli.conftest import Cli
from tests.support.forest import Forest
from tests.support.terminal import Screen, at_a_terminal

UNKNOWN = "00000000-0000-4000-8000-000000000000"


class Terminal(Protocol):
    """Runs a verb where somebody looks."""

    def __call__(self, *arguments: object, **variables: str) -> AbstractAsyncContextManager[Screen]:
        """Run it for the time of a block."""


@pytest.fixture
def terminal(amqp_url: str, database_url: str) -> Terminal:
    """Give a terminal that knows this test's servers."""
    urls = {"LIFECYCLE_AMQP_URL": amqp_url, "LIFECYCLE_DATABASE_URL": database_url}
    return lambda *arguments, **variables: at_a_terminal(*arguments, **(urls | variables))


@pytest.mark.usefixtures("program")
async def test_what_is_agreed_to_is_what_was_shown(terminal: Terminal, forest: Forest) -> None:
    """Yes pauses exactly the listed set; the list comes first, and no is the default."""
    top = await forest.plant("top", "top/a", "a/b")
    async with terminal("pause", top) as screen:
        await screen.shows("Pause these 2 too? [y/N]")
        assert "└── b" in screen.text
        await screen.type("\n")
        assert await screen.ended() == 9
        assert f"pause {top} --cascade --if-match" in screen.text
    assert set((await forest.statuses()).values()) == {"online"}
    async with terminal("pause", top) as screen:
        await screen.shows("[y/N]")
        await screen.type("y\n")
        assert await screen.ended() == 0
        assert "3 paused" in screen.text
    assert set((await forest.statuses()).values()) == {"paused"}


@pytest.mark.usefixtures("program")
async def test_what_changed_while_one_thought_is_not_paused(
    terminal: Terminal, forest: Forest
) -> None:
    """Somebody starts another workspace below before the answer: the yes was not for that."""
    top = await forest.plant("top", "top/a")
    async with terminal("pause", top) as screen:
        await screen.shows("Pause this one too? [y/N]")
        await forest.plant("top/late")
        await screen.type("y\n")
        assert await screen.ended() == 12
    assert set((await forest.statuses()).values()) == {"online"}


@pytest.mark.usefixtures("program")
async def test_who_leaves_a_question_has_sent_nothing(terminal: Terminal, forest: Forest) -> None:
    """Ctrl-C ends with 130 there as everywhere."""
    top = await forest.plant("top", "top/a")
    async with terminal("pause", top) as screen:
        await screen.shows("[y/N]")
        assert await screen.left() == 130
    assert set((await forest.statuses()).values()) == {"online"}


async def test_who_does_not_wait_for_an_answer_ends_with_130(
    terminal: Terminal, declared_url: str
) -> None:
    """Nobody carries anything out here, so nothing comes; no traceback does either."""
    async with (
        await aio_pika.connect(declared_url) as connection,
        terminal("pause", UNKNOWN, LIFECYCLE_AMQP_URL=declared_url) as screen,
    ):
        queue = await (await connection.channel()).get_queue("lifecycle.commands")
        async with queue.iterator() as arriving:
            await anext(arriving)
        screen.interrupt()
        assert await screen.ended() == 130
    assert "Traceback" not in screen.text


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize("option", ["--no-cascade", "--json"])
async def test_who_decided_already_is_not_asked(
    terminal: Terminal, forest: Forest, option: str
) -> None:
    """A flag that says no, and output for a program, end with the rejection."""
    top = await forest.plant("top", "top/a")
    async with terminal("pause", top, option) as screen:
        assert await screen.ended() == 9
        assert "[y/N]" not in screen.text


@pytest.mark.usefixtures("program")
async def test_nothing_else_is_offered(terminal: Terminal, forest: Forest) -> None:
    """Another rejection than want of a flag ends at once."""
    top = await forest.plant("top", "top/a")
    async with terminal("pause", top, "--if-match", "x") as screen:
        assert await screen.ended() == 12
        assert "[y/N]" not in screen.text


async def test_the_tree_is_drawn_anew_when_it_changes(terminal: Terminal, forest: Forest) -> None:
    """Statuses change under one's eyes; Ctrl-C ends it with 130."""
    top = await forest.plant("top", "top/a")
    async with terminal("tree", "--watch", "--interval", 0.1) as screen:
        await screen.shows("a  online")
        await forest.connection.execute(
            "update workspaces set status = 'paused' where id = $1", top
        )
        await screen.shows("top  paused")
        screen.interrupt()
        assert await screen.ended() == 130


async def test_a_watched_tree_as_json_is_a_line_for_each_change(
    terminal: Terminal, forest: Forest
) -> None:
    """What did not change is not written again."""
    await forest.plant("top")
    async with terminal("tree", "--watch", "--interval", 0.1, "--json", COLUMNS="9999") as screen:
        await screen.shows("]\r\n")
        await forest.plant("top/a")
        await screen.shows('"name": "a"')
        screen.interrupt()
        assert await screen.ended() == 130
        lines = [line for line in screen.text.splitlines() if line.startswith("[")]
    assert [len(json.loads(line)) for line in lines] == [1, 2]


async def test_an_id_is_never_cut(terminal: Terminal, cli: Cli, forest: Forest) -> None:
    """Whoever copies an id from a narrow terminal, or from a pipe, has all of it."""
    await forest.plant("top", f"top/{'long ' * 40}end")
    async with terminal("tree", COLUMNS="40") as screen:
        assert await screen.ended() == 0
    piped = await cli("tree")
    for one in forest.ids.values():
        assert str(one) in screen.text
        assert str(one) in piped.out


async def test_nobody_at_a_terminal_watches_no_drawing(cli: Cli) -> None:
    """A pipe gets no endless drawing, but is told what to say."""
    ran = await cli("tree", "--watch")
    assert (ran.code, "--json" in ran.err) == (2, True)


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
async def test_colours_at_a_terminal_but_not_with_no_color(
    terminal: Terminal, forest: Forest, variables: dict[str, str], coloured: bool
) -> None:
    """https://no-color.org: any value of NO_COLOR."""
    await forest.plant("top")
    async with terminal("tree", **variables) as screen:
        assert await screen.ended() == 0
        assert ("\x1b[32m" in screen.raw) is coloured
