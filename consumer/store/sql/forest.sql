-- name: forest :many
-- Every workspace of one tree, or of all trees by their names where $1 is null, as it is now. Locks
-- nothing.
with roots as (
    select w.id, w.name from workspaces w
    where case when $1::uuid is null
               then w.parent_id is null
                    or not exists (select from workspaces p where p.id = w.parent_id)
               else w.id = $1 end
)
select s.id as workspace_id, s.parent_id, s.depth, s.name, s.status, s.active_tasks, r.id as root
from roots r, lifecycle.subtree(r.id) s
order by r.name collate "C", r.id, s.depth, s.name collate "C", s.id
limit $2;
