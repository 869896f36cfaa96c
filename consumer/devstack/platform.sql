-- The platform's table as the program meets it, for demo, tests and docker compose. Not ours:
-- in production it is there already. Running this twice is harmless.
do $$ begin
    if to_regtype('workspace_status') is null then
        create type workspace_status as enum (
            'provisioning', 'online', 'offline', 'degraded', 'failed', 'removed', 'paused',
            'hibernated');
    end if;
end $$;

create table if not exists workspaces (
    id                uuid primary key default gen_random_uuid(),
    name              text not null,
    role              text,
    tier              integer,
    status            workspace_status,
    parent_id         uuid references workspaces (id),
    runtime           text default 'langgraph',
    url               text,
    instance_id       text,
    active_tasks      integer default 0,
    current_task      text,
    last_heartbeat_at timestamptz,
    created_at        timestamptz default now(),
    updated_at        timestamptz default now()
);

create index if not exists workspaces_parent_id on workspaces (parent_id);
