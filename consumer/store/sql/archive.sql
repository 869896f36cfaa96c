-- name: try_archive :one
-- Take the right to archive for this connection, where nobody else has it.
select pg_try_advisory_lock(4909, 2) as mine;

-- name: newest_marks :many
-- The last cuts that were decided, at most $1, newest first. Locks nothing.
select epoch, first_offset, last_offset, hour, manifest, tail
from lifecycle.archive_mark order by epoch desc, first_offset desc limit $1;

-- name: previous_manifest :one
-- The manifest of the cut before the one that begins at $2 in epoch $1. Locks nothing.
select manifest from lifecycle.archive_mark
where (epoch, first_offset) < ($1, $2) order by epoch desc, first_offset desc limit 1;

-- name: claim_mark :one
-- Decide a cut, unless the one that begins there is decided already; give what holds. Locks that
-- cut: who waited for another's decision would not see it in a snapshot taken before.
insert into lifecycle.archive_mark (epoch, first_offset, last_offset, hour)
values ($1, $2, $3, $4)
on conflict (epoch, first_offset) do update set last_offset = archive_mark.last_offset
returning epoch, first_offset, last_offset, hour, manifest, tail;

-- name: finish_mark :exec
-- Note that a cut and its manifest are written.
update lifecycle.archive_mark set manifest = $3, tail = $4 where epoch = $1 and first_offset = $2;
