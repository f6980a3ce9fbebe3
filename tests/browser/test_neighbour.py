"""There is always a neighbour, signed in in a browser of their own; nothing of theirs is ever seen,
whatever address is typed.
"""

from typing import Any

from playwright.async_api import expect

from tests.browser.conftest import WIDE, Opens, Site, agent
from tests.browser.steps import settled
from tests.worlds import FIRST_ORDER

NAME, CITY = "Bert-Ola's secret bicycles", "Hemlighetstorp"


async def test_a_neighbour_sees_nothing_on_any_page(
    site: Site, opens: Opens, pages: list[dict[str, Any]]
) -> None:
    bert, ada = await site.make_account(NAME), await site.make_account("Ada next door")
    async with agent(site, bert) as client:
        changed = await client.get(
            "orders_update", order_id=FIRST_ORDER, changes={"shipping": {"city": CITY}}
        )
        await client.get("stores_list")
    call_id = await site.console_call(bert, "orders_get", {"order_id": FIRST_ORDER})
    context = await opens(ada, size=WIDE)
    page = await context.new_page()
    context.watch.expect("^404 GET /no/such/page")

    seen = []
    addresses = [entry["address"] for entry in pages if not entry["is_public"]]
    for address in [*addresses, f"/console?call={call_id}", f"/stores?store={bert.store_id}"]:
        await page.goto(address)
        await settled(page)
        seen.append(await page.content())

    for words in (NAME, CITY, bert.store_id, bert.tenant_id, changed["change_id"], bert.store_key):
        assert words not in "".join(seen), f"“{words}” is the neighbour's"
    await page.goto("/")
    await settled(page)
    await expect(
        page.get_by_role("region", name="Calls", exact=True).locator(".figure")
    ).to_have_text("0")


async def test_the_neighbours_own_page_shows_it(site: Site, opens: Opens) -> None:
    """The search above would find it if it were there."""
    bert = await site.make_account(NAME)
    page = await (await opens(bert)).new_page()

    await page.goto("/stores")
    await settled(page)

    assert bert.store_id in await page.content()
    assert NAME in await page.content()
