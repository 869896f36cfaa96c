"""Triggers: what each rule would do, and whether the exchange that it waits at is there."""

from collections.abc import AsyncIterator

from consumer.broker.topology import exists
from consumer.doctor.finding import Finding
from consumer.message import UnavailableError
from consumer.settings import Settings


async def look(settings: Settings) -> AsyncIterator[Finding]:
    """Look at each rule, and publish nothing."""
    if settings.triggers_file is None:
        return
    url = settings.amqp_url.get_secret_value()
    for rule in settings.triggers_file.trigger:
        try:
            is_there = await exists(url, "exchange", rule.exchange)
        except UnavailableError as error:
            yield Finding("trigger", "note", f"{rule}; {error}")
            continue
        if is_there:
            yield Finding("trigger", "ok", str(rule))
        else:
            told = f"{rule}; there is no exchange {rule.exchange!r}"
            mend = "the role triggers waits for it: start whoever declares it, or mend the rule"
            yield Finding("trigger", "wrong", told, mend)
