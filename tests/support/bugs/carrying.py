"""What comes from the broker, and what goes to it."""

from tests.support.planting import Change, bug, several

_CONSUME, _CONSUMING = "consumer/broker/consume.py", "consumer/broker/consuming.py"
_RELAY = "consumer/relay/relay.py"

CONSUMING = (
    several(
        "a command is acknowledged before its outcome is committed",
        (
            Change(
                _CONSUME,
                "        failure = _unreadable(held) or await self._watched(session, message)\n",
                "        session.ack(held)\n"
                "        failure = _unreadable(held) or await self._watched(session, message)\n",
            ),
            Change(
                _CONSUME,
                "        if failure is None:\n            session.ack(held)\n",
                "        if failure is None:\n",
            ),
        ),
        "tests/broker/test_consume.py::test_nothing_is_acknowledged_before_its_handler_returned",
        "tests/broker/test_consume.py::test_stop_gives_back_what_waits_for_another_try",
    ),
    bug(
        "an acknowledgement takes along what is still in hand",
        _CONSUMING,
        "Ack(tag, multiple=False) for tag in alone",
        "Ack(tag, multiple=True) for tag in alone",
        "tests/broker/test_consuming.py::test_what_is_done_is_acknowledged_and_nothing_else",
        "tests/broker/test_consume.py::test_one_that_ends_first_is_acknowledged_alone",
    ),
    bug(
        "a consumer that the broker cancelled is not started again",
        _CONSUME,
        """        channel.on_consumer_cancel_callbacks.add(
            lambda _: link.fail(f"the broker cancelled the consumer of {self._queue}")
        )
""",
        "",
        "tests/broker/test_consume.py::test_a_deleted_queue_comes_back_with_its_consumer",
    ),
    bug(
        "a channel that was closed is not missed",
        "consumer/broker/connection.py",
        """            channel.closing.add_done_callback(
                lambda _: self.fail(f"{lost} {describe(channel.reason)}")
            )
""",
        "            pass\n",
        "tests/broker/test_consume.py::test_a_channel_closed_by_the_broker_is_opened_again",
    ),
    several(
        "what an old channel delivered is acknowledged on the new one",
        (
            Change(
                _CONSUME,
                "            self.channel.ack(_tag(held))\n",
                "            _NEWEST[-1].ack(_tag(held))\n",
            ),
            Change(
                _CONSUME,
                "        session = _Session(channel)\n",
                "        session = _Session(channel)\n        _NEWEST.append(channel)\n",
            ),
            Change(
                _CONSUME,
                "Handle = Callable[[Inbound], Awaitable[None]]\n",
                "Handle = Callable[[Inbound], Awaitable[None]]\n"
                "_NEWEST: list[ConsumingChannel] = []\n",
            ),
        ),
        "tests/broker/test_consume.py::test_nothing_is_acknowledged_before_its_handler_returned",
    ),
    bug(
        "a failure is nacked, which a later RabbitMQ does not count",
        _CONSUMING,
        "await self.basic_reject(tag, requeue=requeue)",
        "await self.basic_nack(tag, requeue=requeue)",
        "tests/broker/test_wire.py::"
        "test_a_failure_is_rejected_and_what_was_not_tried_is_given_back",
    ),
    bug(
        "poison is tried until the broker's limit",
        _CONSUME,
        "or message.deliveries + 1 >= self._attempts",
        "or False",
        "tests/broker/test_parking.py::"
        "test_poison_is_parked_after_its_attempts_and_the_rest_flows_on",
    ),
    several(
        "a dead letter is acknowledged before its copy is confirmed",
        (
            Change(
                _CONSUME,
                "            await _insist(session, lambda: self._parking.park(held, failure))\n",
                "            session.ack(held)\n"
                "            await _insist(session, lambda: self._parking.park(held, failure))\n",
            ),
            Change(
                _CONSUME,
                "        else:\n            session.ack(held)\n"
                '        observe.say("delivery.parked"',
                '        observe.say("delivery.parked"',
            ),
        ),
        "tests/broker/test_parking.py::test_stop_gives_back_what_could_not_be_parked",
    ),
    bug(
        "a dead letter that no queue took is thought to be parked",
        "consumer/broker/parking.py",
        "if not isinstance(result, Basic.Ack):",
        "if False:",
        "tests/broker/test_parking.py::test_what_cannot_be_parked_now_is_kept_until_it_can",
    ),
    bug(
        "what pamqp reads and does not write is held for ever",
        "consumer/broker/translate.py",
        "    except Exception as error:\n",
        "    except ZeroDivisionError as error:\n",
        "tests/broker/test_translate.py::test_what_cannot_be_written_again_is_told_so",
    ),
    bug(
        "headers that leave no room for a reason are tried for ever",
        "consumer/broker/translate.py",
        "if size > frame_max - AROUND:",
        "if False:",
        "tests/broker/test_parking.py::"
        "test_headers_without_room_for_a_reason_are_left_to_the_broker",
        "tests/broker/test_translate.py::"
        "test_properties_that_no_frame_holds_are_told_before_the_broker_sees_them",
    ),
    bug(
        "a delivery with which something of ours went wrong is held for ever",
        _CONSUME,
        "                await _late(session.reject(held, requeue=True))\n",
        "                pass\n",
        "tests/broker/test_parking.py::test_a_fault_of_our_own_leaves_no_delivery_in_hand",
    ),
    bug(
        "dead letters are published over the connection that acknowledges",
        _CONSUME,
        "        session = _Session(channel)\n",
        "        session = _Session(channel)\n"
        "        self._parking._link = link\n"
        '        self._parking._channel = await link.channel("parking")\n',
        "tests/broker/test_blocked.py::"
        "test_under_an_alarm_deliveries_are_settled_and_publishing_waits",
    ),
    bug(
        "a broker under an alarm is waited for without a word",
        "consumer/broker/connection.py",
        "    transport.on_blocked = link.block\n",
        "",
        "tests/broker/test_blocked.py::"
        "test_under_an_alarm_deliveries_are_settled_and_publishing_waits",
    ),
    bug(
        "a stop does not wait for what is in hand",
        _CONSUME,
        """            await channel.basic_cancel(tag, timeout=TIMEOUT)
        await self._empty_hands()
""",
        """            await channel.basic_cancel(tag, timeout=TIMEOUT)
""",
        "tests/broker/test_consume.py::test_stop_lets_what_is_in_hand_end_and_acknowledges_it",
    ),
    bug(
        "one message with bad properties takes the connection down",
        "consumer/broker/transport.py",
        "if self._kind == _HEADER:",
        "if False:",
        "tests/broker/test_transport.py::"
        "test_unreadable_properties_are_parked_and_the_rest_flows_on",
    ),
    bug(
        "a header that a sender repeats goes before the broker's own",
        "consumer/broker/transport.py",
        "return len(_fields(data)) == len(names)",
        "return True",
        "tests/broker/test_stream.py::test_an_offset_that_a_sender_made_up_is_not_believed",
        "tests/broker/test_transport.py::"
        "test_unreadable_properties_are_parked_and_the_rest_flows_on",
    ),
    bug(
        "ten writes may wait, and no more of them when their connection ends",
        "consumer/broker/transport.py",
        "    FRAME_BUFFER_SIZE = 0\n",
        "    FRAME_BUFFER_SIZE = 10\n",
        "tests/broker/test_outlet.py::test_nobody_who_goes_on_sending_while_a_connection_ends_hangs",
    ),
    bug(
        "a connection that ends without an error ends the program",
        "consumer/broker/connection.py",
        "        if type(error) is not Exception:\n",
        "        if error:\n",
        "tests/broker/test_connection.py::test_what_aiormq_raises_without_a_name_is_unavailable",
    ),
    bug(
        "the prefetch is global, which a later RabbitMQ refuses",
        _CONSUMING,
        "await self.basic_qos(prefetch_count=prefetch)",
        "await self.basic_qos(prefetch_count=prefetch, global_=True)",
        "tests/broker/test_wire.py::"
        "test_no_queue_is_transient_and_shared_and_no_prefetch_is_global",
    ),
    bug(
        "a listener's queue is transient and shared, which a later RabbitMQ refuses",
        "consumer/broker/ask.py",
        "await channel.queue_declare(exclusive=True, timeout=TIMEOUT)",
        "await channel.queue_declare(auto_delete=True, timeout=TIMEOUT)",
        "tests/broker/test_wire.py::"
        "test_no_queue_is_transient_and_shared_and_no_prefetch_is_global",
    ),
    bug(
        "a full queue drops its oldest, and dead letters only at most once",
        "schemas/topology.py",
        '        "x-overflow": "reject-publish",\n',
        "",
        "tests/broker/test_topology.py::test_work_queues_are_quorum_queues_that_lose_nothing",
        "tests/contract/test_topology.py::test_the_topology_is_the_contracts",
    ),
)


PUBLISHING = (
    bug(
        "an outbox row is deleted before its message is confirmed",
        "consumer/relay/backlog.py",
        "            self._start(taken)\n",
        "            await confirm_outbox(self._connection, [one.seq for one in taken], None, [])\n"
        "            self._start(taken)\n",
        "tests/contract/test_relay.py::"
        "test_what_was_not_confirmed_is_sent_again_and_what_was_need_not_be",
        "tests/contract/test_relay.py::test_a_broker_that_is_away_loses_nothing",
    ),
    bug(
        "what was decided leaves in any order",
        "consumer/store/sql/outbox.sql",
        "order by o.seq, t.workspace_id\nlimit $1;",
        "limit $1;",
        "tests/store/test_outbox.py::test_messages_leave_in_the_order_in_which_they_were_put",
    ),
    bug(
        "two relays work at a time",
        "consumer/store/sql/outbox.sql",
        "select pg_try_advisory_lock(4909, 1) as mine;",
        "select true as mine;",
        "tests/store/test_outbox.py::test_one_relay_at_a_time",
    ),
    bug(
        "a relay that lost its broker ends",
        _RELAY,
        "                await asyncio.wait([stopping], timeout=pause)\n",
        "                return\n",
        "tests/contract/test_relay.py::test_a_broker_that_is_away_loses_nothing",
    ),
    bug(
        "what a relay left that died waits for the next command",
        _RELAY,
        "self._sweep if emptied else pause",
        "self._sweep",
        "tests/contract/test_relay.py::"
        "test_who_finds_another_at_it_looks_again_without_being_woken",
    ),
    bug(
        "a nack is taken for a confirm",
        "consumer/broker/confirming.py",
        'receipt: Receipt = "confirmed" if isinstance(frame, Basic.Ack) else "failed"',
        'receipt: Receipt = "confirmed"',
        "tests/broker/test_outlet.py::test_what_the_broker_refuses_has_failed_and_says_why",
    ),
    bug(
        "what no queue took is thought to be confirmed",
        "consumer/broker/confirming.py",
        'returned = receipt == "confirmed" and place in self._returned',
        "returned = False",
        "tests/broker/test_publish.py::test_confirmed_and_returned_are_told_apart",
        "tests/broker/test_publish.py::"
        "test_an_event_and_its_reply_with_one_id_get_each_their_own_receipt",
    ),
    bug(
        "a letter that no queue took is thought to have been sent back",
        "consumer/broker/dead.py",
        "if not isinstance(result, Basic.Ack):",
        "if False:",
        "tests/cli/test_dead_letters.py::test_a_letter_that_no_queue_takes_any_more_stays",
    ),
    bug(
        "two messages of one id are in flight together",
        "consumer/broker/outlet.py",
        "if message.message_id in wave or len(wave) == IN_FLIGHT:",
        "if len(wave) == IN_FLIGHT:",
        "tests/broker/test_outlet.py::test_waves_keep_the_order_and_hold_no_id_twice",
        "tests/broker/test_outlet.py::test_one_id_twice_gets_each_its_own_receipt",
    ),
    bug(
        "batches with one id are in flight together",
        "consumer/broker/outlet.py",
        "        while busy := {self._flying[one] for one in ids if one in self._flying}:\n"
        "            await asyncio.wait(busy)\n",
        "",
        "tests/broker/test_outlet.py::test_one_id_in_two_batches_at_once_gets_each_its_own_receipt",
    ),
    bug(
        "a confirm that does not come is waited for without end",
        "consumer/broker/outlet.py",
        "await asyncio.wait([run.done], timeout=CONFIRM)",
        "await asyncio.wait([run.done])",
        "tests/broker/test_outlet.py::test_a_broker_that_does_not_confirm_is_given_up",
    ),
    bug(
        "an answer by direct reply-to is mandatory, and thought to be undelivered",
        "consumer/relay/compose.py",
        "mandatory=not is_direct(taken.reply_to),",
        "mandatory=True,",
        "tests/contract/test_events.py::test_direct_reply_to_is_answered",
    ),
)
