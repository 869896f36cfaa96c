"""What a look comes to."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look came to.

    Attributes:
        part: setting, broker, database, clock, executor, archive or trigger.
        state: `ok`, a `note` for people, or `wrong`: it would not work so.
        mend: what to do about it; empty where nothing has to be done.

    """

    part: str
    state: Literal["ok", "note", "wrong"]
    said: str
    mend: str = ""
