"""What came again and again is begun alone, and parked only where its own notes tell against it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable

import pytest

from consumer.broker.consume import Consumer
from consumer.broker.suspects import OverError, Suspects, UnendedError, Watch
from consumer.message import Inbound, UnavailableError
from schemas.catalog import COMMANDS_QUEUE
from tests.broker.tools import PATIENCE, Bystander, Facts, running

DEAD = f"{COMMANDS_QUEUE}.dead"
MOST = 5


class Kept:
    """Notes that a test can read, and take away."""

    def __init__(self) -> None:
        self.notes: Counter[bytes] = Counter()
        self.away: set[str] = set()

    async def begun(self, key: bytes) -> int:
        """Tell how often a message was begun."""
        await self._asked("begun")
        return self.notes[key]

    async def begin(self, key: bytes) -> None:
        """Note it, also where the answer to that is lost."""
        self.notes[key] += 1
        await self._asked("begin")

    async def clear(self, key: bytes) -> None:
        """Forget it."""
        await self._asked("clear")
        del self.notes[key]

    async def _asked(self, what: str) -> None:
        await asyncio.sleep(0)
        if what in self.away:
            raise UnavailableError("the notes are away")


class Room:
    """Messages at work, each until it is let go."""

    def __init__(self, notes: Kept | None = None) -> None:
        self.notes = notes or Kept()
        self.suspects = Suspects(self.notes)
        self.over = asyncio.Event()
        self.begun: list[str] = []
        self._gates: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.news = asyncio.Event()

    def enter(self, named: str | Inbound, seconds: float | None = None) -> asyncio.Task[str]:
        """Have a message watched."""
        inbound = message(named) if isinstance(named, str) else named
        name = inbound.body.decode()

        async def work() -> str:
            self.begun.append(name)
            self.news.set()
            await self._gates[name].wait()
            return name

        return asyncio.ensure_future(self.suspects.watch(inbound, work, MOST, seconds, self.over))

    def let_go(self, name: str) -> None:
        """Let a message's work end, now or when it is begun."""
        self._gates[name].set()

    def hold(self, name: str) -> None:
        """Have the next one of this name work until it is let go."""
        self._gates[name].clear()

    async def until(self, *names: str) -> None:
        """Wait until these were begun, in this order; and see that no other is."""
        async with asyncio.timeout(PATIENCE):
            while len(self.begun) < len(names):
                self.news.clear()
                await self.news.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert self.begun == [*names]


def message(name: str, queue: str = "q", deliveries: int = 4) -> Inbound:
    """Make a delivery."""
    return Inbound(
        body=name.encode(), queue=queue, exchange="e", routing_key="k", deliveries=deliveries
    )


def sent(body: bytes) -> Inbound:
    """Make what a consumer will read of a message that `returned` sends."""
    return Inbound(
        body=body,
        queue=COMMANDS_QUEUE,
        exchange="workspace.commands",
        routing_key="workspace.pause",
        message_id=body.decode(),
        deliveries=2,
    )


async def died(notes: Kept, killer: str | Inbound, times: int = 1) -> None:
    """Leave the notes that a process leaves which dies while it handles a message."""
    for _ in range(times):
        room = Room(notes)
        task = room.enter(killer)
        await asyncio.wait_for(room.news.wait(), PATIENCE)
        notes.away = {"clear"}
        task.cancel()
        await asyncio.wait([task])
        notes.away = set()


@pytest.mark.parametrize(("notes", "together"), [(0, 12), (1, 8), (2, 1), (4, 1)])
async def test_the_more_notes_the_fewer_are_begun_at_once(notes: int, together: int) -> None:
    """Twelve without any, eight with one, and else each alone; the next when one has ended."""
    kept = Kept()
    names = "abcdefghijkl"
    for name in names:
        await died(kept, name, notes)
    room = Room(kept)
    tasks = [room.enter(name) for name in names]
    await room.until(*names[:together])
    assert sorted(kept.notes.values()) == [notes] * (12 - together) + [notes + 1] * together
    for count, name in enumerate(names, 1):
        room.let_go(name)
        await room.until(*names[: together + count])
    assert await asyncio.gather(*tasks) == [*names]
    assert not kept.notes


async def test_who_dies_while_waiting_gets_no_note() -> None:
    """Were the process to die now, those that were begun would be guilty, and no other."""
    kept = Kept()
    for name in "ab":
        await died(kept, name, 2)
    room = Room(kept)
    tasks = [room.enter(name) for name in "ab"]
    await room.until("a")
    kept.away = {"clear"}
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert sorted(kept.notes.values()) == [2, 3]


async def test_one_with_more_notes_waits_until_all_with_fewer_have_ended() -> None:
    """What may have killed a process is not begun while anybody else could suffer for it."""
    notes = Kept()
    await died(notes, "killer", 2)
    await died(notes, "other")
    room = Room(notes)
    tasks = [room.enter("killer"), *(room.enter(name, seconds=0.0) for name in ("other", "a", "b"))]
    begun = ["a", "b"]
    await room.until(*begun)
    for name, following in (("a", []), ("b", ["other"]), ("other", ["killer"])):
        room.let_go(name)
        begun += following
        await room.until(*begun)
    late = room.enter("late", seconds=0.0)
    await room.until(*begun)
    for name in ("killer", "late"):
        room.let_go(name)
    assert await asyncio.gather(*tasks, late) == ["killer", "other", "a", "b", "late"]


async def test_watched_for_some_seconds_it_is_lived_through_then() -> None:
    """Work that takes minutes holds the next one up for a moment only, and leaves no note."""
    kept = Kept()
    for name in "ab":
        await died(kept, name, 2)
    room = Room(kept)
    tasks = [room.enter(name, seconds=0.001) for name in "ab"]
    await room.until("a", "b")
    while kept.notes:  # noqa: ASYNC110 (there is no event)
        await asyncio.sleep(0.01)
    for name in "ab":
        room.let_go(name)
    assert await asyncio.gather(*tasks) == [*"ab"]


async def test_who_has_notes_is_watched_for_longer() -> None:
    """What kills late is still watched when it does."""
    kept = Kept()
    await died(kept, "killer", 4)
    room = Room(kept)
    task = room.enter("killer", seconds=1.0)
    await room.until("killer")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(task), 1.2)
    assert [*kept.notes.values()] == [5]
    room.let_go("killer")
    await task


async def test_what_killed_so_often_is_not_begun_again() -> None:
    """The text says how often it was delivered, and how often it was alone when a process died."""
    notes = Kept()
    await died(notes, "killer", MOST)
    room = Room(notes)
    with pytest.raises(UnendedError, match=r"delivered 4 times without .* each of the 5 times"):
        await room.enter("killer")
    assert not room.begun
    await room.suspects.forget(message("killer"))
    assert not notes.notes


async def test_messages_are_told_apart_by_all_that_they_are() -> None:
    """A note is about one message of one queue."""
    notes = Kept()
    await died(notes, "killer", MOST)
    room = Room(notes)

    async def work() -> str:
        return "done"

    for other in (message("other"), message("killer", queue="another")):
        assert await room.suspects.watch(other, work, MOST, None, room.over) == "done"


async def test_what_raises_has_ended() -> None:
    """A handler that fails has not killed anybody."""
    room = Room()

    async def fail() -> None:
        raise KeyError("name")

    for _ in range(MOST + 1):
        with pytest.raises(KeyError):
            await room.suspects.watch(message("a"), fail, MOST, None, room.over)
    assert not room.notes.notes


async def test_a_session_that_ends_ends_the_waiting_and_not_the_work() -> None:
    """Who waits for a turn is given back; who has it goes on."""
    kept = Kept()
    for name in "ab":
        await died(kept, name, 2)
    room = Room(kept)
    first, second = room.enter("a"), room.enter("b")
    await room.until("a")
    room.over.set()
    with pytest.raises(OverError):
        await second
    room.let_go("a")
    assert await first == "a"


@pytest.mark.parametrize("what", ["begun", "begin"])
async def test_nothing_is_begun_without_a_note(what: str) -> None:
    """Where notes cannot be kept a suspect waits, and one whose answer was lost is cleared."""
    room = Room()
    for _ in range(MOST + 1):
        room.notes.away = {what}
        with pytest.raises(UnavailableError):
            await room.enter("a")
    room.notes.away = set()
    room.let_go("a")
    assert await room.enter("a") == "a"
    assert room.begun == ["a"]


async def test_a_note_that_could_not_be_cleared_is_not_held_against_anybody() -> None:
    """The process that lived through it knows better than its note."""
    room = Room()
    for count in range(1, MOST + 2):
        task = room.enter("a")
        await room.until(*"a" * count)
        room.notes.away = {"clear"}
        room.let_go("a")
        assert await task == "a"
        room.notes.away = set()
        room.hold("a")


def consumer(
    url: str, handle: Callable[[Inbound], Awaitable[None]], suspects: Suspects
) -> Consumer:
    """Make a consumer that watches its suspects."""
    return Consumer(url, COMMANDS_QUEUE, handle, prefetch=10, watch=Watch(suspects))


async def returned(wire: Bystander, *bodies: bytes) -> None:
    """Put messages into the queue that were delivered twice before."""
    for body in bodies:
        await wire.send(body=body, message_id=body.decode())
    queue = await wire.channel.get_queue(COMMANDS_QUEUE)
    for _ in range(2):
        found = [await queue.get(timeout=PATIENCE) for _ in bodies]
        for one in reversed(found):
            await one.reject(requeue=True)


async def test_a_consumer_handles_suspects_in_their_turn_and_others_beside_them(
    wire: Bystander, declared_url: str, facts: Facts
) -> None:
    """Two that two processes died of wait for each other, and hold nobody else up."""
    notes = Kept()
    for body in (b"a", b"b"):
        await died(notes, sent(body), 2)
    at_work: set[bytes] = set()
    together: set[frozenset[bytes]] = set()
    fine, release = asyncio.Event(), asyncio.Event()

    async def handle(message: Inbound) -> None:
        at_work.add(message.body)
        together.add(frozenset(at_work))
        if message.body == b"fine":
            fine.set()
        await release.wait()
        at_work.discard(message.body)

    await returned(wire, b"a", b"b")
    async with running(consumer(declared_url, handle, Suspects(notes))):
        await wire.send(body=b"fine")
        await asyncio.wait_for(fine.wait(), PATIENCE)
        release.set()
        await facts.wait("delivery.acknowledged", 3)
    assert frozenset({b"fine", b"a"}) in together
    assert not any({b"a", b"b"} <= some for some in together)
    assert await wire.emptied(COMMANDS_QUEUE)


async def test_a_consumer_parks_what_its_notes_tell_against(
    wire: Bystander, declared_url: str, facts: Facts
) -> None:
    """The letter says why; its note goes with it, so that it may be sent again once mended."""
    notes = Kept()
    await died(notes, sent(b"killer"), MOST)
    await returned(wire, b"killer", b"innocent")
    handled: list[bytes] = []

    async def handle(message: Inbound) -> None:
        handled.append(message.body)

    async with running(consumer(declared_url, handle, Suspects(notes))):
        await facts.wait("delivery.parked")
        await facts.wait("delivery.acknowledged")
    letter = await wire.take(DEAD)
    assert letter.body == b"killer"
    assert "delivered 2 times without anyone ending it" in str(letter.headers["x-death-reason"])
    assert handled == [b"innocent"]
    assert not notes.notes
    assert await wire.emptied(COMMANDS_QUEUE)
