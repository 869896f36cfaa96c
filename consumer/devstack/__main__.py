"""`python -m consumer.devstack`: the stack alone, until Ctrl-C or SIGTERM."""

import signal
import sys
from shlex import quote

from consumer.devstack.lease import database, vhost
from consumer.devstack.platform import aws_environment
from consumer.devstack.server import StackError
from consumer.devstack.stack import embedded


def main() -> None:
    """Bring the stack up, print its URLs as `export` lines for a shell, and hold it."""
    with (
        embedded(lambda line: print(f"# {line}", flush=True)) as stack,
        vhost(stack) as amqp_url,
        database(stack) as database_url,
    ):
        exports = {
            "LIFECYCLE_AMQP_URL": amqp_url,
            "LIFECYCLE_MANAGEMENT_URL": stack.management_url,
            "LIFECYCLE_DATABASE_URL": database_url,
            **aws_environment(stack),
        }
        for name, value in exports.items():
            print(f"export {name}={quote(value)}")
        print("# up; Ctrl-C ends it all", flush=True)
        signal.pause()


if __name__ == "__main__":
    # A plain `kill` ends it as Ctrl-C does: the vhost and the database may be on a lasting server.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except StackError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass
