"""Token buckets, by a clock that the test turns."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from consumer.policy import Policy
from consumer.rates import Bucket, Rates, Ticket
from consumer.rules import Grant, Rule, Rules


def test_a_burst_passes_and_then_what_the_rate_allows() -> None:
    """Full at first; one a second at 60 a minute; never more than the burst after a pause."""
    bucket = Bucket(60, 3, now=0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [0, 0, 0, 1]
    assert bucket.take(0.5) == 0.5
    assert bucket.take(1.0) == 0
    assert [bucket.take(1000.0) for _ in range(4)] == [0, 0, 0, 1]


def test_looking_takes_nothing() -> None:
    """The wait is told as often as one likes."""
    bucket = Bucket(60, 1, now=0.0)
    assert [bucket.wait(0.0), bucket.wait(0.0), bucket.take(0.0)] == [0, 0, 0]
    assert bucket.wait(0.25) == 0.75


@given(
    some.floats(0.1, 100_000),
    some.integers(1, 1000),
    some.lists(some.floats(0, 30), min_size=1, max_size=200),
)
def test_never_more_pass_than_the_burst_and_the_rate_together(
    rate: float, burst: int, pauses: list[float]
) -> None:
    """Whenever they come, and whoever came after the time that was told passes."""
    now, passed, bucket = 0.0, 0, Bucket(rate, burst, now=0.0)
    for pause in pauses:
        now += pause
        wait = bucket.take(now)
        passed += not wait
        if wait:
            assert bucket.wait(now + wait) <= wait * 1e-6
        assert passed <= burst + now * rate / 60 + 1e-6


def test_a_ticket_takes_one_token_however_often_it_is_asked() -> None:
    """A transaction that is done again is still one command."""
    bucket = Bucket(60, 2, now=0.0)
    ticket = Ticket(bucket, "few", 60)
    assert [ticket.look(0.0), ticket.take(0.0), ticket.take(0.0), ticket.look(0.0)] == [True] * 4
    assert bucket.take(0.0) == 0
    assert bucket.take(0.0) > 0


def test_a_ticket_that_was_refused_stays_so() -> None:
    """What was let by without its turn is not carried out, also when a token has come since."""
    bucket = Bucket(60, 1, now=0.0)
    bucket.take(0.0)
    ticket = Ticket(bucket, "few", 60)
    assert not ticket.look(0.5)
    assert not ticket.take(10.0)
    assert ticket.refused_for == 1
    assert Ticket(bucket).take(10.0)


def test_what_came_to_nothing_gives_its_token_back_once() -> None:
    """A database that went away costs nobody a command."""
    bucket = Bucket(60, 1, now=0.0)
    ticket = Ticket(bucket, "few", 60)
    ticket.give_back()
    assert ticket.take(0.0)
    ticket.give_back()
    ticket.give_back()
    assert bucket.take(0.0) == 0
    assert bucket.take(0.0) == 1


def test_each_user_has_a_bucket_of_its_own_under_its_rule() -> None:
    """One noisy user takes nothing from another whom the same rule names."""
    few = Rule(name="few", users=("few-*",), rate=60, burst=1)
    rates = Rates(Policy(rules=Rules(rule=(few,), default=Grant(rate=1))))
    assert rates.ticket("few-a", 0.0).take(0.0)
    assert not rates.ticket("few-a", 0.0).take(0.0)
    assert rates.ticket("few-b", 0.0).take(0.0)
    assert rates.ticket("other", 0.0).take(0.0)
    refused = rates.ticket("other", 0.0)
    assert not refused.take(0.0)
    assert (refused.rule, refused.rate, refused.refused_for) == ("default", 1, 61)


@pytest.mark.parametrize("policy", [Policy(), Policy(rules=Rules(default=Grant()))])
def test_without_a_rate_everything_passes(policy: Policy) -> None:
    """Neither without a policy file nor by a rule that has none."""
    rates = Rates(policy)
    assert all(rates.ticket("user", 0.0).take(0.0) for _ in range(1000))
