-- name: wait_briefly :exec
-- Give up in this transaction where another one holds a lock for longer than a moment.
select set_config('lock_timeout', '50ms', true);
