"""How many commands a minute somebody may send: token buckets. Pure: the time is given."""

from dataclasses import dataclass

from consumer.policy import Policy

_MINUTE = 60.0


class Bucket:
    """Fills by `rate` tokens a minute up to `burst`; it is full at first.

    Times are in seconds of any clock that does not go back.
    """

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate, self._burst = rate / _MINUTE, burst
        self._tokens, self._at = float(burst), now

    def wait(self, now: float) -> float:
        """Tell in how many seconds there is a token; 0: there is one."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return max(0.0, (1 - self._tokens) / self._rate)

    def take(self, now: float) -> float:
        """Take a token if there is one; tell as `wait` did before."""
        wait = self.wait(now)
        if not wait:
            self._tokens -= 1
        return wait

    def give_back(self) -> None:
        """Put a token back that was taken for nothing."""
        self._tokens = min(self._burst, self._tokens + 1)


@dataclass(slots=True)
class Ticket:
    """One command's leave to pass: a token is taken once, however often it is asked for.

    Attributes:
        rule, rate: the limit, as it is told to whom it stops.
        refused_for: for how many seconds, rounded up, it was refused; None: it was not so far.

    """

    bucket: Bucket | None
    rule: str = ""
    rate: float = 0.0
    refused_for: int | None = None
    _taken: bool = False

    def look(self, now: float) -> bool:
        """Tell whether it passes as far as can be seen; once it does not, it stays so."""
        if self.bucket is not None and self.refused_for is None and not self._taken:
            self._note(self.bucket.wait(now))
        return self.refused_for is None

    def take(self, now: float) -> bool:
        """Take the token; tell whether the command passes."""
        if self.bucket is not None and self.refused_for is None and not self._taken:
            self._note(self.bucket.take(now))
            self._taken = self.refused_for is None
        return self.refused_for is None

    def give_back(self) -> None:
        """Put the token back where nothing came of the command."""
        if self.bucket is not None and self._taken:
            self.bucket.give_back()
            self._taken = False

    def _note(self, wait: float) -> None:
        if wait:
            self.refused_for = int(wait) + 1


class Rates:
    """The buckets of this process: one for each user under each rule that has a rate."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._buckets: dict[tuple[str, str | None], Bucket] = {}

    def ticket(self, user_id: str | None, now: float) -> Ticket:
        """Give a ticket for a command of a user."""
        limit = self._policy.limit_of(user_id)
        if limit is None:
            return Ticket(None)
        key = limit.rule, user_id
        if key not in self._buckets:
            self._buckets[key] = Bucket(limit.rate, limit.burst, now)
        return Ticket(self._buckets[key], limit.rule, limit.rate)
