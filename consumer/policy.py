"""Who may do what, how much of it, what an absent flag means, and who is answered where."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

DIRECT_REPLY_TO = "amq.rabbitmq.reply-to."
"""RabbitMQ's pseudo-queue: it reaches the caller's own channel and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator allows.

    Attributes:
        implicit_cascade: an absent flag cascades, marked deprecated, for everybody.
        implicit_cascade_apps: the same, for these `app_id`s alone.
        max_cascade: most workspaces one command may change; None for no cap.
        max_listed: where lists in events are cut.
        reply_to_allow, allow_apps: shell patterns, matched case-sensitively.

    """

    implicit_cascade: bool = False
    implicit_cascade_apps: tuple[str, ...] = ()
    max_cascade: int | None = None
    max_listed: int = 10_000
    reply_to_allow: tuple[str, ...] = ("amq.gen-*",)
    allow_apps: tuple[str, ...] = ("*",)

    def allows(self, app_id: str) -> bool:
        """Tell whether this sender may send commands at all."""
        return _matches(app_id, self.allow_apps)

    def cascades_implicitly(self, app_id: str) -> bool:
        """Tell whether an absent flag cascades, as it used to, for this sender."""
        return self.implicit_cascade or app_id in self.implicit_cascade_apps

    def answers(self, reply_to: str) -> bool:
        """Tell whether an answer may go there: it must not reach somebody else's queue."""
        return is_direct(reply_to) or _matches(reply_to, self.reply_to_allow)

    def cap(self, asked: int | None) -> int | None:
        """Give the lower of the policy's cap and the caller's own; None where there is neither."""
        return min((cap for cap in (self.max_cascade, asked) if cap is not None), default=None)


def is_direct(reply_to: str | None) -> bool:
    """Tell direct reply-to from a queue. RabbitMQ 3.10 returns mandatory messages sent there."""
    return reply_to is not None and reply_to.startswith(DIRECT_REPLY_TO)


def _matches(value: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns)
