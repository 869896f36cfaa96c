-- Progress is said at most once a second: when it was said last. And an operation may say one type
-- more than once, under different ids: what the id is derived from where it is not the type alone.
alter table lifecycle.operation add column progress_at timestamptz;
alter table lifecycle.outbox add column derived_from text;
