"""Runs after all other tests of the browser: no secret of anybody stands in what the browser got,
in the files, or in the logs, but where a new key is shown.
"""

import json

from playwright.async_api import expect

from tests.browser.conftest import CHAPTER, Opens, Site, agent
from tests.browser.steps import (
    choose_tool,
    form_of,
    go_to,
    make_key,
    result_of,
    run,
    settled,
    sign_out,
)
from tests.searcher import files_below, search
from tests.worlds import API_KEY, FIRST_ORDER


async def test_no_secret_is_left_behind_by_all_that_was_done(site: Site, opens: Opens) -> None:
    account = await site.make_account("Careful")
    context = await opens()
    page = await context.new_page()
    await page.goto("/sign-in")
    await settled(page)
    await page.get_by_label("Key", exact=True).fill(account.master_key)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Home")
    key = await make_key(site, page, "For the search")
    async with agent(site, account) as client:
        await client.get(
            "orders_update", order_id=FIRST_ORDER, changes={"shipping": {"city": "Lund"}}
        )
    await page.goto("/console?tool=stores_register")
    await settled(page)
    await form_of(page).get_by_label("store_id").fill("10041")
    await form_of(page).get_by_label("api_key").fill(API_KEY)
    await run(page)
    await result_of(page)
    await choose_tool(page, "orders_get")
    await go_to(page, "Stores")
    await go_to(page, "Home")
    storage = json.dumps(
        [
            await context.storage_state(),
            await page.evaluate("() => [{...localStorage}, {...sessionStorage}, document.cookie]"),
        ]
    )
    cookie = next(c["value"] for c in await context.cookies() if c["name"] == "orderdesk_session")
    await sign_out(page)

    files = files_below(site.folder)
    files[str(site.folder / "stdout")] = site.printed()
    heard = site.recorder.outside(CHAPTER)
    own = {
        "the master key": account.master_key,
        "the new key": key,
        "the store's key": account.store_key,
        "a typed key": API_KEY,
        "the KMS key": site.kms_key,
    }
    everybodys = {
        **{
            f"the {what} key of {one.name}": secret
            for one in site.accounts
            for what, secret in one.keys().items()
        },
        **{
            f"shown key {number}": secret for number, secret in enumerate([*site.shown, *site.made])
        },
        **{f"link {number}": link.partition("token=")[2] for number, link in enumerate(site.links)},
    }

    found = search({**own, "the cookie": cookie}, files) + search(
        own,
        {
            "what the browser got": heard,
            "what the browser keeps": storage.replace(cookie, "").encode(),
        },
    )
    found += [
        name
        for name, secret in everybodys.items()
        if secret.encode() in heard or any(secret.encode() in content for content in files.values())
    ]

    assert found == []
    assert cookie not in json.dumps(
        await page.evaluate("() => [{...localStorage}, {...sessionStorage}, document.cookie]")
    ), "scripts never see the cookie"
    assert all(shown.encode() in site.recorder.told(CHAPTER) for shown in site.shown), (
        "the search would find them"
    )
    assert files[str(site.folder / "stderr")].count(b'"event"') > 20, "DEBUG was on"
