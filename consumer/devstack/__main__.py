"""`python -m consumer.devstack`: the stack alone, until Ctrl-C."""

import signal
import sys

from consumer.devstack.lease import database, vhost
from consumer.devstack.server import StackError
from consumer.devstack.stack import embedded

if __name__ == "__main__":
    try:
        with (
            embedded(lambda line: print(f"# {line}")) as stack,
            vhost(stack) as amqp_url,
            database(stack) as database_url,
        ):
            print(f"export LIFECYCLE_AMQP_URL={amqp_url}")
            print(f"export LIFECYCLE_DATABASE_URL={database_url}")
            print(f"export AWS_ENDPOINT_URL={stack.aws_url}")
            print(f"# management: {stack.management_url}; Ctrl-C ends it all", flush=True)
            signal.pause()
    except StackError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass
