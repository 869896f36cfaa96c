"""`python -m tests.support.crash FACT TIMES verb ...`: a verb that kills itself at a fact."""

import os
import signal
import sys

from consumer.cli.main import main
from consumer.observe import listening


def dying_at(fact: str, times: int) -> None:
    """Run the verb that is left in the arguments, until a fact was said so many times."""
    left = times

    def kill(said: str, _: object) -> None:
        nonlocal left
        left -= said == fact
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    with listening(kill):
        main()


if __name__ == "__main__":
    name, count = sys.argv[1], int(sys.argv[2])
    del sys.argv[1:3]
    dying_at(name, count)
