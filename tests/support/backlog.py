"""An outbox in which much waits, as after a long time without a broker."""

import asyncpg

LEFT = "select count(*) from lifecycle.outbox"
GONE = "amq.gen-gone"
_OPERATIONS = """
insert into lifecycle.operation (
    operation_id, action, workspace_id, source, app_id, message_id, outcome, status, code,
    deprecated, answer_type, answer, target_count, open_count, recorded_at, deadline, settled_at)
select md5('backlog' || i)::uuid, 'pause', gen_random_uuid(), 'tests', 'tests', 'm' || i,
       'rejected', 404, 'workspace_not_found', false, 'workspace.pause.rejected',
       convert_to(rpad('{"place": ' || i || '}', 600), 'utf8'), 0, 0, now(), now(), now()
from generate_series($1::integer, $2::integer) i
"""
_ROWS = """
insert into lifecycle.outbox (operation_id, kind, type, reply_to)
select md5('backlog' || i)::uuid, case when i % 10 = 0 then 'reply' else 'event' end,
       'workspace.pause.rejected', case when i % 10 = 0 then $3 end
from generate_series($1::integer, $2::integer) i order by i
"""


async def fill(
    connection: "asyncpg.Connection[asyncpg.Record]", count: int, first: int = 1
) -> None:
    """Put so many rows into the outbox: nine events, and then a reply to a caller who is gone."""
    last = first + count - 1
    await connection.execute(_OPERATIONS, first, last)
    await connection.execute(_ROWS, first, last, GONE)
    await connection.execute("analyze lifecycle.operation, lifecycle.outbox")
