-- The cuts of the audit trail into archive objects: decided here once, so that whoever writes a cut
-- writes the same bytes under the same name. A new epoch begins where the stream was cut or begun
-- anew. manifest and tail are SHA-256 of a cut's manifest and of its last record's line.
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
create index operation_recorded on lifecycle.operation (recorded_at);
create index inbox_recorded on lifecycle.inbox using brin (recorded_at);
