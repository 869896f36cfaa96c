-- name: recent_operations :many
-- The ids of the newest operations, at most $1. Locks nothing.
select operation_id from lifecycle.operation
order by recorded_at desc, operation_id desc limit $1;

-- name: workspace_operations :many
-- The ids of the newest operations that named the workspace $2 or had it as a target, at most $1
-- of either kind. Locks nothing: materialized, because for a workspace that was seldom named the
-- walk down an index on recorded_at is longer than reading the table (2 s in a million).
with named as materialized (
    select operation_id, recorded_at from lifecycle.operation where workspace_id = $2
)
(select operation_id from named order by recorded_at desc limit $1)
union
(select operation_id from lifecycle.target where workspace_id = $2
 order by generation desc limit $1);

-- name: open_operations :many
-- The ids of the newest operations not settled, at most $1; where $2 is not null only those that
-- named that workspace or have it as a target. Locks nothing: they are few, and materialized so
-- that operation_open finds them however many are settled.
with open as materialized (
    select operation_id, workspace_id, recorded_at from lifecycle.operation
    where settled_at is null
)
select operation_id from open
where $2::uuid is null or workspace_id = $2 or exists (
    select from lifecycle.target t
    where t.operation_id = open.operation_id and t.workspace_id = $2)
order by recorded_at desc, operation_id desc limit $1;

-- name: entries :many
-- What is known of the operations $1, newest first, at most $2; the named workspace's name as it is
-- now, or as it was then where the workspace is gone. Locks nothing.
select o.operation_id, o.action, o.workspace_id, coalesce(w.name, t.name) as name,
       o.source, o.app_id, o.message_id, o.correlation_id, o.cascade, o.undo, o.requested_by,
       o.reason, o.outcome, o.status, o.code, o.deprecated, o.target_count, o.succeeded_count,
       o.failed_count, o.superseded_count, o.timed_out_count, o.open_count, o.recorded_at,
       o.deadline, o.settled_at
from lifecycle.operation o
left join workspaces w on w.id = o.workspace_id
left join lifecycle.target t on t.operation_id = o.operation_id and t.workspace_id = o.workspace_id
where o.operation_id = any($1::uuid[])
order by o.recorded_at desc, o.operation_id desc limit $2;

-- name: entry_targets :many
-- The targets of the operation $1, in the contract's order, at most $3 where it is not null; unless
-- $2 only those that failed, timed out or have no outcome yet. Locks nothing.
select workspace_id, name, instance_id, generation, previous_status, commanded, outcome, code,
       detail, settled_at
from lifecycle.target
where operation_id = $1
  and ($2::boolean or outcome is null or outcome in ('failed', 'timed_out'))
order by depth, name collate "C", workspace_id limit $3;

-- name: rejections :many
-- Who was refused and the answer each got, newest first, at most $1 of those among the newest
-- 1,000 operations: where little is rejected the whole history should not be read. Locks nothing.
select app_id, answer from (
    select operation_id, app_id, outcome, answer, recorded_at from lifecycle.operation
    order by recorded_at desc limit 1000
) o
where outcome = 'rejected'
order by recorded_at desc, operation_id desc limit $1;
