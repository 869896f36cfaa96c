"""Who is answered where, and what an absent flag means for whom."""

import pytest

from consumer.policy import Policy, is_direct


@pytest.mark.parametrize(
    ("reply_to", "answered"),
    [
        ("amq.rabbitmq.reply-to.g1h2AA1yZXBseUA", True),
        ("amq.gen-JzTY20BRgKO-HjmUJj0wLg", True),
        ("lifecycle.commands", False),
        ("lifecycle.executor", False),
        ("orders", False),
        ("", False),
        ("AMQ.GEN-x", False),
        ("amq.rabbitmq.reply-to", False),
        ("x.amq.gen-y", False),
    ],
)
def test_only_names_that_are_the_callers_own_are_answered(reply_to: str, answered: bool) -> None:
    """By default: RabbitMQ's direct reply-to and the queues it named itself."""
    assert Policy().answers(reply_to) is answered


def test_direct_reply_to_is_told_from_a_queue() -> None:
    """Direct reply-to is a pseudo-queue with a token of its own behind its name."""
    assert is_direct("amq.rabbitmq.reply-to.token")
    assert not is_direct("amq.gen-x")
    assert not is_direct(None)


def test_the_lower_cap_holds() -> None:
    """No cap where nobody set one, else the lower."""
    assert Policy().cap(None) is None
    assert Policy(max_cascade=5).cap(None) == 5
    assert Policy(max_cascade=5).cap(3) == 3
    assert Policy(max_cascade=5).cap(9) == 5


def test_callers_are_told_apart_by_their_whole_name() -> None:
    """implicit_cascade_apps are names, allow_apps are patterns."""
    policy = Policy(implicit_cascade_apps=("old",), allow_apps=("team-*",))
    assert policy.cascades_implicitly("old")
    assert not policy.cascades_implicitly("older")
    assert policy.allows("team-a")
    assert not policy.allows("a-team-b")
