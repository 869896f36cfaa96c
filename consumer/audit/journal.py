"""How far a replay has come, in a file, so that the next one goes on there."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from consumer.audit.trail import Place


class JournalError(Exception):
    """The file cannot be used, or belongs to another replay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How far it has come.

    Attributes:
        after: the last place that was dealt with; None: none yet.
        count: messages that were replayed.
        size: bytes that a target file had then.

    """

    after: Place | None = None
    count: int = 0
    size: int = 0


class Journal:
    """Keeps what was reached; without a path only in memory.

    `of` says what is replayed where, so that a file is never taken for another replay's.
    """

    def __init__(self, path: Path | None, of: str) -> None:
        self._path, self._of = path, of
        self.reached = Reached()
        self.resumed = False

    def open(self) -> None:
        """Read the file, where there is one.

        Raises:
            JournalError: it is none of ours, or another replay's.

        """
        if self._path is None or not self._path.exists():
            return
        try:
            found = json.loads(self._path.read_bytes())
            of = found.pop("of")
            after = found.pop("after")
            reached = Reached(**found)
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise JournalError(f"{self._path} is no state of a replay: {error}") from None
        if of != self._of:
            raise JournalError(f"{self._path} is of another replay ({of}): name another file")
        self.reached = replace(reached, after=(after[0], after[1]) if after else None)
        self.resumed = True

    def save(self, reached: Reached) -> None:
        """Note what was reached: the file is the old one or the new one, whenever power is lost.

        Raises:
            JournalError: it cannot be written.

        """
        self.reached = reached
        if self._path is None:
            return
        state = {"of": self._of, "after": reached.after, "count": reached.count}
        beside = self._path.with_name(self._path.name + ".new")
        try:
            with beside.open("w") as file:
                json.dump(state | {"size": reached.size}, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            raise JournalError(f"could not write {self._path}: {error}") from None
