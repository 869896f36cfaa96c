-- name: pruned_before :one
-- The time before which everything recorded was pruned. Locks nothing.
select recorded_before from lifecycle.pruning;

-- name: prunable :one
-- The time before which everything recorded may go when $1 is kept: no later than the oldest
-- operation that was open until then, and than the oldest message that has not left. No row where
-- nothing is older. Locks nothing.
with late as (
    select least(
        now() - $1::interval,
        (select min(recorded_at) from lifecycle.operation
         where settled_at is null or settled_at > now() - $1::interval),
        (select min(o.recorded_at) from lifecycle.outbox b
         join lifecycle.operation o using (operation_id)),
        (select min(created_at) from lifecycle.outbox)
    ) as before
)
select before from late
where exists (select from lifecycle.operation where recorded_at < before);

-- name: begin_pruning :exec
-- Note that what was recorded before $1 may be gone. Locks the one row that says so.
insert into lifecycle.pruning (recorded_before) values ($1)
on conflict ((true)) do update
set recorded_before = greatest(lifecycle.pruning.recorded_before, excluded.recorded_before);

-- name: prune :one
-- Forget at most $2 operations recorded before $1 with their targets and ids, the oldest first; tell
-- how many. Locks what it deletes, operations in the order of their ids.
with old as materialized (
    select operation_id, recorded_at from (
        select operation_id, recorded_at from lifecycle.operation where recorded_at < $1
        order by recorded_at limit $2
    ) o order by operation_id
), forgotten as (
    delete from lifecycle.target where operation_id in (select operation_id from old)
), unknown as (
    -- An id is remembered in the transaction of its operation, so that both have the same time.
    delete from lifecycle.inbox
    where recorded_at between (select min(recorded_at) from old) and (select max(recorded_at) from old)
      and operation_id in (select operation_id from old)
), gone as (
    delete from lifecycle.operation where operation_id in (select operation_id from old)
    returning 1
)
select count(*) as count from gone;
