-- name: put_outbox :exec
-- Put messages into the outbox, in this order. The transaction gets its number before they get theirs,
-- so that a horizon tells which may still become visible. Locks nothing that exists.
insert into lifecycle.outbox
    (operation_id, kind, type, reply_to, correlation_id, body, derived_from)
select m.operation_id, m.kind, m.type, m.reply_to, m.correlation_id, m.body, m.derived_from
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[])
    with ordinality as m (operation_id, kind, type, reply_to, correlation_id, body, derived_from,
                          place)
where pg_current_xact_id() is not null
order by m.place;

-- name: try_relay :one
-- Take the right to empty the outbox for this connection, where nobody else has it.
select pg_try_advisory_lock(4909, 1) as mine;

-- name: leave_relay :exec
-- Give that right back.
select pg_advisory_unlock(4909, 1);

-- name: take_outbox :many
-- The next messages in the order in which they were decided: at most $1, and about $2 bytes of
-- answers. A fan-out gives a row for each of its targets that is not confirmed yet, by workspace
-- id; where none is left it gives one row without a target. Leaves out what is under way: the rows
-- $3, and of the fan-out $4 all up to the workspace $5. Begins behind the row $6, so that it does not
-- read again what was deleted and cannot be cleaned up yet. Locks nothing: one relay at a time. What
-- has a body of its own was said later than its operation was recorded, and is dated so.
select o.seq, o.kind, o.type, o.operation_id, o.reply_to, o.correlation_id, o.attempts,
       case when o.kind <> 'fanout' then coalesce(o.body, p.answer) end as body,
       o.derived_from, p.deprecated,
       case when o.body is null then p.recorded_at else o.created_at end as recorded_at,
       p.traceparent, p.message_id as causation_id,
       coalesce(p.correlation_id, p.message_id) as origin_id,
       t.workspace_id, t.name, t.instance_id, t.runtime, t.previous_status, t.generation,
       p.deadline
from (
    select m.*, sum(case when m.kind <> 'fanout' then octet_length(coalesce(m.body, q.answer))
                    end) over (order by m.seq) as bytes, min(m.seq) over () as first
    from (select seq, operation_id, kind, type, reply_to, correlation_id, body, attempts,
                 created_at, derived_from, case when seq = $4 then $5 else progress end as progress
          from lifecycle.outbox where seq > $6 and seq <> all($3::bigint[])
          order by seq limit $1) m
    join lifecycle.operation q using (operation_id)
) o
join lifecycle.operation p using (operation_id)
left join lateral (
    select * from lifecycle.target t
    where o.kind = 'fanout' and t.operation_id = o.operation_id and t.commanded
      -- Said so that it is a range of the primary key: a late chunk reads no earlier target again.
      and t.workspace_id >= coalesce(o.progress, '00000000-0000-0000-0000-000000000000')
      and t.workspace_id is distinct from o.progress
    order by t.workspace_id limit $1
) t on true
where o.bytes is null or o.bytes <= $2 or o.seq = o.first
order by o.seq, t.workspace_id
limit $1;

-- name: take_replies :many
-- The newest replies: at most $1, and about $2 bytes of answers, without the rows $3, which are under
-- way, and behind the row $4. Columns as those of take_outbox. Locks nothing: one relay at a time.
select o.seq, o.kind, o.type, o.operation_id, o.reply_to, o.correlation_id, o.attempts,
       coalesce(o.body, p.answer) as body, o.derived_from, p.deprecated,
       case when o.body is null then p.recorded_at else o.created_at end as recorded_at,
       p.traceparent, p.message_id as causation_id,
       coalesce(p.correlation_id, p.message_id) as origin_id, null::uuid as workspace_id
from (
    select m.*, sum(octet_length(coalesce(m.body, q.answer))) over (order by m.seq desc) as bytes,
           max(m.seq) over () as first
    from (select seq, operation_id, kind, type, reply_to, correlation_id, body, attempts,
                 created_at, derived_from
          from lifecycle.outbox
          where kind = 'reply' and seq > $4 and seq <> all($3::bigint[])
          order by seq desc limit $1) m
    join lifecycle.operation q using (operation_id)
) o
join lifecycle.operation p using (operation_id)
where o.bytes <= $2 or o.seq = o.first
order by o.seq;

-- name: horizon :one
-- Which transactions may still be under way: all older than oldest have ended, none as new as next
-- had begun. Locks nothing.
select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as oldest,
       pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next;

-- name: confirm_outbox :exec
-- Forget what the broker has confirmed: $1 whole, $2 up to the workspace $3; count a failed
-- attempt on $4. A fan-out that failed midway is both: one statement changes a row only once.
with gone as (
    delete from lifecycle.outbox where seq = any($1::bigint[])
)
update lifecycle.outbox set
    progress = case when seq = $2 then $3 else progress end,
    attempts = attempts + (seq = any($4::bigint[]))::integer
where seq = $2 or seq = any($4::bigint[]);
