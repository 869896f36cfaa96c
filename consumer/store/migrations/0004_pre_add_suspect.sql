-- Messages that came again and again, by SHA-256, and how often each was begun by a process that did
-- not live to end it.
create table lifecycle.suspect (
    key       bytea primary key,
    begun     integer not null default 1,
    begun_at  timestamptz not null default now()
);
