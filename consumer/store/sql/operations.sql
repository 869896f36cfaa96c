-- name: record_operations :exec
-- Write commands' outcomes and answers, open where targets are. Locks nothing that exists.
insert into lifecycle.operation (
    operation_id, action, workspace_id, source, app_id, message_id, correlation_id, traceparent,
    cascade, undo, requested_by, reason, outcome, status, code, deprecated, generation,
    answer_type, answer, target_count, open_count, recorded_at, deadline, succeeded_count,
    settled_at
)
select o.*, o.target_count - o.open_count, case when o.open_count = 0 then o.recorded_at end
from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::text[], $9::boolean[], $10::uuid[], $11::text[], $12::text[], $13::text[],
            $14::smallint[], $15::text[], $16::boolean[], $17::bigint[], $18::text[],
            $19::bytea[], $20::integer[], $21::integer[], $22::timestamptz[], $23::timestamptz[])
    as o (operation_id, action, workspace_id, source, app_id, message_id, correlation_id,
          traceparent, cascade, undo, requested_by, reason, outcome, status, code, deprecated,
          generation, answer_type, answer, target_count, open_count, recorded_at, deadline);

-- name: standing :many
-- How each of the operations $1 stands. Locks nothing.
select operation_id, action, workspace_id, message_id, correlation_id, traceparent, cascade,
       requested_by, reason, target_count, open_count, succeeded_count, failed_count,
       superseded_count, timed_out_count, recorded_at, now() as at
from lifecycle.operation where operation_id = any($1::uuid[]);

-- name: next_deadline :one
-- In how many seconds the next open operation times out. Locks nothing.
select extract(epoch from min(deadline) - now())::float8 as seconds
from lifecycle.operation where settled_at is null;
