"""What is asked of the broker and changes nothing: who we are to it, and what is there."""

from collections.abc import Sequence

from aiormq.channel import Channel
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)
from pamqp.commands import Basic

from consumer.broker.connection import TIMEOUT, Link, RefusedError, translating
from schemas.catalog import DEAD_LETTER
from schemas.topology import EXCHANGES, Queue

_NOWHERE = "nobody"
"""A routing key that no queue is bound by, on the exchange that every role may write to."""


async def verify_user(link: Link) -> None:
    """Have the broker confirm `link.user_id`, by a message that reaches no queue.

    Raises:
        UnavailableError: the connection broke.
        RefusedError: the broker knows us as somebody else; its text names whom.

    """
    if link.user_id is None:
        return
    channel = await link.underlay("verifying the user", vital=False)
    with translating("verify the user"):
        try:
            await channel.basic_publish(
                b"",
                exchange=DEAD_LETTER,
                routing_key=_NOWHERE,
                properties=Basic.Properties(user_id=link.user_id),
                timeout=TIMEOUT,
            )
        except ChannelPreconditionFailed as error:
            raise RefusedError(
                f"RabbitMQ takes no message from us as {link.user_id!r} ({error}): give the name "
                "that it knows us by as user_id= in the query of the AMQP URL"
            ) from None
        await channel.close()


async def missing(link: Link, queues: Sequence[Queue]) -> list[str]:
    """Name what the broker lacks of the topology, as far as it lets us look.

    Until 4.2.5 looking takes no permission, since 4.3.1 any for that name (rabbitmq-server#16272).
    What we may not look at is taken to be there: a publish or a consumer finds out.

    Raises:
        UnavailableError: the connection broke.

    """
    lacks = [f"exchange {name!r}" for name in EXCHANGES if not await _has(link, exchange=name)]
    return lacks + [
        f"queue {queue.name!r}" for queue in queues if not await _has(link, queue=queue.name)
    ]


async def _has(link: Link, *, exchange: str = "", queue: str = "") -> bool:
    channel = await link.underlay("looking", vital=False)
    with translating(f"look at {exchange or queue}"):
        try:
            await _look(channel, exchange, queue)
        except ChannelNotFoundEntity:
            return False
        except ChannelAccessRefused:
            return True
        await channel.close()
    return True


async def _look(channel: Channel, exchange: str, queue: str) -> None:
    if queue:
        await channel.queue_declare(queue, passive=True, timeout=TIMEOUT)
    else:
        await channel.exchange_declare(exchange, passive=True, timeout=TIMEOUT)
