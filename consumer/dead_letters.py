"""Dead letters: which are meant, and sending them back or away, one after the other."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from consumer.broker.dead import DeadQueue, Letter, NoWayBackError
from consumer.observe import bound, say


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """Which letters are meant; what is None asks for nothing.

    Attributes:
        message_id, type, app_id: exactly these; a type may also be the routing key.
        reason: a part of the reason, in any case of letters.

    """

    message_id: str | None = None
    type: str | None = None
    app_id: str | None = None
    reason: str | None = None

    def holds(self, letter: Letter) -> bool:
        """Tell whether a letter is meant."""
        message = letter.message
        return (
            self.message_id in {None, message.message_id}
            and self.type in {None, message.type, message.routing_key}
            and self.app_id in {None, message.app_id}
            and (self.reason is None or self.reason.lower() in letter.why.lower())
        )


async def found(queue: DeadQueue, meant: Meant) -> AsyncIterator[Letter]:
    """Give the letters of a queue that are meant, the oldest first.

    Raises:
        UnavailableError: the broker is away.

    """
    async for letter in queue.letters():
        if meant.holds(letter):
            yield letter


async def requeued(
    queue: DeadQueue, meant: Meant, *, vouch: bool = False
) -> AsyncIterator[tuple[Letter, str | None]]:
    """Send the letters that are meant to where they came from, by their first exchange and key.

    With `vouch` under our own user, whoever sent them. Gives each with None, or with why it stays.
    One that arrived and whose removal was lost with the connection is there twice under one id:
    the inbox knows it.

    Raises:
        UnavailableError: the broker is away; those given before are done.

    """
    async for letter in found(queue, meant):
        try:
            await queue.send_back(letter, vouch=vouch)
        except NoWayBackError as error:
            yield letter, str(error)
        else:
            _tell("dead_letter.requeued", queue, letter)
            yield letter, None


async def discarded(queue: DeadQueue, meant: Meant) -> AsyncIterator[tuple[Letter, None]]:
    """Take the letters that are meant out for good; the audit stream still has the messages.

    Raises:
        UnavailableError: the broker is away; those given before are done.

    """
    async for letter in found(queue, meant):
        await queue.drop(letter)
        _tell("dead_letter.discarded", queue, letter)
        yield letter, None


def _tell(fact: str, queue: DeadQueue, letter: Letter) -> None:
    with bound(queue=queue.name, message_id=letter.message.message_id):
        say(fact, why=letter.why)
