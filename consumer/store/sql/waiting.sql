-- name: waiting :one
-- What waits: outbox rows, counted to 10,001, the oldest one's age in seconds or null, and
-- operations that are not settled. Locks nothing.
select (select count(*) from (select from lifecycle.outbox limit 10001) o) as outbox,
       (select extract(epoch from now() - created_at)::double precision
        from lifecycle.outbox order by seq limit 1) as oldest,
       (select count(*) from lifecycle.operation where settled_at is null) as open;
