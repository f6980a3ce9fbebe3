"""What we keep of `GET /store`: never a secret, though Order Desk's settings hold several
(docs/orderdesk-api.md section 6.9).
"""

import re
from decimal import Decimal

from orderdesk_app.context import Json, JsonObject, Secret
from orderdesk_app.orderdesk.answers import LONG_ENOUGH_TO_SEARCH
from orderdesk_app.orderdesk.comparison import as_map

# All that is kept of the settings. The rest are a merchant's own: addresses, names, words, and what
# later versions of Order Desk may add.
_HARMLESS = frozenset(
    {
        "timezone",
        "locale_code",
        "store_country",
        "country_name_format",
        "currency",
        "currency_symbol",
        "date_format",
        "short_date_format",
        "orders_per_page",
        "weight_unit",
        "auto_update_stock_count",
        "auto_create_inventory_items",
        "normalize_capitalization",
        "normalize_phone_numbers",
        "limit_address_field_char_length",
        "app_version",
    }
)
_LONGEST = 60  # characters of a setting that is kept
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_SECRET_PARTS = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "credential",
    "privatekey",
    "smtp",
    "signature",
    "oauth",
    "bearer",
)
_SECRET_WORDS = frozenset({"key", "keys", "pass", "pwd", "auth", "pin", "hash", "salt"})
_SIGNED_IN_ADDRESS = re.compile(r"//[^/@\s]*:[^/@\s]*@")


def view(store: JsonObject, key: Secret) -> JsonObject:
    """`{"id", "name", "timezone", "locale", "folders": [[id, name], …], "settings"}`: ids as texts,
    folders in Order Desk's order, a missing name or time zone as "".
    """
    settings = harmless(without_secrets(as_map(store.get("settings")), key))
    listed: list[Json] = [[folder_id, name] for folder_id, name in folders(store.get("folders"))]
    return {
        "id": str(store.get("id", "")),
        "name": _text(store.get("name")),
        "timezone": _text(settings.get("timezone")),
        "locale": _text(settings.get("locale_code")),
        "folders": listed,
        "settings": settings,
    }


def folders(value: object) -> list[list[str]]:
    """`[[id, name], …]` of the map id to name; new orders go into the first folder."""
    return [[str(folder_id), _text(name)] for folder_id, name in as_map(value).items()]


def harmless(settings: JsonObject) -> JsonObject:
    """The settings that say how the store is set up, and nothing about its owner: short plain
    values under names of our list.
    """
    return {name: item for name, item in settings.items() if name in _HARMLESS and _is_short(item)}


def _is_short(item: object) -> bool:
    return isinstance(item, int | float | Decimal) or (
        isinstance(item, str) and len(item) <= _LONGEST and "@" not in item
    )


def without_secrets(settings: JsonObject, key: Secret) -> JsonObject:
    """The settings without the values that have a secret's name, contain the store's key, or are a
    URL with a password.
    """
    return {
        name: _cleaned(item, key)
        for name, item in settings.items()
        if not _names_a_secret(name) and not _is_a_secret(item, key)
    }


def _cleaned(value: Json, key: Secret) -> Json:
    if isinstance(value, dict):
        return without_secrets(value, key)
    if isinstance(value, list):
        return [_cleaned(item, key) for item in value if not _is_a_secret(item, key)]
    return value


def _names_a_secret(name: str) -> bool:
    words = [word.lower() for word in _WORDS.split(name) if word]
    joined = "".join(words)
    return any(part in joined for part in _SECRET_PARTS) or not _SECRET_WORDS.isdisjoint(words)


def _is_a_secret(item: object, key: Secret) -> bool:
    if not isinstance(item, str) or not item:
        return False
    opens = key.reveal()
    return (item == opens if len(opens) < LONG_ENOUGH_TO_SEARCH else opens in item) or bool(
        _SIGNED_IN_ADDRESS.search(item)
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
