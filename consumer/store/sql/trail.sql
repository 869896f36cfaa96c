-- name: now :one
-- The database's time. Locks nothing.
select now() as now;

-- name: held_operations :many
-- At most $3 operations after the time $1 and the id $2, or the first where those are null, the
-- oldest first. Locks nothing.
select o.operation_id, o.outcome, o.answer_type, o.recorded_at, o.deadline, o.settled_at,
       exists (select from lifecycle.outbox b where b.operation_id = o.operation_id
               and b.kind <> 'reply') as pending,
       (select count(*) from lifecycle.target t
        where t.operation_id = o.operation_id and t.commanded) as ordered_count,
       o.target_count, o.succeeded_count, o.failed_count, o.superseded_count, o.timed_out_count
from lifecycle.operation o
where $1::timestamptz is null or (o.recorded_at, o.operation_id) > ($1, $2::uuid)
order by o.recorded_at, o.operation_id limit $3;

-- name: kept_workspaces :many
-- Of the workspaces $1 those that are there, with the newest operation that had them as a target.
-- Locks nothing.
select w.id as workspace_id, w.status::text as status, t.generation, t.outcome
from workspaces w
cross join lateral (
    select generation, outcome from lifecycle.target t
    where t.workspace_id = w.id order by t.generation desc limit 1
) t
where w.id = any($1::uuid[]) and w.status::text <> 'removed';

-- name: known_commands :many
-- Of the commands with the senders $1 and the keys $2 the operation of each, null where the inbox
-- does not know it. Locks nothing.
select i.operation_id
from unnest($1::text[], $2::text[]) with ordinality as a (source, key, place)
left join lifecycle.inbox i on i.source = a.source and i.key = a.key
order by a.place;

-- name: asking :one
-- What was asked in the operation $1, and its answer as it was sent. Locks nothing.
select operation_id, action, outcome, workspace_id, source, app_id, message_id, correlation_id,
       traceparent, cascade, undo, requested_by, reason, answer_type, answer, recorded_at,
       settled_at
from lifecycle.operation where operation_id = $1;

-- name: ordered_targets :many
-- At most $3 targets of the operation $1 that a command was sent for, after the workspace $2. Locks
-- nothing.
select t.operation_id, t.workspace_id, t.name, t.instance_id, t.runtime, t.previous_status,
       t.generation, o.deadline
from lifecycle.target t join lifecycle.operation o using (operation_id)
where t.operation_id = $1 and t.commanded
  and t.workspace_id > coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid)
order by t.workspace_id limit $3;
