"""The page in a browser: keys, the dry run in the tree, a cascade as it goes, dark and light."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import ConsoleMessage, Page, async_playwright, expect

from tests.contract.answering import orders, say
from tests.support.caller import WireCaller
from tests.support.forest import Forest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SHOTS = os.environ.get("CONSOLE_SHOTS")
"""A directory that gets pictures of the page, for people to look at."""
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


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
            color_scheme=request.param, viewport={"width": 1280, "height": 900}
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
    await expect(page.locator("#would code")).to_contain_text("--cascade --if-match")
    await picture(page, f"dry-run-{request.node.callspec.params['page']}")
    await page.keyboard.press("Escape")
    await expect(page.locator("#tree li.hit")).to_have_count(0)
    await page.locator("#cascade").uncheck()
    await page.locator("#ask-pause").click()
    await expect(page.locator("#would")).to_contain_text("409 descendants_exist")
    await expect(page.locator("#tree li.hit")).to_have_count(3)
    assert set((await forest.statuses()).values()) == {"online"}


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_a_cascade_of_200_is_seen_as_it_goes(
    page: Page, forest: Forest, caller: WireCaller, request: pytest.FixtureRequest
) -> None:
    """Statuses, the open operation with its progress, then settled; the rejection before it."""
    lines = [f"Team {team}/Agent {team}-{one}" for team in range(10) for one in range(19)]
    teams = [f"Production Manager/Team {team}" for team in range(10)]
    top = await forest.plant("Production Manager", *teams, *lines[:-1])
    await expect(page.locator("#tree li")).to_have_count(200)
    await caller.pause(top)
    await expect(page.locator("#rejections")).to_contain_text("409 descendants_exist")
    await page.locator("#rejections summary").click()
    await expect(page.locator("#rejections li")).to_have_count(199)
    await page.locator("#rejections summary").click()
    pause = {"cascade": True, "reason": "nightly cost cut", "requested_by": "anna"}
    answer = await caller.pause(top, **pause)
    stops = await orders(caller, answer.data["operation_id"], 200)
    for name in [*stops][:120]:
        await say(caller, "stopped", stops[name])
    await expect(page.locator("#tree .paused")).to_have_count(200)
    operation = page.locator("#operations .one").first
    await expect(operation).to_contain_text("anna")
    await expect(operation).to_contain_text("120 of 200")
    await expect(operation.locator("progress")).to_be_visible()
    await picture(page, f"cascade-{request.node.callspec.params['page']}")
    for name in [*stops][120:]:
        await say(caller, "stopped", stops[name])
    await expect(operation).to_contain_text("settled", timeout=30_000)
    await expect(operation).to_contain_text("200 of 200")


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
