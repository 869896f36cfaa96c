"""A cut is due when it is full, when its time has come, or when the hour changes."""

from datetime import datetime, timedelta

from consumer.audit.basket import Basket, Sizes
from consumer.record import Record
from tests.audit.filling import NOON


def now() -> datetime:
    """Tell the time, as a database would whose clock is of 2026."""
    return NOON + timedelta(hours=5, minutes=30)


def record(time: datetime | None = NOON, body: bytes = b"1") -> Record:
    """Make a record."""
    properties = {} if time is None else {"timestamp": time}
    return Record(offset=1, exchange="e", routing_key="k", body=body, properties=properties)


async def test_an_empty_basket_is_never_due() -> None:
    """An hour without messages makes no object."""
    basket = Basket(Sizes(every=0), None, now)
    assert not basket.due(None)
    assert not basket.due(record())
    assert basket.left is None


async def test_it_is_due_when_it_is_full() -> None:
    """Of records or of bytes."""
    many = Basket(Sizes(records=2), None, now)
    many.add(record())
    assert not many.due(record())
    many.add(record())
    assert many.due(record())
    large = Basket(Sizes(bytes=5000), None, now)
    large.add(record(body=b"x" * 5000))
    assert large.due(None)


async def test_it_is_due_when_its_time_has_come() -> None:
    """Whether something comes or not."""
    basket = Basket(Sizes(every=0), None, now)
    basket.add(record())
    assert basket.left == 0
    assert basket.due(None)


async def test_an_object_holds_one_hour_alone() -> None:
    """So that a query over a partition finds all of it and nothing else."""
    basket = Basket(Sizes(), None, now)
    basket.add(record())
    assert not basket.due(record(NOON + timedelta(minutes=59)))
    assert basket.due(record(NOON + timedelta(hours=1)))
    assert not basket.due(record(NOON - timedelta(hours=5)))


async def test_the_hour_goes_on_from_what_was_cut_before() -> None:
    """A clock that went back does not open an earlier partition again."""
    basket = Basket(Sizes(), NOON, now)
    basket.add(record(NOON - timedelta(hours=2)))
    records, hour = basket.emptied()
    assert (len(records), hour) == (1, NOON)
    assert basket.records == []


async def test_what_has_no_time_stands_under_now() -> None:
    """A sender need not set one, nor is one believed that is still to come."""
    basket = Basket(Sizes(), None, now)
    for time in (None, NOON + timedelta(days=9)):
        basket.add(record(time))
        _, hour = basket.emptied()
        assert hour == NOON + timedelta(hours=5)
