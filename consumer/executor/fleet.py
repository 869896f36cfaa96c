"""The EC2 executor: orders that come together are asked together, and looked after together."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import Context

from consumer.executor.case import Case
from consumer.executor.ec2 import Ec2, Ec2Error, LostError, RefusedError, Seen, UnsetError
from consumer.executor.fence import Fence
from consumer.executor.port import SUPERSEDED, Done, Order, Result
from consumer.executor.refusals import PASSING, refused
from consumer.message import UnavailableError
from consumer.observe import say
from consumer.spans import calling

_ASKED_AT_ONCE, _LOOKED_AT_ONCE = 50, 200
_LINGER = 0.05
_ASKS_AT_ONCE = 3
"""Each holds a database connection; and one of the wall's calls is left for looks."""
_PASSING_TRIES = 4
_WORD = re.compile(r"[\w-]+")


class FleetExecutor:
    """Carries out many orders with few calls, in rounds, as long as there are orders.

    A round takes the orders that are due, drops those that a later command has overtaken, looks at
    their machines, and asks EC2 for what is still to be done: up to 50 machines a call, 200 a look.
    Where EC2 refuses a call, the call is split until the bad machine is alone with its refusal.
    What did not get through is tried again until the order's deadline, past the fence each time.
    With `hibernate`, machines that can hibernate do so instead of being just stopped.
    """

    def __init__(self, ec2: Ec2, fence: Fence, *, hibernate: bool = False) -> None:
        self._ec2 = ec2
        self._fence = fence
        self._hibernate = hibernate
        self._cases: dict[Case, None] = {}  # a set that keeps the order in which they came
        self._asks: set[asyncio.Task[None]] = set()
        self._rounds: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._hands = asyncio.Semaphore(_ASKS_AT_ONCE)

    async def carry_out(self, order: Order) -> Result:
        """Stop or start one machine, and see that it has happened."""
        if order.runtime == "external":
            return Done("runtime is external: there is no machine of ours")
        if not order.instance_id:
            return Done("the workspace has no instance")
        case = Case(order, order.instance_id, asyncio.get_running_loop().create_future())
        self._cases[case] = None
        self._wake.set()
        if self._rounds is None:
            # In a context of its own: what one order has bound is not said of the others.
            self._rounds = asyncio.create_task(self._run(), name="fleet", context=Context())
        try:
            return await case.result
        finally:
            del self._cases[case]
            self._wake.set()

    async def _run(self) -> None:
        try:
            while self._cases:
                self._wake.clear()
                await asyncio.sleep(_LINGER)
                await self._round()
                await self._sleep()
        except Exception as error:  # noqa: BLE001 (it is raised in those who wait)
            _fail(self._cases, error)
        finally:
            self._rounds = None

    async def _sleep(self) -> None:
        """Sleep until an order is due, or there is news."""
        resting = [case.due for case in self._cases if not case.asking]
        left = max(0.0, min(resting) - _now()) if resting else None
        try:
            async with asyncio.timeout(left):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _round(self) -> None:
        """Look at what is due, and at what soon would be: a look at one costs as much as at 200."""
        now = _now()
        due = [case for case in self._cases if not case.asking and case.due - case.pause / 2 <= now]
        await self._drop_overtaken(due)
        looks = (self._look(chunk) for chunk in _chunks(_open(due), _LOOKED_AT_ONCE))
        batches: Mapping[tuple[str, bool, bool], list[Case]] = defaultdict(list)
        for found in await asyncio.gather(*looks):
            for case, seen in found:
                hibernate = self._hibernate and not case.plain and bool(seen and seen.hibernates)
                # What is not listed stands apart: it would have the rest refused with it.
                batches[case.order.action, hibernate, seen is None].append(case)
        for (_, hibernate, _), cases in batches.items():
            for batch in _chunks(cases, _ASKED_AT_ONCE):
                self._begin(batch, hibernate=hibernate)

    async def _drop_overtaken(self, cases: Sequence[Case]) -> None:
        """Answer what a later command has overtaken, be it asked of EC2 already or not."""
        if not cases:
            return
        try:
            _answer_overtaken(cases, await self._fence.newest([case.order for case in cases]))
        except UnavailableError as error:
            say("fleet.unfenced", why=str(error), count=len(cases))

    async def _look(self, cases: Sequence[Case]) -> list[tuple[Case, Seen | None]]:
        """Look at machines; give those that are to be asked for, as they were seen."""
        try:
            seen = await self._ec2.look(_ids(cases))
        except Ec2Error as error:
            _hindered(cases, error)
            return []
        say("fleet.looked", count=len(cases))
        wanting = []
        for case in cases:
            verdict = case.judge(seen.get(case.instance_id))
            if verdict == "ask":
                wanting.append((case, seen.get(case.instance_id)))
            elif verdict == "wait":
                case.later(_now())
            else:
                case.answer(verdict)
        return wanting

    def _begin(self, cases: Sequence[Case], *, hibernate: bool) -> None:
        """Ask beside the rounds: a call that takes long holds up only those it is about."""
        for case in cases:
            case.asking = True
        ask = asyncio.create_task(self._ask_fenced(cases, hibernate=hibernate), name="fleet ask")
        self._asks.add(ask)
        ask.add_done_callback(self._asks.discard)

    async def _ask_fenced(self, cases: Sequence[Case], *, hibernate: bool) -> None:
        """Ask for what is still the newest, while no other process asks about the same."""
        try:
            async with self._hands, self._fence.held([case.order for case in cases]) as newest:
                _answer_overtaken(cases, newest)
                await self._ask(
                    [case for case in _open(cases) if not case.order.expired], hibernate
                )
        except UnavailableError as error:
            say("fleet.unfenced", why=str(error), count=len(cases))
            for case in _open(cases):
                case.later(_now(), case.trouble)
        except Exception as error:  # noqa: BLE001 (it is raised in those who wait)
            _fail(cases, error)
        finally:
            for case in cases:
                case.asking = False
            self._wake.set()

    async def _ask(self, cases: Sequence[Case], hibernate: bool) -> None:
        """Make one call for all; where EC2 refuses it, smaller ones."""
        if not cases:
            return
        action = cases[0].order.action
        try:
            with calling(action, [case.order.traceparent for case in cases]):
                before = await self._ec2.ask(action, _ids(cases), hibernate=hibernate)
        except RefusedError as refusal:
            if len(cases) == 1:
                await self._refused(cases[0], refusal, hibernate)
                return
            for part in _split(cases, refusal.message):
                await self._ask(part, hibernate)
        except Ec2Error as error:
            for case in cases:
                case.asked = case.asked or isinstance(error, LostError)
            _hindered(cases, error)
        else:
            say("fleet.asked", action=action, count=len(cases), hibernate=hibernate)
            for case in cases:
                _accepted(case, before.get(case.instance_id))

    async def _refused(self, case: Case, refusal: RefusedError, hibernate: bool) -> None:
        """Take a refusal of one machine alone."""
        if hibernate:
            case.plain = True
            await self._ask([case], hibernate=False)
        elif case.last == case.wanted:
            case.answer(Done(f"{case.instance_id} was {case.last} already"))
        elif refusal.code in PASSING and case.refusals < _PASSING_TRIES:
            case.refusals += 1
            case.later(_now(), refusal)
        else:
            case.answer(refused(refusal.code, case.instance_id))


def _accepted(case: Case, before: str | None) -> None:
    """Take EC2's word: it says in which state the machine was when the call came."""
    if before == case.wanted:
        case.answer(Done(f"{case.instance_id} was {before} already"))
    else:
        case.accept(_now())


def _hindered(cases: Sequence[Case], error: Ec2Error) -> None:
    """Try later what did not get through; give up what was not asked and cannot be."""
    say("fleet.hindered", code=error.code, why=error.message, count=len(cases))
    hopeless = isinstance(error, RefusedError | UnsetError)
    for case in cases:
        if hopeless and not case.asked:
            case.answer(case.not_asked(error))
        elif case.order.expired:
            case.trouble = error
            case.answer(case.at_the_deadline())
        else:
            case.later(_now(), error)


def _answer_overtaken(cases: Sequence[Case], newest: Sequence[bool]) -> None:
    for case, is_newest in zip(cases, newest, strict=True):
        if not is_newest:
            case.answer(SUPERSEDED)


def _split(cases: Sequence[Case], message: str) -> Iterable[Sequence[Case]]:
    """Part a refused call: each machine that the refusal names alone, or else in halves."""
    words = set(_WORD.findall(message))
    named = [case for case in cases if case.instance_id in words]
    if 0 < len(named) < len(cases):
        rest = [case for case in cases if case.instance_id not in words]
        return [*([case] for case in named), rest]
    half = len(cases) // 2
    return [cases[:half], cases[half:]]


def _open(cases: Iterable[Case]) -> list[Case]:
    return [case for case in cases if not case.result.done()]


def _ids(cases: Sequence[Case]) -> list[str]:
    return list(dict.fromkeys(case.instance_id for case in cases))


def _chunks(cases: Sequence[Case], most: int) -> Iterator[Sequence[Case]]:
    for start in range(0, len(cases), most):
        yield cases[start : start + most]


def _fail(cases: Iterable[Case], error: Exception) -> None:
    for case in cases:
        if not case.result.done():
            case.result.set_exception(error)


def _now() -> float:
    return asyncio.get_running_loop().time()
