-- name: suspect_begun :one
-- How often the message $1 was begun alone and not lived through; no row where it never was. Locks
-- nothing: a message is in hand in one place.
select begun from lifecycle.suspect where key = $1;

-- name: begin_suspect :exec
-- Note that the message $1 is begun once more. What is not asked for any more is forgotten on the
-- way: messages that were purged or dead-lettered by the broker. Locks those rows.
with past as (
    delete from lifecycle.suspect where begun_at < now() - interval '7 days' and key <> $1
)
insert into lifecycle.suspect (key) values ($1)
on conflict (key) do update set begun = suspect.begun + 1, begun_at = now();

-- name: clear_suspect :exec
-- Forget the message $1. Locks its row.
delete from lifecycle.suspect where key = $1;
