-- name: pause_targets :many
-- Pause all that is not paused of each tree $1, for the operation $2: lock the workspaces in the
-- order of their ids, write a target for each, change them, and tell each set as it was found under
-- the locks. Tells an overlap where one stands in two of the trees: then nothing of it is right.
with asked as (
    select * from unnest($1::uuid[], $2::uuid[]) with ordinality as a (root, operation_id, place)
), made as materialized (
    select *, nextval('lifecycle.generation') as generation from asked order by place
), locked as materialized (
    select w.id, m.operation_id, m.generation, s.depth, w.name, w.status::text as status, w.url,
           w.instance_id, w.runtime
    from made m, lifecycle.subtree(m.root) s join workspaces w on w.id = s.id
    where w.status::text not in ('paused', 'removed')
    order by w.id for no key update of w
), written as (
    insert into lifecycle.target
    select operation_id, id, generation, depth, name, instance_id, runtime, status, url, true
    from locked
), changed as (
    update workspaces w set status = 'paused', url = '', updated_at = now()
    from locked l where w.id = l.id
), ranked as (
    select l.*, row_number() over w as rank from locked l
    window w as (partition by operation_id order by depth, name collate "C", id)
), told as (
    select operation_id, count(*) as count, lifecycle.etag(array_agg(id)) as tree_etag,
           '[' || string_agg(row_to_json((select l from (
               select r.id as workspace_id, r.name, r.status as previous_status) l))::text, ','
               order by rank) filter (where rank <= $3) || ']' as changed
    from ranked r group by operation_id
)
select m.generation, coalesce(t.count, 0) as count, coalesce(t.count, 0) as target_count,
       coalesce(t.tree_etag, lifecycle.etag('{}')) as tree_etag,
       coalesce(t.changed, '[]') as changed,
       (select count(*) > count(distinct id) from locked) as overlap
from made m left join told t using (operation_id) order by m.place;

-- name: resume_targets :many
-- Resume all that is paused of each tree $1, for the operation $2: as pause_targets, the other way.
with asked as (
    select * from unnest($1::uuid[], $2::uuid[]) with ordinality as a (root, operation_id, place)
), made as materialized (
    select *, nextval('lifecycle.generation') as generation from asked order by place
), locked as materialized (
    select w.id, m.operation_id, m.generation, s.depth, w.name, w.status::text as status, w.url,
           w.instance_id, w.runtime
    from made m, lifecycle.subtree(m.root) s join workspaces w on w.id = s.id
    where w.status::text = 'paused'
    order by w.id for no key update of w
), written as (
    insert into lifecycle.target
    select operation_id, id, generation, depth, name, instance_id, runtime, status, url, true
    from locked
), changed as (
    update workspaces w set status = 'provisioning', updated_at = now()
    from locked l where w.id = l.id
), ranked as (
    select l.*, row_number() over w as rank from locked l
    window w as (partition by operation_id order by depth, name collate "C", id)
), told as (
    select operation_id, count(*) as count, lifecycle.etag(array_agg(id)) as tree_etag,
           '[' || string_agg(row_to_json((select l from (
               select r.id as workspace_id, r.name, r.status as previous_status) l))::text, ','
               order by rank) filter (where rank <= $3) || ']' as changed
    from ranked r group by operation_id
)
select m.generation, coalesce(t.count, 0) as count, coalesce(t.count, 0) as target_count,
       coalesce(t.tree_etag, lifecycle.etag('{}')) as tree_etag,
       coalesce(t.changed, '[]') as changed,
       (select count(*) > count(distinct id) from locked) as overlap
from made m left join told t using (operation_id) order by m.place;

-- name: undo_targets :one
-- Put the pause $4 of $1 back: what ran before is started, what did not is only set back to what
-- it was and counts as done. Locks the workspaces in the order of their ids.
with made as materialized (
    select nextval('lifecycle.generation') as generation
), locked as materialized (
    select w.id, s.depth, w.name, w.status::text as status, w.url, w.instance_id, w.runtime,
           t.previous_status as earlier_status, t.previous_url as earlier_url,
           t.previous_status in ('provisioning', 'online', 'degraded') as ran
    from lifecycle.subtree($1) s
    join workspaces w on w.id = s.id
    join lifecycle.target t on t.operation_id = $4 and t.workspace_id = s.id
    where w.status::text = 'paused'
      and not exists (select from lifecycle.target n
                      where n.workspace_id = s.id and n.generation > t.generation)
    order by w.id for no key update of w
), written as (
    insert into lifecycle.target
    select $2, l.id, m.generation, l.depth, l.name, l.instance_id, l.runtime, l.status, l.url,
           l.ran, case when not l.ran then 'succeeded' end, null,
           case when not l.ran then 'set back to ' || l.earlier_status end,
           case when not l.ran then now() end
    from locked l, made m
), changed as (
    -- jsonb_populate_record gives the status column's own type, be it TEXT or an enum.
    update workspaces w set
        status = (jsonb_populate_record(null::workspaces, jsonb_build_object(
            'status', case when l.ran then 'provisioning' else l.earlier_status end))).status,
        url = case when l.ran or w.url <> '' then w.url else l.earlier_url end,
        updated_at = now()
    from locked l where w.id = l.id
), listed as (
    select id as workspace_id, name, status as previous_status from locked
    order by depth, name collate "C", id limit $3
)
select generation, (select count(*) from locked) as count,
       (select count(*) from locked where ran) as target_count,
       lifecycle.etag(array(select id from locked)) as tree_etag,
       coalesce((select json_agg(l) from listed l), '[]')::text as changed, false as overlap
from made;

-- name: standings :many
-- How each order stands, of operation $1, workspace $2, generation $3, action $4, instance $5,
-- runtime $6 and deadline $7: unknown where it was not decided so in every part, overtaken where a
-- later command has touched its workspace, else newest; and in how many seconds its deadline passes.
-- Locks nothing.
select case when o.operation_id is null then 'unknown'
            when exists (select from lifecycle.target n
                         where n.workspace_id = a.workspace_id and n.generation > a.generation)
            then 'overtaken' else 'newest' end as kind,
       extract(epoch from a.deadline - clock_timestamp())::float8 as left
from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[],
            $7::timestamptz[]) with ordinality
     as a (operation_id, workspace_id, generation, action, instance_id, runtime, deadline, place)
left join lifecycle.target t
    on t.operation_id = a.operation_id and t.workspace_id = a.workspace_id
   and t.generation = a.generation and t.commanded
   and t.instance_id is not distinct from a.instance_id
   and t.runtime is not distinct from a.runtime
left join lifecycle.operation o
    on o.operation_id = t.operation_id and o.action = a.action and o.deadline = a.deadline
order by a.place;

-- name: newest :many
-- Of each workspace in $1, whether no later command than its generation in $2 has touched it.
-- Locks nothing.
select not exists (
    select from lifecycle.target t
    where t.workspace_id = a.workspace_id and t.generation > a.generation
) as newest
from unnest($1::uuid[], $2::bigint[]) with ordinality as a (workspace_id, generation, place)
order by a.place;

-- name: hold_workspaces :exec
-- Advisory locks on workspaces until the transaction ends, in the order of their ids: only one
-- process asks EC2 about a workspace at a time. No command waits for these.
select pg_advisory_xact_lock(uuid_hash_extended(a.id, 4910))
from (select distinct id from unnest($1::uuid[]) id order by id offset 0) a;

-- name: lock_failed :exec
-- Keep commands off workspaces about to be given back, before settle_targets looks whether a newer
-- one has touched them. Locks the workspaces in the order of their ids.
select from workspaces where id = any($1::uuid[]) order by id for no key update;

-- name: settle_targets :many
-- Take results in: each target gets its first outcome, be it of its own action, a failed one gives its workspace back what
-- it was where nothing newer has touched it, and each operation whose last target this was is
-- settled. A target that had timed out is corrected the same way, though its operation is over.
-- Tells each operation that something was news for, and once a second whether those that watch a
-- large one are to be told. Locks operations and targets, each in the order of their ids; what
-- failed is locked by then.
with said as (
    select distinct on (operation_id, workspace_id, generation, action) *
    from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[],
                $7::text[], $8::text[]) with ordinality
        as r (operation_id, workspace_id, generation, action, outcome, code, detail, message_id,
              place)
    order by operation_id, workspace_id, generation, action, place
), mine as materialized (
    select o.operation_id, o.action from lifecycle.operation o
    where (o.operation_id, o.action) in (
        select t.operation_id, said.action
        from said join lifecycle.target t using (operation_id, workspace_id, generation)
        where t.outcome is null or t.outcome = 'timed_out'
    )
    order by o.operation_id for no key update
), open as materialized (
    select t.operation_id, t.workspace_id, s.outcome, s.code, s.detail, s.message_id, s.place,
           t.outcome is not null as late
    from mine join lifecycle.target t using (operation_id)
    join said s using (operation_id, workspace_id, generation, action)
    where t.outcome is null or t.outcome = 'timed_out'
    order by t.operation_id, t.workspace_id for no key update of t
), settled as (
    update lifecycle.target t
    set outcome = o.outcome, code = o.code, detail = o.detail, settled_at = now()
    from open o where t.operation_id = o.operation_id and t.workspace_id = o.workspace_id
    returning t.*, o.late, o.message_id, o.place
), failed as materialized (
    select w.id, m.operation_id, m.action, s.previous_status, s.previous_url
    from settled s join mine m using (operation_id) join workspaces w on w.id = s.workspace_id
    where s.outcome = 'failed'
      and w.status::text = case m.action when 'pause' then 'paused' else 'provisioning' end
      and not exists (select from lifecycle.target n
                      where n.workspace_id = s.workspace_id and n.generation > s.generation)
    order by w.id for no key update of w
), compensated as (
    update workspaces w set
        status = (jsonb_populate_record(null::workspaces,
                  jsonb_build_object('status', f.previous_status))).status,
        url = case when f.action = 'pause' and w.url = '' then f.previous_url else w.url end,
        updated_at = now()
    from failed f where w.id = f.id
    returning w.id as workspace_id, f.operation_id, f.previous_status
), counts as (
    select operation_id, count(*) as n, count(*) filter (where late) as late,
           count(*) filter (where outcome = 'succeeded') as succeeded,
           count(*) filter (where outcome = 'failed') as failed,
           count(*) filter (where outcome = 'superseded') as superseded,
           (array_agg(message_id order by place desc))[1] as last_result
    from settled group by operation_id
), corrections as (
    select s.operation_id, json_agg(json_build_object(
               'workspace_id', s.workspace_id, 'name', s.name, 'outcome', s.outcome,
               'code', s.code, 'detail', left(s.detail, 300), 'restored_status', c.previous_status
           ) order by s.depth, s.name collate "C", s.workspace_id)::text as list
    from settled s left join compensated c using (operation_id, workspace_id)
    where s.late group by s.operation_id
)
update lifecycle.operation o set
    open_count = o.open_count - c.n + c.late,
    timed_out_count = o.timed_out_count - c.late,
    succeeded_count = o.succeeded_count + c.succeeded,
    failed_count = o.failed_count + c.failed,
    superseded_count = o.superseded_count + c.superseded,
    settled_at = case when c.late = 0 and o.open_count = c.n then now() else o.settled_at end,
    progress_at = case
        when o.target_count > 100 and c.late = 0 and o.open_count > c.n
             and coalesce(o.progress_at <= now() - interval '1 second', true)
        then now() else o.progress_at end
from counts c left join corrections d using (operation_id)
where o.operation_id = c.operation_id
returning o.operation_id, o.action,
          extract(epoch from now() - o.recorded_at)::double precision as seconds,
          c.n as outcome_count, o.open_count,
          c.late = 0 and o.settled_at is not null as settled,
          c.late = 0 and o.progress_at is not distinct from now() as progressed,
          c.last_result, d.list as corrections, (select count(*) from compensated m
           where m.operation_id = o.operation_id) as compensated_count;

-- name: expire_targets :many
-- Give every target of operations past their deadline the outcome timed_out, and settle those
-- operations. What really became of them is unknown, so no workspace is touched.
with due as materialized (
    select operation_id from lifecycle.operation
    where settled_at is null and deadline <= now()
    order by operation_id for no key update
), expired as (
    update lifecycle.target t set outcome = 'timed_out', settled_at = now()
    from due where t.operation_id = due.operation_id and t.outcome is null
    returning t.operation_id
), counts as (
    select due.operation_id, count(e.operation_id) as n
    from due left join expired e using (operation_id) group by due.operation_id
)
update lifecycle.operation o
set open_count = 0, timed_out_count = o.timed_out_count + c.n, settled_at = now()
from counts c where o.operation_id = c.operation_id and o.settled_at is null
returning o.operation_id, o.action,
          extract(epoch from now() - o.recorded_at)::double precision as seconds,
          c.n as outcome_count, o.open_count, true as settled,
          false as progressed, null::text as last_result, null::text as corrections, 0::bigint as compensated_count;

-- name: failures :many
-- The failed targets of an operation, in the contract's order, at most $2, their details cut: ten
-- thousand have to fit into one message. Locks nothing.
select workspace_id, name, code, left(detail, 300) as detail from lifecycle.target
where operation_id = $1 and outcome = 'failed'
order by depth, name collate "C", workspace_id limit $2;
