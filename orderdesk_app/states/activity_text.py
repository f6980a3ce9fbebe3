"""A tool call in plain words: "changed order 1042: shipping, order_notes".

A tool without a phrase of its own is named by its title.
"""

from collections.abc import Mapping
from typing import Literal

from orderdesk_app.context import Actor, Role
from orderdesk_app.services.activity import QuietCalls
from orderdesk_app.services.activity_entries import AGENTS, ActivityEntry
from orderdesk_app.services.audit import DENIED
from orderdesk_app.services.console import PastCall
from orderdesk_app.services.keys import MASTER_NAME
from orderdesk_app.services.roles import Permission
from orderdesk_app.tools.catalogue import every_tool

# What was done, and what was tried when it failed.
_PHRASES = {
    "orders_list": ("listed orders", "to list orders"),
    "orders_get": ("read order {order_id}", "to read order {order_id}"),
    "orders_create": ("created an order", "to create an order"),
    "orders_update": ("changed order {order_id}", "to change order {order_id}"),
    "orders_delete": ("deleted order {order_id}", "to delete order {order_id}"),
    "products_list": ("listed products", "to list products"),
    "products_get": ("read product {product_id}", "to read product {product_id}"),
    "stores_list": ("listed the stores", "to list the stores"),
    "stores_register": ("connected store {store_id}", "to connect store {store_id}"),
    "stores_delete": ("disconnected store {store_id}", "to disconnect store {store_id}"),
    "stores_use_store": ("chose store {identifier}", "to choose store {identifier}"),
    "stores_resolve": ("looked for store {identifier}", "to find store {identifier}"),
    "tenant_use_master_key": ("checked a master key", "a master key"),
}
_ACTIONS = {
    "account.open": ("opened this account with a new master key", "to open an account"),
    "sign_in.key": ("signed in with a key", "to sign in with a key"),
    "sign_in.link": ("signed in with a link", "to sign in with a link"),
    "confirm.key": ("confirmed who they are with a key", "to confirm who they are with a key"),
    "confirm.mail": ("asked for a link to confirm who they are", "to get a link"),
    "confirm.link": ("confirmed who they are with a link", "to confirm who they are with a link"),
    "sign_up": ("opened the account", "to open the account"),
    "sign_in.mail": ("asked for a sign-in link", "to ask for a sign-in link"),
    "confirm.passkey": (
        "confirmed who they are with a passkey",
        "to confirm who they are with a passkey",
    ),
    "sign_in.passkey": ("signed in with a passkey", "to sign in with a passkey"),
    "passkey.add": ("added the passkey “{name}”", "to add a passkey"),
    "passkey.remove": ("removed the passkey “{name}”", "to remove a passkey"),
    "sign_in.switch": ("came from another account of theirs", "to come from another account"),
    "sign_out": ("signed out", "to sign out"),
    "session.end": ("ended a session: {device}", "to end a session"),
    "session.end_others": ("ended all other sessions", "to end all other sessions"),
    "profile.rename": ("chose another name", "to choose another name"),
    "person.invite": ("invited somebody as {role}", "to invite somebody"),
    "person.withdraw": ("withdrew an invitation", "to withdraw an invitation"),
    "person.join": ("joined the account as {role}", "to join the account"),
    "person.role": ("made {person} {role}", "to change a role"),
    "person.remove": ("removed {person}", "to remove somebody"),
    "person.leave": ("left the account", "to leave the account"),
    "key.check": ("had a key checked", "to connect with a key that no longer works"),
    "key.create": ("made the key “{name}”", "to make a key"),
    "key.edit": ("edited the key “{name}”", "to edit a key"),
    "key.rotate": ("replaced the key “{name}”", "to replace a key"),
    "key.revoke": ("revoked the key “{name}”", "to revoke a key"),
    "key.rotate_master": ("replaced the master key", "to replace the master key"),
    "key.make_master": ("made the master key", "to make the master key"),
    "app.connect": ("connected the app “{app}”", "to connect an app"),
    "app.refuse": ("did not connect the app “{app}”", "to refuse an app"),
    "app.narrow": ("narrowed the app “{app}”", "to narrow an app"),
    "app.disconnect": ("disconnected the app “{app}”", "to disconnect an app"),
    "app.replay": ("a second use of a token of “{app}” ended it", "to use a token of an app twice"),
    "store.connect": ("connected {store}", "to connect store {store_id}"),
    "store.edit": ("edited {store}", "to edit {store}"),
    "store.disconnect": ("disconnected {store}", "to disconnect {store}"),
    "data.export": ("downloaded their data", "to download their data"),
    "user.delete": ("deleted a user", "to delete a user"),
    "account.delete": ("deleted an account", "to delete an account"),
    "activity.export": ("downloaded the activity", "to download the activity"),
    "user.disable": ("disabled a user", "to disable a user"),
    "user.enable": ("enabled a user", "to enable a user"),
    "user.make_operator": ("made a user an operator", "to make a user an operator"),
    "user.remove_operator": ("took a user's rights as an operator", "to take an operator's rights"),
    "store.test": ("tested the connection of {store}", "the connection of {store}"),
}
# What somebody asked for on a page and may not do (AuditLog.refuse_act).
_ACTIONS |= {
    f"{DENIED}{permission}": (f"was refused to {words}", f"to {words}")
    for permission in Permission
    for words in [permission.words.replace("its ", "the account's ").replace(" it", " the account")]
}
_ACTIONS |= {
    f"{DENIED}operators": ("was refused what operators do", "to do what operators do"),
    f"{DENIED}other": ("was refused something", "to do what they may not do"),
}
_A_ROLE = {role.value: role.with_article for role in Role}
_OUTCOMES = {
    "ok": "Done",
    "VALIDATION_ERROR": "Refused here: not valid",
    "AUTH_ERROR": "Key refused",
    "PERMISSION_DENIED": "Refused here: not allowed",
    "NOT_FOUND": "Not found",
    "CONFLICT_ERROR": "Conflict",
    "RATE_LIMIT_EXCEEDED": "Refused here: too many calls",
    "ORDERDESK_API_ERROR": "Order Desk failed",
    "INTERNAL_ERROR": "Failed on our side",
    "CANCELLED": "Given up by the caller",
    "NOT_DONE": "Not done",
    "UNKNOWN": "Outcome unknown",
}
# Nothing has failed: what was asked for was refused, or is not there.
_TONES: dict[str, str] = {
    "VALIDATION_ERROR": "amber",
    "PERMISSION_DENIED": "amber",
    "RATE_LIMIT_EXCEEDED": "amber",
    "CONFLICT_ERROR": "amber",
    "NOT_FOUND": "gray",
    "CANCELLED": "gray",
}
_LONGEST = 40  # characters of a name in a sentence
_STORE_IS_AT_FAULT = frozenset({"AUTH_ERROR", "ORDERDESK_API_ERROR"})
_ENTRY_POINTS = {
    "console": "You, in the console",
    "web": "You",
    "mcp": "An assistant",
    "stdio": "An assistant",
    "system": "The system",
    "shell": "Somebody at the server's shell",
}


def actor_label(entry: ActivityEntry | QuietCalls, actor: Actor) -> str:
    """Who did it, for the person who looks: "You" is that person alone. An agent has the name that
    a person gave to its key; without one, its own name where it sent one.
    """
    if entry.via in AGENTS:
        return entry.key or entry.client or _ENTRY_POINTS[entry.via]
    label = _ENTRY_POINTS.get(entry.via, "Somebody")
    if entry.master_key_id is not None and entry.master_key_id != actor.credential_id:
        # whoever has the key: that need not be the owner in whose name it acts
        return label.replace("You", entry.key, 1)
    if entry.user_id == actor.user_id:
        return label
    somebody = "Somebody who has left" if entry.user_id else "Somebody"
    return label.replace("You", entry.person or somebody, 1)


def caller_label(call: PastCall, actor: Actor) -> str:
    """Who ran it in the console, for the person who looks; empty for a call of long ago."""
    if call.master_key_id is not None and call.master_key_id != actor.credential_id:
        return MASTER_NAME
    if call.user_id is None:
        return ""
    return "You" if call.user_id == actor.user_id else call.person or "Somebody who has left"


def means_of(entry: ActivityEntry | QuietCalls, actor: Actor) -> list[str]:
    """By what it was done, as far as `actor_label` does not say it: the program that used a key, as
    it calls itself; the colleague whose key it was; the master key of the one who looks.
    """
    if entry.via not in AGENTS:
        is_yours = entry.master_key_id is not None and entry.master_key_id == actor.credential_id
        return [entry.key.lower()] if is_yours else []
    if not entry.key:
        return []
    is_of_another = entry.master_key_id is None and entry.user_id != actor.user_id
    return [part for part in (entry.client, entry.person if is_of_another else "") if part]


def summary_of(entry: ActivityEntry) -> str:
    """Never empty; starts with a verb."""
    words = _words_of(entry)
    return words if entry.times == 1 else f"{words} ({entry.times:,} times)"


def _words_of(entry: ActivityEntry) -> str:
    is_ok = entry.outcome == "ok"
    given = {
        name: _short(str(value))
        for name, value in entry.arguments.items()
        if isinstance(value, str | int)
    }
    if entry.action == "order.settle":
        done, tried = _PHRASES.get(
            f"orders_{given.get('change')}", ("changed an order", "to change an order")
        )
        return (
            (f"{done}, as a later read showed" if is_ok else f"tried {tried}")
            .format_map(_Left(given))
            .rstrip()
        )
    if entry.tool is None:
        done, tried = _ACTIONS.get(entry.action, (entry.action, entry.action))
        given["store"] = f"“{given['store']}”" if "store" in given else "a store"
        given["role"] = _A_ROLE.get(given.get("role", ""), "somebody else")
        return (done if is_ok else f"tried {tried}").format_map(_Left(given)).rstrip()
    if changed_nothing(entry):
        return f"changed nothing in order {given.get('order_id', '')}".rstrip()
    title = _titles().get(entry.tool, entry.tool)
    done, tried = _PHRASES.get(entry.tool, (f"ran “{title}”", f"“{title}”"))
    changes = entry.arguments.get("changes") if entry.tool == "orders_update" else None
    folder = (
        changes.get("folder_name") if isinstance(changes, Mapping) and len(changes) == 1 else None
    )
    if isinstance(folder, str):
        given["folder"], done, tried = (
            _short(folder),
            "moved order {order_id} to {folder}",
            "to move order {order_id} to {folder}",
        )
        changes = None
    words = (done if is_ok else f"tried {tried}").format_map(_Left(given)).rstrip()
    if isinstance(changes, Mapping):
        words += ": " + ", ".join(str(name).replace("_", " ") for name in list(changes)[:4])
    return words


def action_labels() -> dict[str, str]:
    """What people do on the pages, by the name of the action: "made a key"."""
    gaps = {"store": "a store", "name": "…"}
    return {
        name: " ".join(_without_names(done).format_map(gaps).split())
        for name, (done, _) in _ACTIONS.items()
    }


def _without_names(phrase: str) -> str:
    for named, plain in (
        ("the key “{name}”", "a key"),
        ("the app “{app}”", "an app"),
        ("of “{app}” ended it", "of an app ended it"),
        (": {device}", ""),
        (" as {role}", ""),
        ("made {person} {role}", "changed a role"),
        ("{person}", "somebody"),
    ):
        phrase = phrase.replace(named, plain)
    return phrase


def outcome_label(outcome: str) -> str:
    """An outcome's code as people say it."""
    return _OUTCOMES.get(outcome, outcome)


def changed_nothing(entry: ActivityEntry) -> bool:
    """A change that went well and had nothing to write: the order was so already."""
    return entry.tool == "orders_update" and entry.outcome == "ok" and entry.change_id is None


def kind_of(entry: ActivityEntry) -> Literal["failed", "deleted", "changed", "read"]:
    """What it was, to the eye."""
    tool = next((tool for tool in every_tool() if tool.name == entry.tool), None)
    if entry.outcome != "ok":
        return "failed"
    is_deletion = entry.action in ("store.disconnect", "key.revoke", "app.disconnect") or (
        entry.action == "order.settle" and entry.arguments.get("change") == "delete"
    )
    if is_deletion or (tool is not None and tool.deletes):
        return "deleted"
    return "read" if (tool is not None and tool.reads) or changed_nothing(entry) else "changed"


def outcome_of(entry: ActivityEntry) -> tuple[str, str]:
    """How it ended, in words and as a colour."""
    if entry.outcome != "ok":
        return outcome_label(entry.outcome), _TONES.get(entry.outcome, "red")
    if changed_nothing(entry):
        return "Nothing changed", "gray"
    if entry.cached:
        return "From cache", "green"
    is_gone = kind_of(entry) == "deleted" and entry.action in ("tool", "order.settle")
    return ("Deleted", "red") if is_gone else ("Done", "green")


def quiet_label(calls: QuietCalls) -> str:
    """What was done how often: "listed orders 12 times, read order 3 times"."""
    parts = []
    for name, count in sorted(calls.counts.items(), key=lambda counted: -counted[1]):
        phrase = (_PHRASES.get(name) or _ACTIONS.get(name) or (name,))[0]
        words = " ".join(phrase.format_map(_Left(store="a store")).split())
        parts.append(words if count == 1 else f"{words} {count:,} times")
    return ", ".join(parts)


def is_store_at_fault(outcome: str) -> bool:
    """Whether a call failed because of the store or its key, not because of what was asked."""
    return outcome in _STORE_IS_AT_FAULT


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


class _Left(dict[str, str]):
    """An argument that was left out leaves its place empty."""

    def __missing__(self, name: str) -> str:
        return ""


def _titles() -> dict[str, str]:
    return {tool.name: tool.title for tool in every_tool()}
