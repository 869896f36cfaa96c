-- name: rights :one
-- Which columns of the platform's table this role may not read, of $3, and not change, and whether it
-- has the privileges $1 on each of the program's own; $2 is what changing a column takes. Locks
-- nothing: it only looks.
select current_user::text as role,
       array(select c from unnest($3::text[]) c
             where not has_column_privilege('workspaces', c, 'select')) as may_not_read,
       array(select c from unnest(array['status', 'url', 'updated_at']) c
             where not has_column_privilege('workspaces', c, $2)) as may_not_change,
       (select bool_and(has_table_privilege(t.oid, p))
        from pg_class t, unnest($1::text[]) p
        where t.relnamespace = 'lifecycle'::regnamespace and t.relkind = 'r') as may_record;

-- name: any_instance :one
-- The instance of some workspace that has one. Locks nothing.
select instance_id from workspaces
where instance_id <> '' and runtime is distinct from 'external' and status::text <> 'removed'
limit 1;
