"""`python -m tests.support.shifted SECONDS verb ...`: a verb on a machine whose clock is wrong."""

import sys
from datetime import datetime, timedelta, tzinfo

from consumer.broker import parking
from consumer.cli.main import main
from consumer.executor import worker
from consumer.store import clock

_ASKED = (parking, worker, clock)
"""Who asks the machine for the time."""


def shifted(by: timedelta) -> None:
    """Run the verb that is left in the arguments."""

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override] # no subclass
            return datetime.now(tz) + by

    for module in _ASKED:
        assert module.__dict__["datetime"] is datetime
        module.__dict__["datetime"] = Shifted
    main()


if __name__ == "__main__":
    seconds = float(sys.argv.pop(1))
    shifted(timedelta(seconds=seconds))
