-- Replies go ahead of a long backlog: found without reading what they pass by.
create index outbox_reply on lifecycle.outbox (seq) where kind = 'reply';
