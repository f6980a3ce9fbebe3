"""Each figure on Home is real: it changes when the data changes."""

import re

from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import NARROW, WIDE, Account, Opens, Site, agent
from tests.browser.steps import choose_tool, go_to, result_of, run, settled
from tests.worlds import FIRST_ORDER, SandboxServer


async def open_home(page: Page) -> None:
    await page.goto("/")
    await settled(page)


def tile(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def figure(page: Page, name: str) -> Locator:
    return tile(page, name).locator(".figure")


def region(page: Page, heading: str) -> Locator:
    return page.locator("section").filter(has=page.get_by_role("heading", name=heading, exact=True))


async def test_calls_are_counted(site: Site, ada: Account, page: Page) -> None:
    await open_home(page)
    await expect(figure(page, "Calls")).to_have_text("0")

    async with agent(site, ada) as client:
        for _ in range(3):
            await client.get("stores_list")
    await open_home(page)

    await expect(figure(page, "Calls")).to_have_text("3")
    await expect(tile(page, "Calls")).to_contain_text(
        re.compile(r"Busiest hour from \d\d:\d\d: 3$")
    )


async def test_the_curves_are_a_table_for_who_wants_one(
    site: Site, ada: Account, page: Page
) -> None:
    async with agent(site, ada) as client:
        for _ in range(2):
            await client.get("stores_list")
    await open_home(page)
    newest = page.get_by_role("table").get_by_role("row").nth(1)
    # a screen reader has it at once
    await expect(newest.get_by_role("cell").nth(0)).to_have_text("2")

    await page.get_by_role("button", name="Show as table").click()

    await expect(page.get_by_role("table")).to_be_in_viewport()
    await expect(page.get_by_role("table").get_by_role("row")).to_have_count(25)
    await expect(page.get_by_role("button", name="Show as table")).to_have_attribute(
        "aria-pressed", "true"
    )


async def test_a_phone_shows_the_table_whole_and_the_steps_apart(
    opens: Opens, ada: Account
) -> None:
    page = await (await opens(ada, size=NARROW)).new_page()
    await open_home(page)

    await page.get_by_role("button", name="Show as table").click()

    scrolling = page.locator(".by-hour .scroll")
    await expect(scrolling).to_be_visible()
    assert await scrolling.evaluate("(place) => place.scrollWidth - place.clientWidth") <= 0
    first, second = [
        await link.bounding_box() for link in (await page.locator(".step a").all())[:2]
    ]
    assert first is not None
    assert second is not None
    assert second["y"] - first["y"] - first["height"] >= 8


async def test_bars_of_one_length_say_the_same(site: Site, opens: Opens, ada: Account) -> None:
    await site.connect(ada, "10022", "A second store with a name that needs its room")
    async with agent(site, ada) as client:
        await client.get("orders_list", limit=1, store_identifier=ada.store_name)
    page = await (await opens(ada)).new_page()

    for size in (WIDE, NARROW):
        await page.set_viewport_size({"width": size[0], "height": size[1]})
        await open_home(page)
        bars = page.locator(".meter")
        await expect(bars).to_have_count(2)
        widths = await bars.evaluate_all(
            "(bars) => bars.map((bar) => bar.getBoundingClientRect().width)"
        )
        assert widths[0] == widths[1] > 40


async def test_errors_are_counted_and_shared_out(site: Site, ada: Account, page: Page) -> None:
    async with agent(site, ada) as client:
        await client.get("stores_list")
        await client.call("orders_get", order_id="999999999")
    await open_home(page)
    await expect(figure(page, "Errors")).to_have_text("1")
    await expect(tile(page, "Errors")).to_contain_text(re.compile(r"50\.0\s%"))

    async with agent(site, ada) as client:
        await client.call("orders_get", order_id="not a number")
    await open_home(page)

    await expect(figure(page, "Errors")).to_have_text("2")


async def test_the_median_is_that_of_the_calls(site: Site, ada: Account, page: Page) -> None:
    await open_home(page)
    await expect(figure(page, "Median duration")).to_have_text("–")

    async with agent(site, ada) as client:
        for number in range(1, 4):  # reads that went well are folded into one line
            await client.call("orders_get", order_id=f"99999999{number}")
    await open_home(page)
    await expect(figure(page, "Calls")).to_have_text("3")

    shown = await figure(page, "Median duration").inner_text()
    took = [
        await line.locator(".took").inner_text()
        for line in await region(page, "Latest")
        .get_by_role("listitem")
        .filter(has_text="tried to read order")
        .all()
    ]
    durations = [words for words in took if words]
    assert len(durations) == 3
    assert shown == sorted(durations, key=_milliseconds)[1], (
        f"{shown} is not the middle of {durations}"
    )


async def test_what_the_cache_saved_is_counted(site: Site, ada: Account, page: Page) -> None:
    async with agent(site, ada) as client:
        await client.get("orders_get", order_id=FIRST_ORDER)
    await open_home(page)
    await expect(figure(page, "Saved by cache")).to_have_text("0")

    async with agent(site, ada) as client:
        assert (await client.get("orders_get", order_id=FIRST_ORDER))["cached"] is True
    await open_home(page)

    await expect(figure(page, "Saved by cache")).to_have_text("1")
    await expect(tile(page, "Saved by cache")).to_contain_text("of 2 requests")


async def test_the_latest_says_who_did_what_with_what_outcome(
    site: Site, ada: Account, page: Page
) -> None:
    async with agent(site, ada) as client:
        await client.get(
            "orders_update", order_id=FIRST_ORDER, changes={"shipping": {"city": "Malmö"}}
        )
        await client.call("orders_get", order_id="999999999")

    await open_home(page)

    lines = region(page, "Latest").get_by_role("listitem")
    await expect(lines.nth(0)).to_contain_text("order 999999999")
    await expect(lines.nth(0).locator(".badge.gray")).to_have_text("Not found")
    await expect(lines.nth(1)).to_contain_text(f"changed order {FIRST_ORDER}")
    await expect(lines.nth(1)).to_contain_text(ada.store_name)
    await expect(lines.nth(1).locator(".badge.green")).to_have_text("Done")
    await expect(lines.nth(1).locator(".badge.violet")).to_have_text("Claude on the till")


async def test_the_page_shows_a_call_as_it_happens_and_its_time_runs(
    site: Site, ada: Account, page: Page
) -> None:
    await open_home(page)

    async with agent(site, ada) as client:
        await client.get("stores_list")

    await expect(figure(page, "Calls")).to_have_text("1")
    time = region(page, "Latest").locator("time").first
    await expect(time).to_have_text(re.compile(r"^[2-9] s ago$"))  # with no word from the server
    await expect(time).to_have_attribute("title", re.compile(r"\d\d:\d\d:\d\d \S+$"))


async def test_all_activity_is_narrowed_by_its_form_and_downloaded(
    site: Site, ada: Account, page: Page
) -> None:
    async with agent(site, ada) as client:
        await client.get("stores_list")
        await client.call("orders_get", order_id="999999999")
    await open_home(page)
    await page.get_by_role("link", name="All activity").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Activity")
    await settled(page)
    rows = page.get_by_role("main").locator(".lines > li")
    missing = rows.filter(has_text="order 999999999")
    await expect(missing).to_have_count(1)
    others = rows.filter(has_not_text="order 999999999")
    await expect(others.first).to_be_visible()

    await page.get_by_text("Filter", exact=True).click()
    await page.get_by_label("Outcome").select_option("Not found")
    await page.get_by_role("button", name="Show", exact=True).click()
    await expect(page).to_have_url(re.compile(r"/activity\?outcome=NOT_FOUND$"))
    await expect(rows).to_have_count(1)
    async with page.expect_download() as download:
        await page.get_by_role("link", name="CSV").click()
    await page.get_by_role("link", name="Remove the filter: Not found").click()
    await expect(others.first).to_be_visible()
    await page.go_back()

    await expect(rows).to_have_count(1)
    await expect(page.get_by_label("Outcome")).to_have_value("NOT_FOUND")
    assert re.fullmatch(r"activity-\d{4}-\d\d-\d\d\.csv", (await download.value).suggested_filename)


async def test_a_stores_health_is_that_of_its_last_call(
    site: Site, ada: Account, page: Page
) -> None:
    await open_home(page)
    await expect(region(page, "Stores")).to_contain_text("No calls in 24 h")

    async with agent(site, ada) as client:
        await client.get("orders_list", limit=1)
    await open_home(page)

    await expect(
        region(page, "Stores").get_by_role("listitem").filter(has_text=ada.store_name)
    ).to_contain_text("1 call")
    await expect(region(page, "Stores").locator(".badge")).to_have_text("Answers")


async def test_a_newcomers_steps_are_done_one_by_one(site: Site, opens: Opens) -> None:
    account = await site.make_account("Step by step", with_store=False)
    page = await (await opens(account)).new_page()
    await open_home(page)
    steps = region(page, "First steps").get_by_role("listitem")
    await expect(steps.filter(has_text="Done:")).to_have_count(0)
    await expect(page.get_by_role("main").get_by_role("heading", level=2).first).to_have_text(
        "First steps"
    )

    await steps.nth(0).get_by_role("link").click()
    await page.get_by_role("button", name="Try the sandbox store").click()
    await expect(page.get_by_role("heading", name="Sandbox store", level=2)).to_be_visible()
    await go_to(page, "Home")
    await expect(steps.filter(has_text="Done:")).to_have_count(1)

    headings = page.get_by_role("main").get_by_role("heading", level=2)
    # first what goes on, now that something can
    await expect(headings.last).to_have_text("First steps")

    await steps.nth(1).get_by_role("link").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Console")
    await choose_tool(page, "stores_list")
    await run(page)
    await result_of(page)
    await go_to(page, "Home")
    await expect(steps.filter(has_text="Done:")).to_have_count(2)

    await _give_key(site, account)
    await open_home(page)
    await expect(steps.filter(has_text="Done:")).to_have_count(3)

    async with agent(site, account) as client:
        await client.get("stores_list")
    await open_home(page)
    await expect(page.get_by_role("heading", name="First steps")).to_have_count(0)


async def test_a_store_that_fails_is_a_problem_with_a_next_step(
    site: Site, opens: Opens, sandbox_server: SandboxServer
) -> None:
    account = await site.make_account("Trouble", with_store=False)
    await site.connect(account, "10021", "Shop in trouble")
    page = await (await opens(account)).new_page()
    await open_home(page)
    await expect(page.get_by_role("main").get_by_text("Shop in trouble failed")).to_have_count(0)

    sandbox_server.fault("server_error", store_id="10021", times=50)
    async with agent(site, account) as client:
        await client.call("orders_get", order_id=FIRST_ORDER)
    sandbox_server.control("DELETE", "faults")
    await open_home(page)

    await expect(
        page.get_by_role("main").get_by_role("status").filter(has_text="Shop in trouble")
    ).to_contain_text("Test the connection")


async def _give_key(site: Site, account: Account) -> None:
    account.access_key = await site.new_key(account)


def _milliseconds(words: str) -> float:
    number, unit = words.removeprefix("under ").split(" ")
    return float(number) * (1000 if unit == "s" else 1) - (0.5 if words.startswith("under") else 0)
