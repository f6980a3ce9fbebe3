"""The tools about products, over both forms of the sandbox."""

import json

from orderdesk_app.mcp.server import call_tool_result
from tests.worlds import World, counted


async def test_products_come_in_pages(world: World) -> None:
    seen: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = await world.owner.get("products_list", limit=120, offset=offset)
        seen += [row["id"] for row in page["products"]]
        offset = page["pagination"]["next_offset"]

    assert len(seen) == len(set(seen)) == 300
    assert page["pagination"] == {
        "total": 300,
        "count": 60,
        "limit": 120,
        "offset": 240,
        "has_more": False,
        "next_offset": None,
    }


async def test_a_page_that_would_be_too_long_is_cut_and_goes_on(world: World) -> None:
    """At most 25,000 tokens of 4 bytes in the larger channel, and no product between the pages."""
    seen: list[str] = []
    cuts = 0
    offset: int | None = 0
    while offset is not None:
        outcome = await world.owner.call("products_list", {"limit": 500, "offset": offset})
        assert outcome.result is not None
        told = call_tool_result(outcome)
        block = told.content[0]
        assert block.type == "text"
        structure = json.dumps(told.structured_content, ensure_ascii=False)
        assert max(len(block.text.encode()), len(structure.encode())) / 4 < 25_000
        seen += [row["id"] for row in outcome.result["products"]]
        cuts += "cut" in outcome.result
        offset = outcome.result["pagination"]["next_offset"]

    assert len(seen) == len(set(seen)) == 300
    assert cuts


async def test_a_product_is_shown_with_its_id_as_text_and_plain_numbers(world: World) -> None:
    product = (await world.owner.get("products_get", product_id=1))["product"]

    assert product["id"] == "1"
    assert isinstance(product["price"], int | float)
    assert product["name"]
    assert None not in product.values()


async def test_a_code_is_exact(world: World) -> None:
    code = (await world.owner.get("products_get", product_id="7"))["product"]["code"]

    found = await world.owner.get("products_list", code=code)
    nothing = await world.owner.get("products_list", code="NO-SUCH-CODE")

    assert [row["code"] for row in found["products"]] == [code]
    assert nothing["products"] == []


async def test_a_search_finds_words_in_names_and_codes_and_says_its_coverage(world: World) -> None:
    product = (await world.owner.get("products_get", product_id="7"))["product"]
    word = product["name"].split()[0].strip(",").lower()

    found = await world.owner.get("products_list", search=word, limit=500)
    by_code = await world.owner.get("products_list", search=product["code"].lower())

    assert "7" in [row["id"] for row in found["products"]]
    assert all(word in f"{row['name']} {row['code']}".lower() for row in found["products"])
    assert found["coverage"] == "searched all 300 products"
    assert found["pagination"]["total"] == len(found["products"])
    assert [row["id"] for row in by_code["products"]] == ["7"]


async def test_pages_of_a_search_follow_one_another(world: World) -> None:
    whole = await world.owner.get("products_list", search="a", limit=500)
    first = await world.owner.get("products_list", search="a", limit=10)
    second = await world.owner.get(
        "products_list", search="a", limit=10, offset=first["pagination"]["next_offset"]
    )

    assert [*first["products"], *second["products"]] == whole["products"][:20]


async def test_a_search_reads_the_inventory_once_and_then_the_cache(world: World) -> None:
    await world.owner.get("products_list", search="mug")
    before = counted("upstream_requests")

    again = await world.owner.get("products_list", search="tea")

    assert again["cached"] is True
    assert counted("upstream_requests") == before


async def test_where_order_desk_ignores_pages_nothing_is_shown_twice(
    world: World, sandbox_server: object
) -> None:
    if world.form != "over_http":
        return
    world_server = sandbox_server
    world_server.switch(inventory_paging="ignored")  # type: ignore[attr-defined]

    first = await world.owner.get("products_list", limit=100)
    second = await world.owner.get("products_list", limit=100, offset=100)
    found = await world.owner.get("products_list", search="mug", limit=500)

    ids = [row["id"] for row in [*first["products"], *second["products"]]]
    assert len(ids) == len(set(ids)) == 200
    assert len({row["id"] for row in found["products"]}) == len(found["products"]) > 0


async def test_a_list_costs_few_tokens(world: World) -> None:
    outcome = await world.owner.call("products_list", {"limit": 25})

    assert (
        len(call_tool_result(outcome).model_dump_json(by_alias=True, exclude_none=True)) / 4 / 25
        < 170
    )
    assert "null" not in json.dumps([*(outcome.result or {})["products"]])
