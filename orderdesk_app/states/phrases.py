"""A tool call in plain words: "changed order 1042: shipping, order_notes". A tool without a phrase of its own is told by its title."""

from collections.abc import Mapping
from typing import Any

from orderdesk_app.services.activity import Happening
from orderdesk_app.tools.catalogue import every_tool

_PHRASES = {
    "orders_list": "listed orders",
    "orders_get": "read order {order_id}",
    "orders_create": "created an order",
    "orders_update": "changed order {order_id}",
    "orders_delete": "deleted order {order_id}",
    "products_list": "listed products",
    "products_get": "read product {product_id}",
    "stores_list": "listed the stores",
    "stores_register": "connected store {store_id}",
    "stores_delete": "disconnected store {store_id}",
    "stores_use_store": "chose store {identifier}",
    "stores_resolve": "looked for store {identifier}",
    "tenant_use_master_key": "checked a master key",
}
_ACTIONS = {
    "sign_in.key": "signed in with a key",
    "sign_in.link": "signed in with a link",
    "store.connect": "connected a store",
    "store.edit": "edited a store",
    "store.disconnect": "deleted a store",
    "store.test": "tested a connection",
}
_DOORS = {"console": "You, in the console", "web": "You", "mcp": "An assistant", "stdio": "An assistant", "system": "The system"}


def who_did(happening: Happening) -> str:
    """The assistant's own name where it gave one."""
    if happening.via in ("mcp", "stdio") and happening.client:
        return happening.client
    return _DOORS.get(happening.via, "Somebody")


def what_was_done(happening: Happening) -> str:
    """Never empty; starts with a verb."""
    if happening.tool is None:
        return _ACTIONS.get(happening.action, happening.action)
    given = {name: str(value)[:40] for name, value in happening.arguments.items() if isinstance(value, str | int)}
    words = _PHRASES.get(happening.tool) or _titles().get(happening.tool, happening.tool)
    return words.format_map(_Left(given)).rstrip() + _details(happening.tool, happening.arguments)


def _details(tool: str, arguments: Mapping[str, Any]) -> str:
    changes = arguments.get("changes")
    if tool == "orders_update" and isinstance(changes, Mapping):
        folder = changes.get("folder_name")
        if isinstance(folder, str) and len(changes) == 1:
            return f": moved to {folder[:40]}"
        return ": " + ", ".join(str(name).replace("_", " ") for name in list(changes)[:4])
    return ""


class _Left(dict[str, str]):
    """An argument that was left out leaves its place empty."""

    def __missing__(self, name: str) -> str:
        return ""


def _titles() -> dict[str, str]:
    return {tool.name: f"ran “{tool.title}”" for tool in every_tool()}
