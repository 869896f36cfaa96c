"""The floor rises only over what is gone for certain."""

from consumer.relay.floor import Floor
from consumer.store.outbox import Horizon


def test_it_rises_when_all_that_had_begun_have_ended() -> None:
    """What was seen before a horizon is complete once every transaction before that has ended."""
    floor = Floor()
    floor.ask(Horizon(oldest=90, next=100), highest=1000)
    floor.rise(lowest=1001)
    assert floor.seq == 0
    floor.ask(Horizon(oldest=99, next=120), highest=2000)
    floor.rise(lowest=2001)
    assert floor.seq == 0
    floor.ask(Horizon(oldest=100, next=130), highest=3000)
    floor.rise(lowest=3001)
    assert floor.seq == 1000


def test_what_is_left_or_under_way_stays_above_it() -> None:
    """The lowest row of them bounds it, and where there is none, what was seen does."""
    floor = Floor()
    floor.ask(Horizon(90, 100), highest=1000)
    floor.ask(Horizon(110, 120), highest=2000)
    floor.rise(lowest=401)
    assert floor.seq == 400
    floor.rise(lowest=None)
    assert floor.seq == 1000


def test_it_never_sinks() -> None:
    """A row that appears below it would have been seen: it is one that another take left."""
    floor = Floor()
    floor.ask(Horizon(90, 100), highest=1000)
    floor.ask(Horizon(100, 120), highest=2000)
    floor.rise(lowest=None)
    floor.rise(lowest=500)
    assert floor.seq == 1000


def test_it_goes_on_rising() -> None:
    """Each time that is over, what was seen by then is looked at next."""
    floor = Floor()
    for step in range(1, 6):
        floor.ask(Horizon(oldest=step * 10, next=step * 10 + 5), highest=step * 1000)
        floor.rise(lowest=None)
        assert floor.seq == (step - 1) * 1000
