"""What crosses the broker wall is a value."""

from dataclasses import FrozenInstanceError, fields

import pytest

from consumer.message import Inbound, Outbound, UnavailableError, UnreadableError


def inbound() -> Inbound:
    """Give a delivery with nothing but what every delivery has."""
    return Inbound(body=b"{}", queue="q", exchange="x", routing_key="k")


def outbound() -> Outbound:
    """Give a message with nothing but what every message has."""
    return Outbound(exchange="x", routing_key="k", body=b"{}", message_id="m", type="t")


def test_a_delivery_without_properties_has_none() -> None:
    """A property that the sender did not set is None, and never an empty text."""
    given = {"body", "queue", "exchange", "routing_key", "headers", "deliveries", "tries"}
    absent = [field.name for field in fields(Inbound) if field.name not in given]
    assert [getattr(inbound(), name) for name in absent] == [None] * len(absent)
    assert inbound().headers == {}
    assert inbound().first


def test_a_message_is_ours_and_is_returned_where_nobody_takes_it() -> None:
    """What nobody asked otherwise is mandatory and says who sent it."""
    assert outbound().app_id == "workspace-lifecycle"
    assert outbound().mandatory
    assert outbound().reply_to is None


def test_messages_are_values() -> None:
    """Equal ones are equal, none can be changed, and none shares its headers with another."""
    assert inbound() == inbound()
    assert outbound() == outbound()
    assert inbound().headers is not inbound().headers
    assert outbound().headers is not outbound().headers
    with pytest.raises(FrozenInstanceError):
        inbound().body = b""  # type: ignore[misc]  # that it is frozen is tried
    with pytest.raises(FrozenInstanceError):
        outbound().exchange = ""  # type: ignore[misc]  # the same


def test_members_are_named() -> None:
    """Nobody can mistake an exchange for a routing key by its place."""
    with pytest.raises(TypeError):
        Inbound(b"{}", "q", "x", "k")  # type: ignore[call-arg]  # that they are named is tried
    with pytest.raises(TypeError):
        Outbound("x", "k", b"{}", "m", "t")  # type: ignore[call-arg]  # the same


def test_away_and_unreadable_are_two_things() -> None:
    """The one is tried again, the other never is: neither is caught as the other."""
    assert not issubclass(UnavailableError, UnreadableError)
    assert not issubclass(UnreadableError, UnavailableError)
    assert not issubclass(UnavailableError, OSError | ValueError)
