"""The seed's acceptance criteria, under their own names."""

import pytest

from tests.support.caller import WireCaller
from tests.support.forest import Forest

pytestmark = pytest.mark.usefixtures("program")


async def test_pause_without_cascade_on_a_parent_answers_409_and_the_list(
    caller: WireCaller, forest: Forest
) -> None:
    """A pause of a parent that does not say cascade=true is refused, listing who is below."""
    parent = await forest.plant("parent", "parent/b", "parent/a")

    answer = await caller.pause(parent)

    assert (answer.type, answer.data["status"]) == ("workspace.pause.rejected", 409)
    assert [one["name"] for one in answer.data["descendants"]] == ["a", "b"]
    assert await forest.statuses() == {"parent": "online", "a": "online", "b": "online"}


async def test_with_cascade_everything_below_is_paused(caller: WireCaller, forest: Forest) -> None:
    """cascade=true pauses the parent and everything below it, at any depth."""
    parent = await forest.plant("parent", "parent/child", "child/grandchild")

    answer = await caller.pause(parent, cascade=True)

    assert (answer.type, answer.data["status"]) == ("workspace.pause.summary", 200)
    assert set((await forest.statuses()).values()) == {"paused"}


async def test_resume_mirrors_pause(caller: WireCaller, forest: Forest) -> None:
    """Resume is refused without the flag and carried out with it, as pause is."""
    parent = await forest.plant("parent:paused", "parent/child:paused")

    refused = await caller.resume(parent)
    carried = await caller.resume(parent, cascade=True)

    assert (refused.data["status"], refused.data["descendant_count"]) == (409, 1)
    assert (carried.data["status"], carried.data["resumed_count"]) == (200, 2)
    assert set((await forest.statuses()).values()) == {"provisioning"}


async def test_a_parent_and_two_children_409_without_the_flag_and_paused_count_3_with_it(
    caller: WireCaller, forest: Forest
) -> None:
    """The seed's own example, number for number."""
    parent = await forest.plant("parent", "parent/one", "parent/two")

    assert (await caller.pause(parent)).data["status"] == 409
    answer = await caller.pause(parent, cascade=True)

    assert (answer.data["status"], answer.data["paused_count"]) == (200, 3)
