"""How the database is asked, and what its failures mean."""

from tests.support.planting import bug

_POOL = "consumer/store/pool.py"

STORING = (
    bug(
        "a commit may be lost where the database's default allows it",
        _POOL,
        '    "synchronous_commit": "on",\n',
        "",
        "tests/store/test_pool.py::test_a_session_does_not_go_by_the_databases_defaults",
    ),
    bug(
        "a conflict outside a transaction ends the program",
        _POOL,
        "except (*_AGAIN, *AWAY) as error:",
        "except AWAY as error:",
        "tests/store/test_pool.py::"
        "test_a_failure_that_passes_is_unavailable_outside_a_transaction_too",
    ),
    bug(
        "a session that is ended before it listens ends the program",
        "consumer/store/wake.py",
        "except (*AWAY, asyncpg.PostgresError) as error:",
        "except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:",
        "tests/store/test_wake.py::"
        "test_a_session_that_is_ended_before_it_listens_is_no_end_of_the_program",
    ),
)
