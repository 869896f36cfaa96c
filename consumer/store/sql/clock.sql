-- name: clock :one
-- What time it is. Locks nothing.
select clock_timestamp() as at;
