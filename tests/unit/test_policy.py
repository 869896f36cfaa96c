"""Who may, how much, what absence means, and who is answered."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from consumer.policy import DIRECT_REPLY_TO, Policy, is_direct
from consumer.rules import Grant, Rule, Rules
from schemas.topology import EXCHANGES, QUEUES, trigger_queues


@pytest.mark.parametrize(
    "reply_to",
    [
        "amq.rabbitmq.reply-to.g1h2AA9yZXBseUAxMjM0NTY3OAAAC.abc==",
        "amq.gen-JzTY20BRgKO-HjmUJj0wLg",
        "amq.gen-",
    ],
)
def test_direct_reply_to_and_the_brokers_own_names_are_answered(reply_to: str) -> None:
    """These reach the caller and nobody else: a queue named by the broker is hard to guess."""
    assert Policy().answers(reply_to)


@pytest.mark.parametrize(
    "reply_to",
    [
        *(queue.name for queue in QUEUES),
        *EXCHANGES,
        "orders",
        "amq.rabbitmq.log",
        "amq.topic",
        "amq.gen",
        "AMQ.GEN-x",
        "x.amq.gen-x",
        "x.amq.rabbitmq.reply-to.g1h2",
        " amq.gen-x",
        "",
    ],
)
def test_nobody_elses_queue_is_answered(reply_to: str) -> None:
    """A reply_to is no way to put a message into another one's queue, our own least of all."""
    assert not Policy().answers(reply_to)
    assert not Policy(reply_to_allow=()).answers(reply_to)


@pytest.mark.parametrize("queue", [queue.name for queue in (*QUEUES, *trigger_queues())])
def test_our_own_queues_are_never_answered(queue: str) -> None:
    """However wide the operator's patterns are, and though they name one of them outright."""
    assert Policy(reply_to_allow=("*",)).answers("replies")
    assert not Policy(reply_to_allow=("*", "lifecycle.*", queue)).answers(queue)


def test_reply_queues_are_patterns() -> None:
    """`replies.*` and a full name let in what they match; the case counts."""
    policy = Policy(reply_to_allow=("replies.*", "console-?", "[ab]"))
    allowed = ("replies.", "replies.console", "console-1", "a", "b")
    refused = ("replies", "Replies.x", "console-12", "ab", "amq.gen-x", "x")
    assert [one for one in (*allowed, *refused) if policy.answers(one)] == list(allowed)


def test_direct_reply_to_needs_no_pattern() -> None:
    """It cannot name anybody else's queue, whatever the operator lists."""
    assert Policy(reply_to_allow=()).answers(f"{DIRECT_REPLY_TO}g1h2")


@pytest.mark.parametrize(
    ("reply_to", "direct"),
    [
        ("amq.rabbitmq.reply-to.g1h2", True),
        ("amq.rabbitmq.reply-to", False),
        ("Amq.rabbitmq.reply-to.g1h2", False),
        ("amq.gen-x", False),
        ("", False),
        (None, False),
    ],
)
def test_direct_reply_to_is_known_by_its_name(reply_to: str | None, direct: bool) -> None:
    """The broker writes its token behind the prefix, so the bare prefix is nobody's address."""
    assert is_direct(reply_to) is direct


@pytest.mark.parametrize(
    ("patterns", "app_id", "allowed"),
    [
        (("*",), "anonymous", True),
        ((), "console", False),
        (("console",), "console", True),
        (("console",), "Console", False),
        (("console",), "console ", False),
        (("cli", "console-*"), "console-eu", True),
        (("cli", "console-*"), "console", False),
    ],
)
def test_senders_are_patterns(patterns: tuple[str, ...], app_id: str, allowed: bool) -> None:
    """Everybody is allowed by default; where senders are listed, the others are not."""
    assert Policy(allow_apps=patterns).allows(app_id) is allowed


@pytest.mark.parametrize(
    ("user", "orders", "results"),
    [
        ("lifecycle", None, None),
        ("lifecycle-eu", None, None),
        ("executor-1", "program", None),
        ("Executor-1", "program", "executors"),
        ("billing", "program", "executors"),
        ("", "program", "executors"),
        (None, "program", "executors"),
    ],
)
def test_with_a_policy_file_orders_and_results_have_their_senders(
    user: str | None, orders: str | None, results: str | None
) -> None:
    """The program's own users may send both, executors results; without a file anybody may."""
    rules = Rules(
        program=("lifecycle-*",), executors=("executor-*",), require_user_id=False,
        default=Grant(), rule=(Rule(name="all", users=("*",)),),
    )  # fmt: skip
    policy = Policy(rules=rules, own_user="lifecycle")
    assert (policy.refuses_order(user), policy.refuses_result(user)) == (orders, results)
    assert (Policy().refuses_order(user), Policy().refuses_result(user)) == (None, None)


def test_who_does_not_know_its_own_user_is_nobody() -> None:
    """That a message has no user is no likeness to a program that has none."""
    policy = Policy(rules=Rules(), own_user=None)
    assert policy.refuses_order(None) == "program"
    assert policy.refuses_result(None) == "executors"


@pytest.mark.parametrize(
    ("policy", "cascades"),
    [
        ({}, False),
        ({"implicit_cascade": True}, True),
        ({"implicit_cascade_apps": ("console",)}, True),
        ({"implicit_cascade": True, "implicit_cascade_apps": ("other",)}, True),
        ({"implicit_cascade_apps": ("other",)}, False),
        ({"implicit_cascade_apps": ("console-2", "cons*", "Console", "*")}, False),
    ],
)
def test_the_migration_period_is_everybodys_or_named(
    policy: dict[str, Any], cascades: bool
) -> None:
    """Apps are named one by one, letter for letter: no pattern opens a cascade by accident."""
    assert Policy(**policy).cascades_implicitly("console") is cascades


@given(some.none() | some.integers(1, 9), some.none() | some.integers(1, 9))
def test_the_lower_cap_counts(policys: int | None, callers: int | None) -> None:
    """A caller may narrow the operator's cap and never widen it."""
    cap = Policy(max_cascade=policys).cap(callers)
    given_caps = {one for one in (policys, callers) if one is not None}
    assert (cap is None) == (not given_caps)
    assert cap is None or (cap in given_caps and all(cap <= one for one in given_caps))


def test_a_policy_allows_what_the_contract_does_by_default() -> None:
    """Nothing implicit, no cap, every sender, 10,000 listed."""
    assert Policy() == Policy(
        implicit_cascade=False,
        implicit_cascade_apps=(),
        max_cascade=None,
        max_listed=10_000,
        reply_to_allow=("amq.gen-*",),
        allow_apps=("*",),
    )
