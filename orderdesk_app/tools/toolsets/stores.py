"""Tools about connected stores: register, list, choose, find, remove."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from orderdesk_app.context import LegacyScope, Scope, Secret
from orderdesk_app.services.access import Principal
from orderdesk_app.services.open_store import StoreRecord
from orderdesk_app.services.store_registration import StoreRegistration
from orderdesk_app.services.stores import Stores
from orderdesk_app.tools.arguments import Arguments, DigitsId, SecretText, TextId
from orderdesk_app.tools.catalogue import ToolCall, tool
from orderdesk_app.tools.order_results import Notice
from orderdesk_app.tools.views import NOTICE_WORDS


class FolderView(TypedDict):
    id: str
    name: str


class StoreView(TypedDict):
    store_id: str
    name: str
    label: str
    active: bool
    sandbox: bool
    timezone: str
    folders: list[FolderView]


class OneStore(TypedDict):
    notice: Notice
    store: StoreView


class ResolvedStore(TypedDict):
    notice: Notice
    store: StoreView
    matched_by: str


class StoreList(TypedDict):
    notice: Notice
    stores: list[StoreView]
    count: int


class DeletedStore(TypedDict):
    deleted: bool
    store_id: str


class RegisterStore(Arguments):
    store_id: DigitsId = Field(
        description="Order Desk's store id, digits: Order Desk, Store Settings, API tab.",
        examples=["10001"],
    )
    api_key: SecretText = Field(
        description="The API key from the same tab. It is tried at once and kept encrypted."
    )
    store_name: str | None = Field(
        default=None,
        description="What to call the store here. Order Desk's own name for it when left out.",
        max_length=120,
        examples=["Paper and Ink"],
    )
    label: str | None = Field(
        default=None,
        description="A short word to find it by, such as `eu` or `wholesale`.",
        max_length=60,
        examples=["eu"],
    )


class NoArguments(Arguments):
    pass


Identifier = Annotated[
    TextId,
    Field(
        description="A store's id, name or label.", min_length=1, max_length=200, examples=["10001"]
    ),
]


class StoreChoice(Arguments):
    identifier: Identifier


class DeleteStore(Arguments):
    store_id: DigitsId = Field(
        description="Order Desk's store id of the store to disconnect.", examples=["10001"]
    )


@tool(
    title="Connect a store",
    scope=Scope.STORES_MANAGE,
    legacy_scope=LegacyScope.STORES_CONNECT,
    reads=False,
    idempotent=False,
    also_called=("create_store", "connect_store"),
    example=RegisterStore(store_id="10001", api_key=Secret("the-api-key-of-the-store"), label="eu"),
)
async def stores_register(call: ToolCall, arguments: RegisterStore) -> OneStore:
    """Connect an Order Desk store to this account.

    The key is tried at Order Desk before anything is stored; a refused one changes nothing.
    """
    record = await call.services[StoreRegistration].add_store(
        call.actor,
        arguments.store_id,
        arguments.api_key,
        name=arguments.store_name,
        label=arguments.label,
        budget=call.budget,
    )
    return {"notice": NOTICE_WORDS, "store": store_view(record, call.principal)}


@tool(
    title="List stores",
    scope=Scope.STORES_READ,
    reads=True,
    open_world=False,
    example=NoArguments(),
)
async def stores_list(call: ToolCall, arguments: NoArguments) -> StoreList:
    """List the connected stores with their folders; `active` marks the one that is used when a call
    names none.
    """
    stores = [store_view(record, call.principal) for record in call.principal.account.stores]
    return {"notice": NOTICE_WORDS, "stores": stores, "count": len(stores)}


@tool(
    title="Choose the active store",
    scope=Scope.STORES_READ,
    reads=False,
    also_called=("use_store", "select_store", "switch_store", "update_store"),
    open_world=False,
    example=StoreChoice(identifier="10001"),
)
async def stores_use_store(call: ToolCall, arguments: StoreChoice) -> OneStore:
    """Make one store the active one for this key: later calls that name no store use it."""
    record = await call.services[Stores].use(call.principal, arguments.identifier)
    return {"notice": NOTICE_WORDS, "store": {**store_view(record, call.principal), "active": True}}


@tool(
    title="Disconnect a store",
    scope=Scope.STORES_MANAGE,
    legacy_scope=LegacyScope.STORES_DISCONNECT,
    reads=False,
    deletes="store_id",
    also_called=("disconnect_store",),
    open_world=False,
    example=DeleteStore(store_id="10001"),
)
async def stores_delete(call: ToolCall, arguments: DeleteStore) -> DeletedStore:
    """Disconnect a store from this account: its key and its journal of changes are deleted here.

    Nothing changes at Order Desk.
    """
    await call.services[Stores].delete(call.principal, arguments.store_id)
    return {"deleted": True, "store_id": arguments.store_id}


@tool(
    title="Find a store",
    scope=Scope.STORES_READ,
    reads=True,
    open_world=False,
    example=StoreChoice(identifier="eu"),
    also_called=("get_store",),
)
async def stores_resolve(call: ToolCall, arguments: StoreChoice) -> ResolvedStore:
    """Tell which store an id, name or label means, and how it matched."""
    record, matched_by = call.services[Stores].resolve(call.principal, arguments.identifier)
    return {
        "notice": NOTICE_WORDS,
        "store": store_view(record, call.principal),
        "matched_by": matched_by,
    }


def store_view(record: StoreRecord, principal: Principal) -> StoreView:
    """A store as tools show it; without its key."""
    return {
        "store_id": record.store_id,
        "name": record.name,
        "label": record.label,
        "active": record.id == principal.active_store_id,
        "sandbox": record.is_sandbox,
        "timezone": record.timezone,
        "folders": [{"id": id_, "name": name} for id_, name in record.folders],
    }
