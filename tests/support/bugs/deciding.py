"""What is read of a command, and what is decided of it."""

from tests.support.planting import bug

_WORKER = "consumer/executor/worker.py"
_TRANSACTION = "consumer/lifecycle/transaction.py"
_STRICT = "schemas/strict.py"

COMMANDS = (
    bug(
        "a second delivery is decided again",
        _TRANSACTION,
        "fresh = [claim.fresh for claim in claims]",
        "fresh = [True for _ in claims]",
        "tests/contract/test_encoding.py::"
        "test_a_second_delivery_gets_the_stored_answer_and_changes_nothing",
        "tests/contract/test_concurrency.py::test_the_same_id_many_times_at_once_is_one_operation",
    ),
    bug(
        "commands on overlapping trees do not wait for each other",
        _TRANSACTION,
        "await self._lock([case for case in cases if not case.command.data.dry_run])",
        "pass",
        "tests/lifecycle/test_transaction.py::"
        "test_one_whose_tree_overlaps_waits_for_the_other_to_be_committed",
        "tests/lifecycle/test_transaction.py::"
        "test_who_would_have_to_wait_is_left_and_the_others_are_not",
    ),
    bug(
        "what is found under the locks is not compared with the plan",
        _TRANSACTION,
        "if case.recorded is None or case.recorded.tree_etag != case.plan.tree_etag:",
        "if case.recorded is None:",
        "tests/lifecycle/test_transaction.py::test_what_came_after_the_plan_is_not_taken_along",
    ),
    bug(
        "transactions are serializable, and fail where many meet",
        "consumer/store/pool.py",
        """        for tried in range(_TRIES):
            try:
                async with (
                    self._pool.acquire() as connection,
                    connection.transaction(isolation="read_committed"),""",
        """        for tried in range(_TRIES):
            try:
                async with (
                    self._pool.acquire() as connection,
                    connection.transaction(isolation="serializable"),""",
        "tests/contract/test_concurrency.py::"
        "test_hammering_one_tree_from_many_sides_deadlocks_nowhere",
    ),
    bug(
        "the cascade flag is not looked at",
        "consumer/decision.py",
        "if plan.descendant_count == 0 or opts_in(command, policy):",
        "if True:",
        "tests/unit/test_decision.py::test_nothing_below_changes_that_nobody_asked_for",
        "tests/contract/test_acceptance.py::"
        "test_pause_without_cascade_on_a_parent_answers_409_and_the_list",
    ),
    bug(
        "a list is as long as the tree",
        _TRANSACTION,
        "action, listed = case.command.origin.action, self._policy.max_listed",
        "action, listed = case.command.origin.action, 1_000_000",
        "tests/contract/test_events.py::test_lists_are_cut_and_the_count_is_whole",
    ),
    bug(
        "a reply goes to whatever queue a caller names",
        "consumer/policy.py",
        "allowed = is_direct(reply_to) or _matches(reply_to, self.reply_to_allow)",
        "allowed = True",
        "tests/contract/test_reply_to.py::test_no_reply_is_decided_to_what_is_not_allowed",
        "tests/contract/test_reply_to.py::test_nothing_arrives_in_queues_of_those_names",
    ),
    bug(
        "a sender without a verified user_id is taken for the default one",
        "consumer/rules.py",
        "if user_id is None and self.require_user_id:",
        "if False:",
        "tests/unit/test_rules.py::"
        "test_without_a_user_id_nothing_is_allowed_unless_it_is_not_required",
        "tests/contract/test_spoofing.py::test_the_python_client_gives_its_user",
    ),
)


INTAKE = (
    bug(
        "a body is parsed before its size is looked at",
        "consumer/intake.py",
        "    if len(inbound.body) > max_body:\n",
        "    parse_json(inbound.body)\n    if len(inbound.body) > max_body:\n",
        "tests/unit/test_intake.py::TestMalformed::test_what_is_too_long_is_refused_for_its_length",
    ),
    bug(
        "an order is parsed before its size is looked at",
        _WORKER,
        "        if len(inbound.body) > self._max_body:\n",
        "        _read(inbound)\n        if len(inbound.body) > self._max_body:\n",
        "tests/executor/test_worker.py::test_a_command_over_the_limit_is_not_parsed",
    ),
    bug(
        "nesting without end raises what is no ValueError",
        _STRICT,
        "except RecursionError:",
        "except ZeroDivisionError:",
        "tests/unit/test_strict.py::test_deep_nesting_is_refused",
    ),
    bug(
        "NaN passes",
        _STRICT,
        ", parse_constant=_no_constant",
        "",
        "tests/unit/test_strict.py::test_what_is_not_our_json_is_refused",
    ),
    bug(
        "of two members of one name the last counts",
        _STRICT,
        "if name in members:",
        "if False:",
        "tests/unit/test_strict.py::test_what_is_not_our_json_is_refused",
        "tests/contract/test_encoding.py::"
        "test_malformed_commands_are_answered_and_the_next_one_is_served",
    ),
    bug(
        "NUL reaches the database",
        _STRICT,
        'if "\\x00" in value:',
        "if False:",
        "tests/unit/test_strict.py::test_nul_is_refused",
        "tests/contract/test_encoding.py::"
        "test_malformed_commands_are_answered_and_the_next_one_is_served",
    ),
    bug(
        "lone surrogates pass",
        _STRICT,
        "        value.encode()\n",
        "        pass\n",
        "tests/unit/test_strict.py::test_lone_surrogates_are_refused",
    ),
    bug(
        "an error repeats what was sent",
        _STRICT,
        "hide_input_in_errors=True",
        "hide_input_in_errors=False",
        "tests/unit/test_strict.py::test_unknown_fields_are_refused_and_values_never_repeated",
    ),
    bug(
        "log lines are written for a terminal",
        "consumer/telemetry/logs.py",
        "structlog.processors.JSONRenderer()",
        "structlog.dev.ConsoleRenderer(colors=False)",
        "tests/contract/test_stop.py::test_what_a_sender_writes_stays_within_its_log_line",
    ),
    bug(
        "an id of any length is remembered and sent on",
        "consumer/intake.py",
        "<= SHORT_STRING",
        "<= 1_000_000",
        "tests/unit/test_intake.py::TestMalformed::test_an_id_that_cannot_be_kept_is_a_problem",
    ),
)
