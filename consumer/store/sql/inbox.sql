-- name: claim :many
-- Remember commands by sender $1 and key $2 with the digest $3 for the operation $4, unless they are
-- known already; tell of each whether it was not. No two here are alike. Waits for a transaction that
-- is remembering one of them, in the order of senders and keys.
with asked as (
    select * from unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[]) with ordinality
        as a (source, key, digest, operation_id, place)
), claimed as (
    insert into lifecycle.inbox (source, key, digest, operation_id)
    select source, key, digest, operation_id from asked order by source, key
    on conflict do nothing returning operation_id
)
select a.operation_id in (select operation_id from claimed) as fresh, now() as at
from asked a order by a.place;

-- name: unclaim :exec
-- Forget commands by sender $1 and key $2 that this transaction claimed, and leaves to another one.
delete from lifecycle.inbox i using unnest($1::text[], $2::text[]) as a (source, key)
where i.source = a.source and i.key = a.key;

-- name: stored_answers :many
-- What was answered to the commands with the senders $1 and keys $2, all seen before. Locks nothing.
select i.digest, o.operation_id, o.answer_type
from unnest($1::text[], $2::text[]) with ordinality as a (source, key, place)
join lifecycle.inbox i on i.source = a.source and i.key = a.key
join lifecycle.operation o using (operation_id)
order by a.place;
