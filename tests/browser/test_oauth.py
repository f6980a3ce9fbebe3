"""An app asks, a person narrows it and approves, all by keyboard; it calls, and is disconnected."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.conftest import NARROW, Account, Opens, Site, agent
from tests.browser.steps import go_to, notice, settled
from tests.browser.test_pages import READ_BY_AXE, look
from tests.browser.test_passkeys import grow_old, headed
from tests.oauth import add_client, answer_in, exchange, query
from tests.worlds import FIRST_ORDER, AgentClient, open_services

_PAGE = b'<!doctype html><title>Done</title><link rel="icon" href="data:,">Done'
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_PAGE), _PAGE)
)

_ELSEWHERE = (
    b"HTTP/1.1 302 Found\r\nLocation: http://localhost:%d/done%s\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


@pytest_asyncio.fixture(loop_scope="session")
async def callback() -> AsyncIterator[str]:
    """Where an app of this computer waits for the answer; it leads on to a site of its own."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"referer:" not in head.lower()  # the address of the consent page is the person's
        path = head.split(b" ", 2)[1]
        is_callback = path.startswith(b"/callback?")
        writer.write(_ELSEWHERE % (port, path[len("/callback") :]) if is_callback else _ANSWER)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/callback"
    server.close()


async def press(page: Page, role: str, name: str, key: str) -> None:
    control = page.get_by_role(role, name=name)  # type: ignore[arg-type]
    await expect(control).to_be_enabled()  # Approve waits for a moment
    await control.press(key)


async def denied(app: AgentClient, tool: str, **arguments: Any) -> bool:
    """Whether the app is told which permission it lacks."""
    answer = await app.post("tools/call", {"name": tool, "arguments": arguments})
    return answer.status_code == 403 and "insufficient_scope" in answer.headers["www-authenticate"]


async def test_an_app_is_narrowed_works_and_is_disconnected(
    site: Site, opens: Opens, ada: Account, callback: str
) -> None:
    async with open_services(site.settings) as services:
        client = await add_client(
            services, f"teapot-{ada.tenant_id}", name="Teapot", redirect_uris=[callback]
        )
    asked = query(
        client.client_id,
        redirect_uri=callback,
        scope="stores:read orders:read orders:write orders:delete",
    )
    context = await opens()
    done = callback.replace("127.0.0.1", "localhost").replace("/callback", "/done")
    context.watch.expect(f"left the server: ({callback}|{done})")
    page = await context.new_page()

    # signed out, by the key, and back to the same question
    await page.goto(f"/authorize?{asked}")
    await page.get_by_label("Key", exact=True).fill(ada.master_key)
    await page.get_by_label("Key", exact=True).press("Enter")
    await headed(page, "Connect “Teapot”?")
    await expect(page.get_by_text("127.0.0.1", exact=True)).to_have_css("font-weight", "600")
    faults = await look(page, "consent")

    # narrowed, after a proof of identity
    await expect(page.get_by_label("Delete orders")).not_to_be_checked()
    await press(page, "checkbox", "Change orders", "Space")
    await press(page, "radio", "Only these", "Space")
    await press(page, "checkbox", ada.store_name, "Space")
    await grow_old(site, ada)
    await press(page, "button", "Approve", "Enter")
    await headed(page, "Confirm that it is you")
    await page.get_by_label("Master key", exact=True).fill(ada.master_key)
    await page.get_by_label("Master key", exact=True).press("Enter")
    await headed(page, "Connect “Teapot”?")
    await expect(page.get_by_label("Change orders")).not_to_be_checked()
    await expect(page.get_by_label(ada.store_name)).to_be_checked()
    faults += await look(page, "consent-again", views=READ_BY_AXE)
    await press(page, "button", "Approve", "Enter")
    await page.wait_for_url(f"{done}?*")
    code = answer_in(page.url)["code"]
    await page.go_back()  # no way through the page that led on, and nothing is stuck
    await headed(page, "Connect “Teapot”?")
    await expect(page.get_by_role("button", name="Approve")).to_be_enabled()

    # it calls, as far as it was allowed
    async with open_services(site.settings) as services:
        pair = await exchange(services, client, code, redirect_uri=callback)
    site.made.append(pair.access.reveal())
    async with agent(site, ada) as other:
        app = AgentClient(other.http, pair.access.reveal())
        await app.get("orders_get", order_id=FIRST_ORDER)
        assert await denied(app, "orders_update", order_id=FIRST_ORDER, changes={"notes": "x"})

        # the page of connected apps, and its end
        await page.goto("/")
        await settled(page)
        await go_to(page, "Connected apps")
        row = page.get_by_role("row").filter(has_text="Teapot")
        await expect(row).to_contain_text("See stores, Read orders")
        await expect(row).to_contain_text(ada.store_name)
        faults += await look(page, "apps", title="Connected apps")
        await press(page, "button", "Narrow Teapot", "Enter")
        dialog = page.get_by_role("dialog", name="Narrow “Teapot”")
        faults += await look(page, "apps-narrow", views=READ_BY_AXE)
        await dialog.get_by_label("See stores").press("Space")
        await dialog.get_by_role("button", name="Narrow").press("Enter")
        await expect(notice(page, "“Teapot” is narrowed")).to_be_visible()
        await expect(row).not_to_contain_text("See stores")
        assert await denied(app, "stores_list")
        await press(page, "button", "Disconnect Teapot", "Enter")
        await expect(notice(page, "“Teapot” is disconnected")).to_be_visible()
        assert (await app.post("tools/list", {})).status_code == 401

    assert not faults, "\n".join(faults)


async def test_many_stores_with_long_names_lie_below_each_other(
    site: Site, opens: Opens, ada: Account
) -> None:
    async with open_services(site.settings) as services:
        client = await add_client(services, f"many-{ada.tenant_id}", name="Teapot")
        user = await services.sessions.resume(ada.cookie)
        assert user is not None
        for _ in range(11):
            await services.stores.add_sandbox(user.actor)
        await services.database.execute(
            "UPDATE stores SET name = 'Tea and coffee of the whole of North Yorkshire, ' || name "
            "WHERE tenant_id = :tenant",
            {"tenant": ada.tenant_id},
        )
    page = await (await opens(ada, size=NARROW)).new_page()

    await page.goto(f"/authorize?{query(client.client_id)}")
    await page.get_by_role("radio", name="Only these").check()
    tops_and_bottoms = await page.evaluate(
        """() => [...document.querySelectorAll(".choices .check > span")].map((words) => {
            const box = words.getBoundingClientRect();
            return [box.top, box.bottom];
        })"""
    )

    assert len(tops_and_bottoms) == 12
    for (_, bottom), (top, _) in itertools.pairwise(tops_and_bottoms):
        assert top >= bottom


async def test_an_app_of_its_own_scheme_leaves_its_person_at_a_page_that_says_what_was_done(
    site: Site, opens: Opens, ada: Account
) -> None:
    own = "cursor://anysphere.cursor-mcp/callback"
    async with open_services(site.settings) as services:
        client = await add_client(
            services, f"cursor-{ada.tenant_id}", name="Cursor", redirect_uris=[own]
        )
    context = await opens(ada)
    context.watch.expect(f"left the server: {own}")
    context.watch.expect("^400 GET /authorize")
    page = await context.new_page()
    address = f"/authorize?{query(client.client_id, redirect_uri=own)}"

    await page.goto(address)
    await press(page, "button", "Approve", "Enter")
    await headed(page, "You approved “Cursor”")
    link = await page.get_by_role("link", name="Open the app").get_attribute("href")
    faults = await look(page, "consent-approved", views=READ_BY_AXE)
    page = await context.new_page()  # the one before goes on to the app by itself
    await page.goto(address)
    await press(page, "button", "Cancel", "Enter")
    await headed(page, "You did not connect “Cursor”")

    # what leads nowhere, and who may connect nothing
    page = await context.new_page()
    await page.goto(f"/authorize?{query('nobody')}")
    await headed(page, "The app could not be connected")
    faults += await look(page, "consent-unknown", views=READ_BY_AXE)
    async with open_services(site.settings) as services:
        await services.database.execute(
            "UPDATE memberships SET role = 'viewer' WHERE tenant_id = :tenant",
            {"tenant": ada.tenant_id},
        )
    await page.goto(address)
    await expect(page.get_by_text("Only owners and members")).to_be_visible()
    await expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    faults += await look(page, "consent-viewer", views=READ_BY_AXE)
    await page.goto("/apps")
    await settled(page)
    await expect(page.get_by_text("Only owners and members")).to_be_visible()

    assert link is not None
    assert link.startswith(f"{own}?code=")
    assert not faults, "\n".join(faults)
