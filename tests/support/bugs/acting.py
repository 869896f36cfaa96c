"""What is done to machines, settled, and archived."""

from tests.support.planting import bug

_WORKER = "consumer/executor/worker.py"

EXECUTING = (
    bug(
        "an executor carries out what a later command has overtaken",
        _WORKER,
        'if standing.kind == "overtaken":',
        "if False:",
        "tests/contract/test_events.py::test_a_late_stop_cannot_undo_a_resume",
        "tests/executor/test_worker.py::test_an_older_generation_is_superseded_and_not_carried_out",
    ),
    bug(
        "the fence is not asked again where EC2 is",
        "consumer/executor/fleet.py",
        "                _answer_overtaken(cases, newest)\n                await self._ask(\n",
        "                await self._ask(\n",
        "tests/executor/test_fleet.py::test_what_is_overtaken_in_a_batch_is_left_out_of_the_call",
    ),
    bug(
        "an executor carries out what nobody decided",
        _WORKER,
        'if standing.kind == "unknown":',
        "if False:",
        "tests/contract/test_forgery.py::test_a_forged_order_is_not_carried_out[generation]",
        "tests/executor/test_worker.py::"
        "test_an_order_that_was_not_decided_so_is_parked_and_answered_by_nobody",
    ),
    bug(
        "one bad machine fails its whole call",
        "consumer/executor/fleet.py",
        "            if len(cases) == 1:\n"
        "                await self._refused(cases[0], refusal, hibernate)\n"
        "                return\n"
        "            for part in _split(cases, refusal.message):\n"
        "                await self._ask(part, hibernate)\n",
        "            for case in cases:\n"
        "                await self._refused(case, refusal, hibernate)\n",
        "tests/executor/test_fleet.py::test_a_bad_machine_ends_only_its_own_workspace",
    ),
    bug(
        "stop protection is waited out",
        "consumer/executor/refusals.py",
        'PASSING = frozenset({"IncorrectInstanceState",',
        'PASSING = frozenset({"OperationNotPermitted", "IncorrectInstanceState",',
        "tests/executor/test_ec2.py::test_stop_protection_is_a_permanent_failure",
    ),
    bug(
        "what EC2 throttles has failed",
        "consumer/executor/ec2.py",
        "if code in THROTTLES:",
        "if False:",
        "tests/executor/test_ec2_silence.py::test_what_does_not_get_through_is_tried_again",
    ),
    bug(
        "EC2 is called on the loop",
        "consumer/executor/ec2.py",
        "return await asyncio.to_thread(call)",
        "return call()",
        "tests/executor/test_ec2_threads.py::"
        "test_a_slow_ec2_holds_neither_the_loop_nor_its_threads",
    ),
)


SETTLING = (
    bug(
        "an outcome is counted each time it is told",
        "consumer/store/sql/targets.sql",
        "    where t.outcome is null or t.outcome = 'timed_out'\n"
        "    order by t.operation_id, t.workspace_id for no key update of t\n",
        "    where true\n    order by t.operation_id, t.workspace_id for no key update of t\n",
        "tests/contract/test_settlement.py::"
        "test_in_any_order_three_times_and_in_either_encoding_settles_once",
        "tests/store/test_targets.py::"
        "test_in_any_order_twice_and_at_once_an_operation_settles_exactly_once",
    ),
    bug(
        "a failed stop leaves its workspace paused",
        "consumer/store/sql/targets.sql",
        "where s.outcome = 'failed'\n      and w.status::text",
        "where false\n      and w.status::text",
        "tests/contract/test_settlement_compensation.py::test_a_failed_stop_gives_back_each_status",
        "tests/contract/test_events.py::test_what_failed_is_counted_and_put_back",
    ),
    bug(
        "a late failure undoes what a newer command did",
        "consumer/store/sql/targets.sql",
        """      and not exists (select from lifecycle.target n
                      where n.workspace_id = s.workspace_id and n.generation > s.generation)
    order by w.id for no key update of w
), compensated""",
        """    order by w.id for no key update of w
), compensated""",
        "tests/contract/test_settlement_compensation.py::"
        "test_only_the_newest_generation_is_given_back",
    ),
)


ARCHIVING = (
    bug(
        "the archive leaves out a message",
        "consumer/audit/archive.py",
        "            if basket.due(record):\n"
        "                count += len(basket.records)\n"
        "                await self._cut(connection, epoch, basket)\n"
        "            if record is not None:\n",
        "            if basket.due(record):\n"
        "                count += len(basket.records)\n"
        "                await self._cut(connection, epoch, basket)\n"
        "                continue\n"
        "            if record is not None:\n",
        "tests/audit/test_archive.py::"
        "test_each_hour_has_its_own_partition_and_clocks_do_not_go_back",
    ),
    bug(
        "what was sent before the time that is asked for is replayed",
        "consumer/audit/wanted.py",
        "(self.since is not None and time < self.since)",
        "False",
        "tests/audit/test_wanted.py::test_a_record_is_held_where_all_holds",
    ),
    bug(
        "what was read of a stream is not acknowledged",
        "consumer/broker/stream.py",
        "                heard.ack(batch)\n",
        "",
        "tests/broker/test_stream.py::test_more_than_it_holds_at_once_is_read_whole",
    ),
    bug(
        "a stream that lost its tail is taken for the one that was archived",
        "consumer/audit/joint.py",
        "return forgotten or piece.tail in {None, digest(encode(first))}",
        "return True",
        "tests/audit/test_joint.py::test_a_stream_begun_anew_is_told_by_its_messages",
    ),
)
