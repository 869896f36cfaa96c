"""What the broker's receipts mean for the outbox rows they are about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from consumer.observe import say
from consumer.store.outbox import Taken

_REPLY_ATTEMPTS = 3


@dataclass(slots=True)
class Verdict:
    """What is to be noted of a chunk that was published.

    Attributes:
        done: rows to forget.
        partly: a fan-out of which more is to come, and the last workspace confirmed.
        failed: rows to count an attempt on.
        broken: why the chunk was not confirmed to its end; None where it was.

    """

    done: list[int] = field(default_factory=list)
    partly: tuple[int, UUID] | None = None
    failed: list[int] = field(default_factory=list)
    broken: str | None = None


def judge(taken: Sequence[Taken], receipts: Mapping[int, str], *, full: bool) -> Verdict:
    """Tell what may be forgotten: everything up to the first message that is not confirmed.

    `receipts` are by place; what has none was not sent. `full`: the chunk was cut at its limit, so
    that a fan-out at its end may go on. A reply that cannot be delivered holds nobody up: the
    caller is gone, or never had the queue. Where events fail beside it, that is no sign of it.
    """
    verdict = Verdict()
    away = any(receipts.get(i) == "failed" for i, one in enumerate(taken) if one.kind != "reply")
    for place, one in enumerate(taken):
        receipt = receipts.get(place, "confirmed")
        if verdict.partly is not None and verdict.partly[0] != one.seq:
            _close(verdict)
        if one.kind == "reply":
            _judge_reply(one, receipt, verdict, away=away)
        elif receipt != "confirmed":
            verdict.failed.append(one.seq)
            verdict.broken = f"{one.type} of operation {one.operation_id} was {receipt}"
            return verdict
        elif one.target is not None:
            verdict.partly = (one.seq, one.target.workspace_id)
        else:
            verdict.done.append(one.seq)
    if verdict.partly is not None and not full:
        _close(verdict)
    return verdict


def _close(verdict: Verdict) -> None:
    """End a fan-out: what was taken behind its last command is not its own."""
    assert verdict.partly is not None
    verdict.done.append(verdict.partly[0])
    verdict.partly = None


def _judge_reply(one: Taken, receipt: str, verdict: Verdict, *, away: bool) -> None:
    if receipt == "failed" and away:
        return
    if receipt == "failed" and one.attempts + 1 < _REPLY_ATTEMPTS:
        verdict.failed.append(one.seq)
        return
    if receipt != "confirmed":
        say(
            "reply.dropped",
            reply_to=one.reply_to,
            operation_id=str(one.operation_id),
            why="nobody has that queue" if receipt == "returned" else "the broker refused it",
        )
    verdict.done.append(one.seq)
