"""Where taking may begin: what was deleted is read again as long as some old snapshot sees it."""

from consumer.store.outbox import Horizon


class Floor:
    """Tells up to which seq nothing is left, nor can appear any more.

    Rows are numbered before their transaction commits, so one with a lower number may become
    visible after one with a higher. But whoever took the lower number had begun by the time the
    higher one was seen: when all that had begun by then have ended, nothing below it is missing.

    Attributes:
        seq: 0 as long as nothing is certain.

    """

    def __init__(self) -> None:
        self.seq = 0
        self._complete = 0
        self._seen, self._next = 0, 0

    def ask(self, horizon: Horizon, highest: int) -> None:
        """Learn from a horizon: asked for after the seq `highest` was seen, and before a take."""
        if horizon.oldest >= self._next:
            self._complete = self._seen
            self._seen, self._next = highest, horizon.next

    def rise(self, lowest: int | None) -> None:
        """Learn from that take: `lowest` is the first row there was, or is under way; if any."""
        bound = self._complete if lowest is None else min(self._complete, lowest - 1)
        self.seq = max(self.seq, bound)
