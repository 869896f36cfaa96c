"""The page in a browser: keys, the dry run in the tree, a cascade as it goes, dark and light."""

import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import ConsoleMessage, Page, async_playwright, expect

from consumer.broker.topology import declare
from schemas.topology import trigger_queues
from tests.contract.answering import say
from tests.support.caller import WireCaller
from tests.support.forest import Forest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SHOTS = os.environ.get("CONSOLE_SHOTS")
"""A directory that gets pictures of the page, for people to look at (make pictures)."""
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
# The console looks every five seconds at what nobody publishes: as long as Playwright waits.
expect.set_options(timeout=30_000)
TEAMS = (
    "Design", "Finance", "Legal", "Marketing", "Operations",
    "Quality", "Research", "Sales", "Support", "Writing",
)  # fmt: skip
COMPANY = (
    "Production Manager",
    *(f"Production Manager/{team}" for team in TEAMS),
    *[f"{team}/{team} Agent {one:02}" for team in TEAMS for one in range(1, 20)][:189],
)
"""A tree of 200."""
BESIDE = ("Incident Desk", "Incident Desk/Pager", "Incident Desk/Replica:degraded",
          "Incident Desk/Runbooks:failed", "Incident Desk/Standby:hibernated")  # fmt: skip


@pytest.fixture(params=["light", "dark"])
async def page(console: str, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """Open the console, and fail of anything that it complains of."""
    complaints: list[str] = []

    def complain(said: ConsoleMessage) -> None:
        if said.type == "error":
            complaints.append(said.text)

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = await browser.new_page(
            color_scheme=request.param, viewport={"width": 1280, "height": 800}
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", complain)
        await page.goto(console)
        await expect(page.locator("#link")).to_have_text("live")
        yield page
        await browser.close()
    assert not complaints


async def picture(page: Page, name: str) -> None:
    """Keep a picture where somebody wants it."""
    if SHOTS:
        await page.screenshot(path=Path(SHOTS) / f"{name}.png")


@pytest.mark.usefixtures("program")
async def test_by_keys_alone_a_dry_run_shows_what_a_cascade_would_hit(
    page: Page, forest: Forest, request: pytest.FixtureRequest
) -> None:
    """Down, fold, unfold, p: each row that would be hit is marked, and nothing was changed."""
    await forest.plant("Manager", "Manager/Release", "Manager/Writing", "Writing/Draft")
    rows = page.locator("#tree li")
    await expect(rows).to_have_count(4)
    await rows.first.focus()
    await page.keyboard.press("Home")
    await expect(rows.first).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("ArrowLeft")
    await expect(rows).to_have_count(1)
    await page.keyboard.press("p")
    await expect(page.locator("#would")).to_contain_text("4 would be paused")
    await expect(page.locator("#tree li.hit")).to_have_count(4)
    # Where the rows around it do not cover it.
    await expect(page.locator("#tree li:focus-visible")).to_have_css("outline-offset", "-2px")
    await expect(page.locator("#would code")).to_contain_text("--cascade --if-match")
    await picture(page, f"dry-run-{request.node.callspec.params['page']}")
    await page.keyboard.press("Escape")
    await expect(page.locator("#tree li.hit")).to_have_count(0)
    await page.locator("#cascade").uncheck()
    await page.locator("#ask-pause").click()
    await expect(page.locator("#would")).to_contain_text("409 descendants_exist")
    await expect(page.locator("#tree li.hit")).to_have_count(3)
    assert set((await forest.statuses()).values()) == {"online"}


async def carry_out(caller: WireCaller, count: int) -> None:
    """Take so many orders, and answer them as anybody's executor would."""
    queue = await caller.channel.get_queue("lifecycle.executor")
    for _ in range(count):
        message = await queue.get(timeout=30)
        data = json.loads(message.body)["data"]
        members = ("operation_id", "workspace_id", "generation")
        await say(caller, "stopped", {name: data[name] for name in members})
        await message.ack()


async def wide(page: Page) -> int:
    """Tell by how many pixels the page is wider than its window."""
    script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(await page.evaluate(script))


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_a_cascade_of_200_is_seen_as_it_goes(
    page: Page, forest: Forest, caller: WireCaller, request: pytest.FixtureRequest
) -> None:
    """Statuses, the open operation with its progress, then settled; the rejection before it."""
    await forest.plant(*BESIDE)
    top = await forest.plant(*COMPANY)
    await expect(page.locator("#tree li")).to_have_count(205)
    await caller.pause(top, requested_by="nightly")
    await expect(page.locator("#rejections")).to_contain_text("409 descendants_exist")
    await page.locator("#rejections summary").click()
    await expect(page.locator("#rejections li")).to_have_count(199)
    await page.locator("#rejections summary").click()
    pause = {"cascade": True, "reason": "nightly cost cut", "requested_by": "anna"}
    answer = await caller.pause(top, **pause)
    await caller.hear("workspace.stop", 200, operation_id=answer.data["operation_id"])
    await carry_out(caller, 120)
    await expect(page.locator("#tree .paused")).to_have_count(200)
    operation = page.locator("#operations .one").first
    await expect(operation).to_contain_text("anna")
    await expect(operation).to_contain_text("120 of 200")
    await expect(operation.locator("progress")).to_be_visible()
    await expect(page.locator("#executor")).to_contain_text("80")
    await expect(page.locator("#triggers")).to_be_hidden()
    await page.mouse.move(0, 0)
    await picture(page, f"cascade-{request.node.callspec.params['page']}")
    for width in (1280, 420):
        await page.set_viewport_size({"width": width, "height": 800})
        assert await wide(page) == 0
    await picture(page, f"narrow-{request.node.callspec.params['page']}")
    await carry_out(caller, 80)
    await expect(operation).to_contain_text("settled")
    await expect(operation).to_contain_text("200 of 200")


@pytest.fixture
async def with_triggers(amqp_url: str) -> None:
    """Declare the queues of triggers."""
    await declare(amqp_url, trigger_queues())


async def test_events_that_wait_are_shown_where_there_are_triggers(
    with_triggers: None, page: Page, caller: WireCaller
) -> None:
    """Beside what else waits."""
    assert with_triggers is None
    await caller.send("spent", b"{}", exchange="", routing_key="lifecycle.triggers")
    await expect(page.locator("#triggers")).to_have_text("events waiting 1")


@pytest.mark.usefixtures("program")
async def test_a_name_is_text_whatever_it_says(page: Page, forest: Forest) -> None:
    """Markup in a workspace's name stays what it is: a name."""
    await forest.plant("<img src=x onerror=alert(1)>")
    await expect(page.locator("#tree .name")).to_have_text("<img src=x onerror=alert(1)>")
    assert await page.locator("#tree img").count() == 0


@pytest.mark.usefixtures("program")
async def test_the_filter_keeps_what_matches_and_all_above(page: Page, forest: Forest) -> None:
    """By name, by id, by status."""
    await forest.plant("top", "top/middle", "middle/low", "other:paused")
    await expect(page.locator("#tree li")).to_have_count(4)
    for wanted, count in (("low", 3), ("paused", 1), (str(forest.ids["other"])[:13], 1), ("zz", 0)):
        await page.locator("#filter").fill(wanted)
        await expect(page.locator("#tree li")).to_have_count(count)
