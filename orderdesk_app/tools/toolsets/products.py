"""Tools about what a store sells."""

from typing import Annotated, NotRequired

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from orderdesk_app.context import JsonObject, Scope
from orderdesk_app.services.products import MOST_SEARCHED, Products
from orderdesk_app.tools.arguments import AnyObject, Arguments, DigitsId, StoreIdentifier, TextId
from orderdesk_app.tools.catalogue import ToolCall, tool
from orderdesk_app.tools.object_schemas import PRODUCT
from orderdesk_app.tools.paging import Cut, Pagination, cut_words, pagination
from orderdesk_app.tools.views import NOTICE_WORDS, fitting, plain_object

Product = Annotated[AnyObject, WithJsonSchema(PRODUCT)]


class ProductRows(TypedDict):
    notice: str
    products: list[Product]
    pagination: Pagination
    cached: bool
    cut: NotRequired[Cut]
    coverage: NotRequired[
        Annotated[
            str, Field(description="With search: how much of the inventory was looked through.")
        ]
    ]


class OneProduct(TypedDict):
    notice: str
    product: Product
    cached: bool


class ListProducts(Arguments):
    store_identifier: StoreIdentifier = None
    search: str | None = Field(
        default=None,
        description=(
            f"Words to find in names and codes; looks through at most {MOST_SEARCHED:,} products."
        ),
        max_length=200,
        examples=["notebook"],
    )
    code: TextId | None = Field(
        default=None, description="Exactly this SKU.", max_length=200, examples=["NB-A5-DOT"]
    )
    limit: int = Field(default=50, description="How many rows, 1 to 500.", ge=1, le=500)
    offset: int = Field(
        default=0,
        description="How many rows to skip; use next_offset of the page before.",
        ge=0,
        le=1_000_000,
    )


class GetProduct(Arguments):
    product_id: DigitsId = Field(
        description="Order Desk's id of the inventory item.", examples=["1"]
    )
    store_identifier: StoreIdentifier = None


@tool(title="List products", scope=Scope.PRODUCTS_READ, reads=True, example=ListProducts(limit=5))
async def products_list(call: ToolCall, arguments: ListProducts) -> ProductRows:
    """List the products in a store's inventory with prices and stock, or find some by words or
    SKU.
    """
    page = await call.services[Products].page(
        call.actor,
        call.store,
        search=arguments.search,
        code=arguments.code,
        limit=arguments.limit,
        offset=arguments.offset,
        budget=call.budget,
    )
    rows = [_view_of(row) for row in page.products]
    count = fitting(rows)
    result: ProductRows = {
        "notice": NOTICE_WORDS,
        "products": rows[:count],
        "pagination": pagination(
            page.total,
            count,
            arguments.limit,
            arguments.offset,
            page.has_more or count < len(rows),
        ),
        "cached": page.cached,
    }
    if count < len(rows):
        result["cut"] = cut_words(count, len(rows), "next_offset")
    if page.covered is not None:
        result["coverage"] = (
            f"searched all {page.covered} products"
            if page.is_complete
            else f"searched the first {page.covered} products only; narrow by code to reach others"
        )
    return result


@tool(
    title="Get a product", scope=Scope.PRODUCTS_READ, reads=True, example=GetProduct(product_id="1")
)
async def products_get(call: ToolCall, arguments: GetProduct) -> OneProduct:
    """Read one product of a store's inventory by its id."""
    product, cached = await call.services[Products].get(
        call.actor, call.store, arguments.product_id, call.budget
    )
    return {"notice": NOTICE_WORDS, "product": _view_of(product), "cached": cached}


def _view_of(row: JsonObject) -> JsonObject:
    return {**plain_object(row), "id": str(row.get("id", ""))}
