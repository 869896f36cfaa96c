-- The schema `lifecycle` on one page: the sum of the migrations. Nothing runs this but a test, which
-- holds it against a migrated database.

create schema lifecycle;

create table lifecycle.migration (
    version     integer primary key,
    name        text not null,
    applied_at  timestamptz not null default now()
);

-- Grows with every operation; taken under the locks of the tree, so that for one workspace a
-- higher number always took effect later.
create sequence lifecycle.generation as bigint;

create table lifecycle.operation (
    operation_id      uuid primary key,
    action            text not null check (action in ('pause', 'resume')),
    workspace_id      uuid,
    source            text not null,
    app_id            text not null,
    message_id        text,
    correlation_id    text,
    traceparent       text,
    cascade           boolean,
    undo              uuid,
    requested_by      text,
    reason            text,
    outcome           text not null check (outcome in ('rejected', 'previewed', 'carried')),
    status            smallint not null,
    code              text,
    deprecated        boolean not null,
    generation        bigint,
    answer_type       text not null,
    answer            bytea not null,
    target_count      integer not null,
    open_count        integer not null,
    succeeded_count   integer not null default 0,
    failed_count      integer not null default 0,
    superseded_count  integer not null default 0,
    timed_out_count   integer not null default 0,
    recorded_at       timestamptz not null,
    deadline          timestamptz not null,
    settled_at        timestamptz,
    progress_at       timestamptz
);

create index operation_open on lifecycle.operation (deadline) where settled_at is null;
create index operation_recorded on lifecycle.operation (recorded_at);

-- One workspace in an operation. Where commanded is false the row was only set back by an undo.
create table lifecycle.target (
    operation_id     uuid not null,
    workspace_id     uuid not null,
    generation       bigint not null,
    depth            integer not null,
    name             text not null,
    instance_id      text,
    runtime          text,
    previous_status  text not null,
    previous_url     text,
    commanded        boolean not null,
    outcome          text check (outcome in ('succeeded', 'failed', 'superseded', 'timed_out')),
    code             text,
    detail           text,
    settled_at       timestamptz,
    primary key (operation_id, workspace_id)
);

create index target_newest on lifecycle.target (workspace_id, generation);

create table lifecycle.inbox (
    source        text not null,
    key           text not null,
    digest        bytea not null,
    operation_id  uuid not null,
    recorded_at   timestamptz not null default now(),
    primary key (source, key)
);

create index inbox_recorded on lifecycle.inbox using brin (recorded_at);

-- Everything that leaves. An answer's bytes stand in its operation, a fan-out's in its targets;
-- body is for what stands nowhere else. progress is the last workspace of a fan-out confirmed. A
-- message's id is derived from its operation and derived_from, or its type where that is null.
create table lifecycle.outbox (
    seq             bigint generated always as identity primary key,
    operation_id    uuid not null,
    kind            text not null check (kind in ('event', 'reply', 'fanout')),
    type            text not null,
    reply_to        text,
    correlation_id  text,
    body            bytea,
    progress        uuid,
    attempts        integer not null default 0,
    created_at      timestamptz not null default now(),
    derived_from    text
);

create index outbox_reply on lifecycle.outbox (seq) where kind = 'reply';

-- The cuts of the audit trail into archive objects. manifest and tail are SHA-256 of a cut's manifest
-- and of its last record's line, null until they are written. A new epoch begins where the stream
-- was cut or begun anew.
create table lifecycle.archive_mark (
    epoch         integer not null,
    first_offset  bigint not null,
    last_offset   bigint not null check (last_offset >= first_offset),
    hour          timestamptz not null,
    claimed_at    timestamptz not null default now(),
    manifest      text,
    tail          text,
    primary key (epoch, first_offset)
);

-- One row: what was recorded before this time has been pruned.
create table lifecycle.pruning (
    recorded_before  timestamptz not null
);

create unique index pruning_once on lifecycle.pruning ((true));

-- Messages that came again and again, by SHA-256, and how often each was begun by a process that did
-- not live to end it.
create table lifecycle.suspect (
    key       bytea primary key,
    begun     integer not null default 1,
    begun_at  timestamptz not null default now()
);

create function lifecycle.wake_relay() returns trigger language plpgsql as $$
begin
    perform pg_notify('lifecycle_outbox', '');
    return null;
end $$;

create trigger wake_relay after insert on lifecycle.outbox
    for each statement execute function lifecycle.wake_relay();

-- The named workspace and all below it. A workspace has one parent, so the walk can meet only its
-- own root twice: leaving the root out ends it on any cycle.
create function lifecycle.subtree(root uuid)
returns table (id uuid, parent_id uuid, depth integer, name text, status text, active_tasks integer)
language sql stable as $$
    with recursive down as (
        select w.id, w.parent_id, 0 as depth, w.name, w.status::text as status, w.active_tasks
        from workspaces w where w.id = root
        union all
        select w.id, w.parent_id, d.depth + 1, w.name, w.status::text, w.active_tasks
        from down d join workspaces w on w.parent_id = d.id
        where w.id <> root
    )
    select * from down
$$;

-- The named workspace (height 0) and all above it. mark trails behind by powers of two, so that a
-- cycle is met at its own mark whatever leads into it (Brent 1980); on it some rows come twice.
create function lifecycle.ancestry(leaf uuid)
returns table (id uuid, parent_id uuid, height integer, name text, status text, mark uuid)
language sql stable as $$
    with recursive up as (
        select w.id, w.parent_id, 0 as height, w.name, w.status::text as status,
               w.id as mark, 1 as due
        from workspaces w where w.id = leaf
        union all
        select w.id, w.parent_id, u.height + 1, w.name, w.status::text,
               case when u.height + 1 = u.due then w.id else u.mark end,
               case when u.height + 1 = u.due then u.due * 2 else u.due end
        from up u join workspaces w on w.id = u.parent_id
        where w.id <> u.mark
    )
    select id, parent_id, height, name, status, mark from up
$$;

-- SHA-256 over sorted ids, in hex: equal sets have equal digests.
create function lifecycle.etag(ids uuid[]) returns text language sql immutable as $$
    select encode(sha256(coalesce(string_agg(uuid_send(id), ''::bytea order by id), ''::bytea)), 'hex')
    from unnest(ids) id
$$;
