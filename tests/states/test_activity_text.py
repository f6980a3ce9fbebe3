"""What happened, in words that a person reads on Home."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import orderdesk_app
from orderdesk_app.context import now
from orderdesk_app.services.activity import QUIET_ACTIONS, QuietCalls
from orderdesk_app.services.activity_entries import ActivityEntry
from orderdesk_app.services.activity_log import CHANGING_ACTIONS
from orderdesk_app.services.audit import DENIED
from orderdesk_app.states.activity_text import (
    action_labels,
    is_store_at_fault,
    kind_of,
    outcome_label,
    outcome_of,
    quiet_label,
    summary_of,
)

PACKAGE = Path(orderdesk_app.__file__).parent


def happening(
    action: str,
    outcome: str = "ok",
    *,
    tool: str | None = None,
    change_id: str | None = "a change",
    **arguments: object,
) -> ActivityEntry:
    return ActivityEntry(
        id="01H",
        at=now(),
        action=action,
        tool=tool,
        via="web",
        client="",
        key="",
        store_row_id=None,
        outcome=outcome,
        duration_ms=1.0,
        cached=False,
        request_id="r",
        change_id=change_id,
        arguments=arguments,
    )


@pytest.mark.parametrize(
    ("happened", "words"),
    [
        (
            happening("key.create", name="Claude on the laptop"),
            "made the key “Claude on the laptop”",
        ),
        (happening("key.revoke", name="x" * 80), f"revoked the key “{'x' * 39}…”"),
        (happening("key.rotate_master"), "replaced the master key"),
        (happening("key.make_master"), "made the master key"),
        (happening("sign_out"), "signed out"),
        (happening("sign_in.key", "AUTH_ERROR"), "tried to sign in with a key"),
        (
            happening("store.connect", "AUTH_ERROR", store_id="10006"),
            "tried to connect store 10006",
        ),
        (happening("store.connect", "ORDERDESK_API_ERROR"), "tried to connect store"),
        (happening("store.connect", store="Bücherei Nord"), "connected “Bücherei Nord”"),
        (
            happening("store.edit", store="Bücherei Nord", name="Bücherei Nord"),
            "edited “Bücherei Nord”",
        ),
        (
            happening("store.edit", "CONFLICT_ERROR", store="Bücherei Nord", name="Taken"),
            "tried to edit “Bücherei Nord”",
        ),
        (happening("store.disconnect", store="Bücherei Nord"), "disconnected “Bücherei Nord”"),
        (happening("store.disconnect"), "disconnected a store"),
        (
            happening("store.test", "AUTH_ERROR", store="Bücherei Nord"),
            "tried the connection of “Bücherei Nord”",
        ),
        (
            happening(
                "tool",
                tool="orders_update",
                order_id="7",
                changes={"shipping": {}, "order_notes": []},
            ),
            "changed order 7: shipping, order notes",
        ),
        (
            happening(
                "tool", tool="orders_update", order_id="7", changes={"folder_name": "Shipped"}
            ),
            "moved order 7 to Shipped",
        ),
        (
            happening(
                "tool",
                tool="orders_update",
                change_id=None,
                order_id="7",
                changes={"folder_name": "Shipped"},
            ),
            "changed nothing in order 7",
        ),
        (happening("tool", "NOT_FOUND", tool="orders_get"), "tried to read order"),
        (
            happening("order.settle", order_id="7", change="update"),
            "changed order 7, as a later read showed",
        ),
        (
            happening("order.settle", "NOT_DONE", order_id="7", change="delete"),
            "tried to delete order 7",
        ),
        (
            happening("order.settle"),
            "changed an order, as a later read showed",
        ),  # its arguments cannot be opened any more
        (happening("some.thing"), "some.thing"),
    ],
)
def test_each_thing_has_its_sentence(happened: ActivityEntry, words: str) -> None:
    assert summary_of(happened) == words


def test_a_fault_of_ours_is_not_order_desks() -> None:
    assert outcome_label("INTERNAL_ERROR") == "Failed on our side"
    assert outcome_label("ORDERDESK_API_ERROR") == "Order Desk failed"
    assert not is_store_at_fault("INTERNAL_ERROR")
    assert is_store_at_fault("ORDERDESK_API_ERROR")


@pytest.mark.parametrize(
    ("outcome", "words", "tone"),
    [
        ("VALIDATION_ERROR", "Refused here: not valid", "amber"),
        ("PERMISSION_DENIED", "Refused here: not allowed", "amber"),
        ("RATE_LIMIT_EXCEEDED", "Refused here: too many calls", "amber"),
        ("NOT_FOUND", "Not found", "gray"),
        ("ORDERDESK_API_ERROR", "Order Desk failed", "red"),
        ("INTERNAL_ERROR", "Failed on our side", "red"),
        ("AUTH_ERROR", "Key refused", "red"),
    ],
)
def test_refused_here_not_found_and_failed_are_told_apart(
    outcome: str, words: str, tone: str
) -> None:
    assert outcome_of(happening("tool", outcome, tool="orders_update")) == (words, tone)


@pytest.mark.parametrize(
    ("happened", "kind", "words"),
    [
        (happening("tool", tool="orders_delete", order_id="7"), "deleted", "Deleted"),
        (happening("order.settle", order_id="7", change="delete"), "deleted", "Deleted"),
        (happening("store.disconnect"), "deleted", "Done"),
        (happening("tool", tool="orders_update"), "changed", "Done"),
        (happening("tool", tool="orders_update", change_id=None), "read", "Nothing changed"),
        (happening("tool", tool="orders_get", change_id=None), "read", "Done"),
        (happening("tool", "NOT_FOUND", tool="orders_delete"), "failed", "Not found"),
    ],
)
def test_a_deletion_looks_like_one_and_no_change_looks_like_none(
    happened: ActivityEntry, kind: str, words: str
) -> None:
    assert (kind_of(happened), outcome_of(happened)[0]) == (kind, words)


def test_reads_of_one_are_told_in_one_sentence() -> None:
    counts = {"orders_get": 1, "orders_list": 1200, "sign_in.key": 2}

    words = quiet_label(QuietCalls("mcp", "Claude", "", counts, now()))

    assert words == "listed orders 1,200 times, signed in with a key 2 times, read order"


# They change nothing, and Home shows each by itself.
_NEITHER = {"app.refuse", "data.export", "key.check", "sign_in.mail"}


def test_every_action_is_known_to_change_something_or_not() -> None:
    """“Changes only” finds whatever changes who may do what."""
    actions = {name for name in action_labels() if not name.startswith(DENIED)}

    assert actions - set(CHANGING_ACTIONS) - set(QUIET_ACTIONS) == _NEITHER
    assert not set(CHANGING_ACTIONS) & (set(QUIET_ACTIONS) | _NEITHER)


# Of no account, so that no page shows it; what is counted and has no row; calls, by their tool.
_WITHOUT_WORDS = {"installation.rotate_keys", "connect", "tool"}


def test_every_action_that_is_written_has_its_words() -> None:
    """So that each new one is known to change something or not."""
    known = set(action_labels()) | _WITHOUT_WORDS
    written = {
        action
        for folder in ("services", "tools")
        for path in (PACKAGE / folder).rglob("*.py")
        for action in _actions_in(ast.parse(path.read_text("utf-8")))
    }

    assert len(written) > 30
    assert written <= known


def _actions_in(module: ast.Module) -> Iterator[str]:
    """What is the action of an Entry here, or looks like one: a noun that has some, and a verb."""
    nouns = {name.partition(".")[0] for name in action_labels() if "." in name}
    named = {
        target.id: node.value.value
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Entry":
            given = [word.value for word in node.keywords if word.arg == "action"]
            for action in (*given, *node.args[1:2]):
                if isinstance(action, ast.Constant):
                    yield str(action.value)
                elif isinstance(action, ast.Name) and action.id in named:
                    yield str(named[action.id])
        elif isinstance(node, ast.Constant):
            found = re.fullmatch(r"([a-z_]+)\.[a-z_]+", str(node.value))
            if found and found[1] in nouns:
                yield found[0]
