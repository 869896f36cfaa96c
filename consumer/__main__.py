"""`python -m consumer` is `workspace-lifecycle`."""

from consumer.cli.main import main

if __name__ == "__main__":
    main()
