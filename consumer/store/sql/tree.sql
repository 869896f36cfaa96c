-- name: lineage :many
-- For each of these workspaces, itself and all above it. Locks nothing.
select leaf.id as workspace_id, array_agg(a.id) as path
from unnest($1::uuid[]) as leaf (id), lifecycle.ancestry(leaf.id) a
group by leaf.id;

-- name: lock_tree :exec
-- Advisory locks, from the top down: shared on every ancestor, exclusive on the named workspace.
-- Two commands wait for each other exactly where one names an ancestor of the other, or the same.
-- Below 64 levels the topmost one is locked exclusively instead: locks in memory stay few.
select case when a.height = 0 or (a.depth > 64 and a.place = 1)
            then pg_advisory_xact_lock(uuid_hash_extended(a.id, 4909))
            when a.place <= 64
            then pg_advisory_xact_lock_shared(uuid_hash_extended(a.id, 4909))
       end
from (
    select id, height, count(*) over () as depth, row_number() over (order by height desc) as place
    from lifecycle.ancestry($1)
    order by height desc
    offset 0
) a;

-- name: try_lock_trees :many
-- The same locks for many named workspaces, none of which is above another, without waiting: tells
-- of each whether all were to be had. What was got of others is kept until the transaction ends.
select coalesce(bool_and(
           case when l.height = 0 or (l.depth > 64 and l.place = 1)
                then pg_try_advisory_xact_lock(uuid_hash_extended(l.id, 4909))
                when l.place <= 64
                then pg_try_advisory_xact_lock_shared(uuid_hash_extended(l.id, 4909))
           end), true) as locked
from unnest($1::uuid[]) with ordinality as asked (root, place)
left join lateral (
    select id, height, count(*) over () as depth, row_number() over (order by height desc) as place
    from lifecycle.ancestry(asked.root)
) l on true
group by asked.place
order by asked.place;

-- name: plan_cascades :many
-- What pauses or resumes ($2) of the workspaces $1 would meet, each by itself: the set that would
-- change as count, etag and the first $3 in order, the nearest paused ancestor, a cycle. A tree of
-- $4 workspaces or more is not looked at further, and too large. Nulls where there is none. Locks
-- nothing.
select p.*
from unnest($1::uuid[], $2::text[], $3::integer[]) with ordinality
    as asked (root, action, listed, place)
left join lateral (
    with below as materialized (
        select s.*, case asked.action when 'pause' then s.status not in ('paused', 'removed')
                                      else s.status = 'paused' end as changes
        from lifecycle.subtree(asked.root) s limit $4
    ), listed as (
        select id as workspace_id, name, status, parent_id, depth, active_tasks
        from below where changes and depth > 0
        order by depth, name collate "C", id limit asked.listed
    ), above as (
        select * from lifecycle.ancestry(asked.root)
    ), ancestor as (
        -- On a cycle everything above is below as well, and none of it stands over the named one.
        select id as workspace_id, name, status from above
        where status = 'paused' and height > 0
          and not exists (select from above where parent_id = asked.root)
        order by height limit 1
    )
    select named.name, named.status, named.changes as named_changes,
           (select count(*) from below where changes and depth > 0) as descendant_count,
           lifecycle.etag(array(select id from below where changes)) as tree_etag,
           coalesce((select json_agg(l) from listed l), '[]')::text as descendants,
           (select row_to_json(a) from ancestor a)::text as paused_ancestor,
           (select id from above where parent_id = mark limit 1) as cycle_at,
           coalesce((select count(*) from below) >= $4, false) as too_large
    from below named where depth = 0 and status <> 'removed'
) p on true
order by asked.place;

-- name: plan_undo :one
-- What undoing the pause $2 of $1 would meet: the set is what that pause changed, is still below
-- the named workspace, and is still as that pause left it. Locks nothing.
with paused as (
    select t.workspace_id, t.name, t.generation
    from lifecycle.target t join lifecycle.operation o using (operation_id)
    where t.operation_id = $2 and o.workspace_id = $1 and o.action = 'pause'
), below as (
    select * from lifecycle.subtree($1)
), found as (
    select p.workspace_id, p.name, w.status::text as status, w.parent_id, b.depth, w.active_tasks,
           case when w.id is null then 'it no longer exists'
                when exists (select from lifecycle.target n where n.workspace_id = p.workspace_id
                             and n.generation > p.generation)
                then 'a later command changed it'
                when w.status::text <> 'paused' then 'it is no longer paused'
                when b.id is null then 'it is no longer below the named workspace'
           end as reason
    from paused p
    left join workspaces w on w.id = p.workspace_id
    left join below b on b.id = p.workspace_id
), listed as (
    select workspace_id, name, status, parent_id, depth, active_tasks from found
    where reason is null and workspace_id <> $1
    order by depth, name collate "C", workspace_id limit $3
), left_alone as (
    select workspace_id, name, status, reason from found where reason is not null
    order by depth, name collate "C", workspace_id limit $3
), above as (
    select * from lifecycle.ancestry($1)
), ancestor as (
    select id as workspace_id, name, status from above
    where status = 'paused' and height > 0 and not exists (select from above where parent_id = $1)
    order by height limit 1
)
select named.name, named.status,
       exists (select from found where reason is null and workspace_id = $1) as named_changes,
       (select count(*) from found where reason is null and workspace_id <> $1) as descendant_count,
       lifecycle.etag(array(select workspace_id from found where reason is null)) as tree_etag,
       coalesce((select json_agg(l) from listed l), '[]')::text as descendants,
       (select row_to_json(a) from ancestor a)::text as paused_ancestor,
       (select id from above where parent_id = mark limit 1) as cycle_at,
       exists (select from lifecycle.operation o where o.operation_id = $2 and o.workspace_id = $1
               and o.action = 'pause' and o.outcome = 'carried') as undo_known,
       coalesce((select json_agg(l) from left_alone l), '[]')::text as not_restored
from below named where depth = 0 and status <> 'removed';
