"""What is asked of the broker at the start: whether it takes us for whom we say we are."""

from aiormq.exceptions import ChannelPreconditionFailed
from pamqp.commands import Basic

from consumer.broker.connection import TIMEOUT, Link, RefusedError, translating
from schemas.catalog import DEAD_LETTER

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
