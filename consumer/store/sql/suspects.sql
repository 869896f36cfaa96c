-- name: suspects_begun :many
-- How often each of the messages $1 was begun and not lived through. Locks nothing: a message is in
-- hand in one place.
select coalesce(s.begun, 0) as begun
from unnest($1::bytea[]) with ordinality as a (key, place) left join lifecycle.suspect s using (key)
order by a.place;

-- name: begin_suspects :exec
-- Note that the messages $1 are begun once more. What is not asked for any more is forgotten on the
-- way: messages that were purged, or dead-lettered by the broker. Locks rows in the order of keys.
with past as (
    delete from lifecycle.suspect
    where begun_at < now() - interval '7 days' and key <> all($1::bytea[])
)
insert into lifecycle.suspect (key) select distinct key from unnest($1::bytea[]) key order by key
on conflict (key) do update set begun = suspect.begun + 1, begun_at = now();

-- name: clear_suspects :exec
-- Forget the messages $1. Locks their rows.
delete from lifecycle.suspect where key = any($1::bytea[]);
