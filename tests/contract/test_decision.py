"""contract.md, "The decision": every row and column of the table, over the wire."""

from typing import Any

import pytest

from tests.support.caller import Heard, WireCaller
from tests.support.forest import Forest

ABSENT: dict[str, Any] = {}
FLAGS: list[dict[str, Any]] = [ABSENT, {"cascade": False}, {"cascade": True}]
ACTIONS = pytest.mark.parametrize(
    ("action", "on", "off"), [("pause", "online", "paused"), ("resume", "paused", "online")]
)


async def ask(caller: WireCaller, action: str, workspace_id: object, **fields: Any) -> Heard:
    """Ask for either action."""
    return await caller.ask(f"workspace.{action}", {"workspace_id": workspace_id, **fields})


def outcome(heard: Heard) -> tuple[str, int, str | None, int | None]:
    """Give what the table speaks of: kind, status, code, count."""
    count = heard.data.get("paused_count", heard.data.get("resumed_count"))
    return heard.type.rpartition(".")[2], heard.data["status"], heard.data.get("code"), count


@ACTIONS
@pytest.mark.usefixtures("program")
class TestWhateverTheFlag:
    """Rows in which all three columns say the same."""

    async def test_no_such_workspace(
        self, caller: WireCaller, action: str, on: str, off: str
    ) -> None:
        """A workspace that is not there is 404."""
        for flag in FLAGS:
            answer = await ask(caller, action, "00000000-0000-4000-8000-000000000000", **flag)
            assert outcome(answer) == ("rejected", 404, "workspace_not_found", None), (on, off)

    async def test_removed(
        self, caller: WireCaller, forest: Forest, action: str, on: str, off: str
    ) -> None:
        """A removed workspace is 404, whatever is below it."""
        for flag in FLAGS:
            gone = await forest.plant("gone:removed", f"gone/child:{on}", f"gone/other:{off}")
            assert outcome(await ask(caller, action, gone, **flag))[:3] == (
                "rejected",
                404,
                "workspace_not_found",
            )

    async def test_no_affected_descendants(
        self, caller: WireCaller, forest: Forest, action: str, on: str, off: str
    ) -> None:
        """A workspace with nothing below it that would change is done, count 1."""
        for flag in FLAGS:
            top = await forest.plant(f"top:{on}", f"top/same:{off}", "top/gone:removed")
            assert outcome(await ask(caller, action, top, **flag)) == ("summary", 200, None, 1)

    async def test_already_there(
        self, caller: WireCaller, forest: Forest, action: str, on: str, off: str
    ) -> None:
        """What is there already is done, count 0, and settles at once."""
        for flag in FLAGS:
            top = await forest.plant(f"top:{off}", f"top/same:{off}")
            answer = await ask(caller, action, top, **flag)
            assert outcome(answer) == ("summary", 200, None, 0), on
            settled = await caller.hear(
                f"workspace.{action}.settled", operation_id=answer.data["operation_id"]
            )
            assert settled[0].data["target_count"] == 0

    async def test_if_match_that_does_not(
        self, caller: WireCaller, forest: Forest, action: str, on: str, off: str
    ) -> None:
        """An etag of another set is 412, with the new list and etag, and changes nothing."""
        for flag in FLAGS:
            top = await forest.plant(f"top:{on}", f"top/below:{on}")
            before = await forest.snapshot()
            answer = await ask(caller, action, top, if_match="0" * 64, **flag)
            assert outcome(answer)[:3] == ("rejected", 412, "tree_changed"), off
            assert [one["name"] for one in answer.data["descendants"]] == ["below"]
            assert len(answer.data["tree_etag"]) == 64
            assert await forest.snapshot() == before

    async def test_expired(
        self, caller: WireCaller, forest: Forest, action: str, on: str, off: str
    ) -> None:
        """Nobody wants yesterday's command carried out today."""
        for flag in FLAGS:
            top = await forest.plant(f"top:{on}")
            answer = await ask(caller, action, top, not_after="2026-05-28T09:30:00Z", **flag)
            assert outcome(answer)[:3] == ("rejected", 412, "expired"), off
            assert await forest.statuses() == {"top": on}

    async def test_malformed(
        self, caller: WireCaller, forest: Forest, action: str, on: str, off: str
    ) -> None:
        """A misspelt field is 422: it must not pass as absent."""
        for flag in FLAGS:
            top = await forest.plant(f"top:{on}")
            answer = await ask(caller, action, top, casacde=True, **flag)
            assert outcome(answer)[:3] == ("rejected", 422, "invalid_command"), off
            assert "casacde" in answer.data["detail"]


@ACTIONS
@pytest.mark.parametrize("named_changes", [True, False], ids=["runs", "already-there"])
class TestAffectedDescendants:
    """The two rows in which the flag decides."""

    @pytest.mark.usefixtures("program")
    async def test_absent_or_false_is_409(
        self,
        caller: WireCaller,
        forest: Forest,
        action: str,
        on: str,
        off: str,
        named_changes: bool,
    ) -> None:
        """Without cascade=true affected descendants are listed and nothing changes."""
        top = await forest.plant(f"top:{on if named_changes else off}", f"top/below:{on}")
        before = await forest.snapshot()
        for flag in (ABSENT, {"cascade": False}):
            answer = await ask(caller, action, top, **flag)
            assert outcome(answer)[:3] == ("rejected", 409, "descendants_exist")
            assert answer.data["descendant_count"] == 1
        assert await forest.snapshot() == before

    @pytest.mark.usefixtures("program")
    async def test_true_carries_all_of_them(
        self,
        caller: WireCaller,
        forest: Forest,
        action: str,
        on: str,
        off: str,
        named_changes: bool,
    ) -> None:
        """With cascade=true the count is what changed: the named one only where it did."""
        top = await forest.plant(
            f"top:{on if named_changes else off}", f"top/mid:{off}", f"mid/low:{on}"
        )
        answer = await ask(caller, action, top, cascade=True)
        assert outcome(answer) == ("summary", 200, None, 1 + named_changes)
        assert answer.data["deprecated"] is False

    @pytest.mark.usefixtures("program")
    @pytest.mark.settings(implicit_cascade="deprecated")
    async def test_absent_in_the_migration_period(
        self,
        caller: WireCaller,
        forest: Forest,
        action: str,
        on: str,
        off: str,
        named_changes: bool,
    ) -> None:
        """Under implicit_cascade=deprecated an absent flag cascades as it used to, and says so."""
        top = await forest.plant(f"top:{on if named_changes else off}", f"top/below:{on}")
        answer = await ask(caller, action, top)
        assert outcome(answer) == ("summary", 200, None, 1 + named_changes)
        assert answer.data["deprecated"] is True
        assert answer.message.headers["X-Molecule-Implicit-Cascade"] == "deprecated"
        (summary,) = await caller.hear(answer.type, operation_id=answer.data["operation_id"])
        assert summary.message.headers["X-Molecule-Implicit-Cascade"] == "deprecated"

    @pytest.mark.usefixtures("program")
    @pytest.mark.settings(implicit_cascade="deprecated")
    async def test_false_is_never_a_cascade(
        self,
        caller: WireCaller,
        forest: Forest,
        action: str,
        on: str,
        off: str,
        named_changes: bool,
    ) -> None:
        """An explicit false is refused in the migration period too."""
        top = await forest.plant(f"top:{on if named_changes else off}", f"top/below:{on}")
        answer = await ask(caller, action, top, cascade=False)
        assert outcome(answer)[:3] == ("rejected", 409, "descendants_exist")


@pytest.mark.usefixtures("program")
class TestTheRest:
    """Rows with a story of their own."""

    async def test_resume_below_a_paused_ancestor(self, caller: WireCaller, forest: Forest) -> None:
        """A resume below paused ancestors is 409, naming the nearest."""
        await forest.plant("top:paused", "top/mid:paused", "mid/run", "run/low:paused")
        answer = await caller.resume(forest.ids["low"], cascade=True)
        assert outcome(answer)[:3] == ("rejected", 409, "ancestor_paused")
        assert answer.data["ancestor"]["name"] == "mid"
        assert "mid" in answer.data["detail"]

    async def test_the_walk_goes_on_below_paused_removed_and_running_nodes(
        self, caller: WireCaller, forest: Forest
    ) -> None:
        """Nothing is hidden behind a node that would not change."""
        top = await forest.plant(
            "top", "top/p:paused", "p/a", "top/r:removed", "r/b", "a/h:hibernated", "h/c"
        )
        answer = await caller.pause(top)
        names = [(one["name"], one["depth"]) for one in answer.data["descendants"]]
        assert names == [("a", 2), ("b", 2), ("h", 3), ("c", 4)]

    async def test_a_cycle_ends_the_walk_and_is_reported(
        self, caller: WireCaller, forest: Forest
    ) -> None:
        """A cycle in parent_id is never looped on, and the answer names it."""
        top = await forest.plant("top", "top/below", "below/low")
        await forest.connection.execute(
            "update workspaces set parent_id = $1 where name = 'top'", forest.ids["low"]
        )
        answer = await caller.pause(top, cascade=True)
        assert outcome(answer) == ("summary", 200, None, 3)
        assert answer.data["cycle_at"] in {str(one) for one in forest.ids.values()}
        assert outcome(await caller.resume(top, cascade=True)) == ("summary", 200, None, 3)

    async def test_more_than_the_callers_cap(self, caller: WireCaller, forest: Forest) -> None:
        """max_affected counts the named one and its descendants."""
        top = await forest.plant("top", "top/a", "top/b")
        refused = await caller.pause(top, cascade=True, max_affected=2)
        assert outcome(refused)[:3] == ("rejected", 409, "blast_radius_exceeded")
        assert outcome(await caller.pause(top, cascade=True, max_affected=3))[3] == 3

    @pytest.mark.settings(max_cascade=2)
    async def test_more_than_the_policys_cap(self, caller: WireCaller, forest: Forest) -> None:
        """LIFECYCLE_MAX_CASCADE holds whatever the caller allows."""
        top = await forest.plant("top", "top/a", "top/b")
        refused = await caller.pause(top, cascade=True, max_affected=100)
        assert outcome(refused)[:3] == ("rejected", 409, "blast_radius_exceeded")

    @pytest.mark.settings(allow_apps=("gateway",))
    async def test_a_sender_that_is_not_allowed(self, caller: WireCaller, forest: Forest) -> None:
        """A sender that policy does not allow is 403, and is told nothing of the tree."""
        top = await forest.plant("top", "top/a")
        refused = await caller.pause(top, cascade=True)
        assert outcome(refused)[:3] == ("rejected", 403, "forbidden")
        assert refused.data["descendants"] == []

    @pytest.mark.settings(implicit_cascade_apps=("old",))
    async def test_callers_move_one_at_a_time(self, caller: WireCaller, forest: Forest) -> None:
        """implicit_cascade can be deprecated for named app_ids alone."""
        top = await forest.plant("top", "top/a")
        command = {"workspace_id": top}
        new = await caller.ask("workspace.pause", command, app_id="new")
        old = await caller.ask("workspace.pause", command, app_id="old")
        assert (new.data["status"], old.data["status"]) == (409, 200)

    async def test_the_etag_stays_while_the_set_does(
        self, caller: WireCaller, forest: Forest
    ) -> None:
        """tree_etag tells the set of workspaces that would change, and nothing else."""
        top = await forest.plant("top", "top/a", "top/b")
        first = (await caller.pause(top)).data["tree_etag"]
        await forest.connection.execute("update workspaces set status = 'degraded', name = 'x'")
        assert (await caller.pause(top)).data["tree_etag"] == first
        await forest.connection.execute(
            "update workspaces set status = 'paused' where id = $1", forest.ids["a"]
        )
        changed = await caller.pause(top, cascade=True, if_match=first)
        assert outcome(changed)[:3] == ("rejected", 412, "tree_changed")
        again = await caller.pause(top, cascade=True, if_match=changed.data["tree_etag"])
        assert outcome(again) == ("summary", 200, None, 2)

    async def test_a_dry_run_tells_and_changes_nothing(
        self, caller: WireCaller, forest: Forest
    ) -> None:
        """A dry run runs every check, answers as the real call would, and changes nothing."""
        top = await forest.plant("top", "top/a")
        before = await forest.snapshot()
        refused = await caller.pause(top, dry_run=True)
        carried = await caller.pause(top, dry_run=True, cascade=True)
        assert refused.type == carried.type == "workspace.pause.previewed"
        assert (refused.data["would"], refused.data["status"]) == ("rejected", 409)
        assert (carried.data["would"], carried.data["paused_count"]) == ("summary", 2)
        assert [one["name"] for one in carried.data["workspaces"]] == ["top", "a"]
        assert await forest.snapshot() == before

    async def test_undo_puts_back_exactly_what_the_pause_changed(
        self, caller: WireCaller, forest: Forest
    ) -> None:
        """Undo restores each to what it was; what changed since is left alone and listed."""
        top = await forest.plant("top", "top/slept:hibernated", "top/was:paused", "top/moved")
        pause = await caller.pause(top, cascade=True)
        await caller.hear("workspace.pause.settled", operation_id=pause.data["operation_id"])
        await forest.connection.execute(
            "update workspaces set status = 'failed' where name = 'moved'"
        )
        undone = await caller.resume(top, undo=pause.data["operation_id"])
        assert outcome(undone) == ("summary", 200, None, 2)
        assert await forest.statuses() == {
            "top": "provisioning",
            "slept": "hibernated",
            "was": "paused",
            "moved": "failed",
        }
        (left,) = undone.data["not_restored"]
        assert (left["name"], left["status"]) == ("moved", "failed")
        again = await caller.resume(top, undo=pause.data["operation_id"])
        assert outcome(again) == ("summary", 200, None, 0)

    async def test_undo_of_what_was_no_pause(self, caller: WireCaller, forest: Forest) -> None:
        """Undo names a pause of that workspace that was carried out, or is malformed."""
        top = await forest.plant("top", "top/a")
        rejected = await caller.pause(top)
        answer = await caller.resume(top, undo=rejected.data["operation_id"])
        assert outcome(answer)[:3] == ("rejected", 422, "invalid_command")
