"""Connect, walked once: a client is chosen, its key is made in the same step, and the light turns
green on that client's first call.
"""

import json

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import CHAPTER, Account, Opens, Site, agent
from tests.browser.steps import go_to, settled
from tests.browser.test_pages import READ_BY_AXE, look


def light(page: Page) -> Locator:
    return page.get_by_role("region", name="First call", exact=True)


async def test_the_light_turns_green_on_the_first_call_of_a_real_client(
    site: Site, opens: Opens, newcomer: Account
) -> None:
    context = await opens(newcomer)
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await context.new_page()
    await page.goto("/")
    await settled(page)
    await page.get_by_role("link", name="Let the assistant make its first call").click()
    await settled(page)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Connect")
    await go_to(page, "Settings")
    await page.get_by_role("link", name="Connect an assistant").click()
    await settled(page)
    await page.get_by_text("I have a key already").click()
    await expect(page.locator("#key-1")).to_contain_text("Bearer YOUR_KEY")
    await page.keyboard.press("g")
    await page.keyboard.press("h")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Home")
    await page.keyboard.press("g")
    await page.keyboard.press("n")
    await settled(page)

    # by keyboard alone: the tile, the form, the button
    tile = page.get_by_role("button", name="Cursor")
    await tile.focus()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{site.url}/connect?client=cursor")
    await expect(light(page)).to_contain_text("Waiting for the first call of Cursor…")
    await expect(page.get_by_label("Name")).to_have_value("Cursor")
    await page.get_by_label("Name").focus()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("radio", name="Read only")).to_be_focused()
    await expect(page.get_by_role("radio", name="Read only")).to_be_checked()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("radio", name="Read and change")).to_be_checked()
    await page.keyboard.press("ArrowUp")
    with site.recorder.chapter(CHAPTER):
        await page.get_by_role("button", name="Make key").press("Enter")
        pasted = page.locator("#made-1")
        await expect(pasted).to_contain_text("mcpServers")
    await expect(light(page)).to_contain_text("Waiting for the first call with “Cursor”…")
    site.shown.append(await page.locator("#new-key").inner_text())
    faults = await look(page, "connect-key", title="Connect", views=READ_BY_AXE)
    await page.locator("#made").get_by_role("button", name="Copy").first.click()
    server = json.loads(await page.evaluate("() => navigator.clipboard.readText()"))

    # a wrong key first: the light says why nothing comes
    async with agent(site, newcomer) as wrong:
        wrong.key = site.shown[-1][:-1] + "~"
        assert (await wrong.post("tools/list", {})).status_code == 401
    await expect(light(page)).to_contain_text("not known here")
    settings = server["mcpServers"]["orderdesk"]
    headers = {**settings["headers"], "user-agent": "Cursor/2.1"}
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(settings["url"], http_client=http)) as client,
    ):
        await client.call_tool("stores_list", {})

    await expect(light(page).get_by_text("Connected: ")).to_be_visible()
    await expect(light(page)).not_to_contain_text("not known here")
    faults += await look(page, "connect-green", title="Connect", views=READ_BY_AXE)
    assert not faults, "\n".join(faults)
    # what was made once is gone with the page
    await page.reload()
    await settled(page)
    await expect(page.locator("html")).not_to_contain_text(site.shown[-1])
