-- name: claim :one
-- Remember a command by its sender and id, unless it is known already. Waits for a transaction
-- that is remembering the same one.
with claimed as (
    insert into lifecycle.inbox (source, key, digest, operation_id) values ($1, $2, $3, $4)
    on conflict do nothing returning operation_id
)
select exists (select from claimed) as fresh, now() as at;

-- name: stored_answer :one
-- What was answered to a command that was seen before. Locks nothing.
select i.digest, o.operation_id, o.answer_type
from lifecycle.inbox i join lifecycle.operation o using (operation_id)
where i.source = $1 and i.key = $2;
