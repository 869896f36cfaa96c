-- name: record_operation :exec
-- Write a command's outcome and its answer, open where targets are. Locks nothing that exists.
insert into lifecycle.operation (
    operation_id, action, workspace_id, source, app_id, message_id, correlation_id, traceparent,
    cascade, undo, requested_by, reason, outcome, status, code, deprecated, generation,
    answer_type, answer, target_count, open_count, succeeded_count, recorded_at, deadline,
    settled_at
)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
       $20::integer, $21::integer, $20::integer - $21::integer, $22::timestamptz, $23,
       case when $21::integer = 0 then $22::timestamptz end;

-- name: standing :one
-- How an operation stands. Locks nothing.
select operation_id, action, workspace_id, message_id, correlation_id, traceparent, cascade,
       requested_by, reason, target_count, open_count, succeeded_count, failed_count,
       superseded_count, timed_out_count, recorded_at, now() as at
from lifecycle.operation where operation_id = $1;

-- name: next_deadline :one
-- In how many seconds the next open operation times out. Locks nothing.
select extract(epoch from min(deadline) - now())::float8 as seconds
from lifecycle.operation where settled_at is null;
