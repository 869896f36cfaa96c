-- name: lock_migrations :exec
-- Wait for another migration of this database to end, and keep others waiting.
select pg_advisory_xact_lock(4909, 0);

-- name: schema :one
-- Whether the schema of the program's own tables is there. Locks nothing.
select to_regnamespace('lifecycle') is not null as present;

-- name: create_schema :exec
-- That schema. IF NOT EXISTS would ask for CREATE on the database also where it exists.
create schema lifecycle;

-- name: create_migration_table :exec
-- The table that remembers which files were applied.
create table if not exists lifecycle.migration (
    version     integer primary key,
    name        text not null,
    applied_at  timestamptz not null default now()
);

-- name: migration_table :one
-- Whether that table is there. Locks nothing.
select to_regclass('lifecycle.migration') is not null as present;

-- name: applied_migrations :many
-- Which files were applied. Locks nothing.
select version from lifecycle.migration order by version;

-- name: record_migration :exec
-- Remember that a file was applied.
insert into lifecycle.migration (version, name) values ($1, $2);

-- name: workspaces_columns :many
-- The columns of the platform's table, as the search_path finds it. Locks nothing.
select attname as name from pg_attribute
where attrelid = to_regclass('workspaces') and attnum > 0 and not attisdropped;
