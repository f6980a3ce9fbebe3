"""The dialogs that make, edit and rotate a key."""

from typing import Any

import reflex as rx

from orderdesk_app.components.native import post_form
from orderdesk_app.components.widgets import (
    callout,
    cancel_button,
    dialog,
    field,
    skeleton,
    text_input,
)
from orderdesk_app.context import SCOPE_PRESETS
from orderdesk_app.states.key_forms import OVERLAPS
from orderdesk_app.states.settings import SettingsState

S: Any = SettingsState  # on its class, a state's attributes are variables of the browser
_FIELDS = ("name", "scopes", "stores", "default_store", "expires")


def make_dialog() -> rx.Component:
    return dialog(
        "make-key",
        "New key",
        _form(
            S.new_key,
            is_back=S.problem_form == "key",
            prefix="",
            action="/settings/keys/create",
            done="Make key",
        ),
        custom_attrs={"data-reopen": rx.cond(S.reopens == "key", "1", "")},
    )


def edit_dialog() -> rx.Component:
    form = S.edited
    is_back = S.problem_form == "edit-" + form["id"]
    return dialog(
        "edit-key",
        "Edit key",
        rx.cond(
            form["id"] != "",
            _form(
                form, is_back=is_back, prefix="edit-", action="/settings/keys/edit", done="Save key"
            ),
            skeleton("100%", "60%", "100%"),
        ),
        custom_attrs={"data-reopen": rx.cond(S.reopens == "edit-" + form["id"], "1", "")},
    )


def rotate_dialog() -> rx.Component:
    form = S.edited
    is_back = S.problem_form == "rotate-" + form["id"]
    wrong = rx.cond(is_back, S.problem, "")
    return dialog(
        "rotate-key",
        "Rotate key",
        rx.el.p(
            "A new key takes the place of ",
            rx.el.strong(form["name"], class_name="long-text"),
            ". It may do the same, and is shown once.",
        ),
        post_form(
            rx.el.input(type="hidden", name="key_id", value=form["id"], read_only=True),
            field(
                "The old key stops",
                "overlap",
                select("overlap", list(OVERLAPS.items()), "0"),
                help_text="Until then both work, so that no program has to wait for its new key.",
                error=wrong,
            ),
            rx.el.div(
                cancel_button(),
                rx.el.button("Rotate key", type="submit", class_name="button primary"),
                class_name="ends",
            ),
            action="/settings/keys/rotate",
            token=S.form_token,
            class_name="form",
            key="rotate" + form["id"] + wrong,
        ),
        custom_attrs={"data-reopen": rx.cond(S.reopens == "rotate-" + form["id"], "1", "")},
    )


def select(name: str, options: list[tuple[str, str]], chosen: Any) -> rx.Component:
    """A choice of fixed options."""
    return rx.el.select(
        *[rx.el.option(words, value=value) for value, words in options],
        id=name,
        name=name,
        class_name="input",
        default_value=chosen,
    )


def _form(form: Any, *, is_back: Any, prefix: str, action: str, done: str) -> rx.Component:
    def wrong(name: str) -> Any:
        return rx.cond(is_back & (S.problem_field == name), S.problem, "")

    is_elsewhere = is_back
    for name in _FIELDS:
        is_elsewhere = is_elsewhere & (S.problem_field != name)
    return post_form(
        rx.cond(is_elsewhere & (S.problem != ""), callout(S.problem)),
        rx.el.input(type="hidden", name="key_id", value=form["id"], read_only=True),
        field(
            "Name",
            f"{prefix}name",
            text_input(
                "name",
                id=f"{prefix}name",
                error=wrong("name"),
                required=True,
                max_length=80,
                placeholder="Claude on my laptop",
                auto_complete="off",
                default_value=form["name"],
            ),
            help_text="Who will use it. Everything that is done with this key shows this name.",
            error=wrong("name"),
            required=True,
        ),
        _permissions(form, wrong("scopes"), prefix),
        _stores(form, wrong("stores"), prefix),
        _default_store(form, wrong("default_store"), prefix),
        field(
            "Expires",
            f"{prefix}expires",
            rx.el.select(
                rx.foreach(
                    form["ends"], lambda end: rx.el.option(end["words"], value=end["value"])
                ),
                id=f"{prefix}expires",
                name="expires",
                class_name="input",
                default_value=form["expires"],
            ),
            error=wrong("expires"),
        ),
        rx.el.div(
            cancel_button(),
            rx.el.button(done, type="submit", class_name="button primary"),
            class_name="ends",
        ),
        action=action,
        token=S.form_token,
        class_name="form",
        # drawn again with what was typed
        key=prefix + form["id"] + S.forms_drawn.to_string() + rx.cond(is_back, S.problem, ""),
    )


def _box(name: str, value: Any, words: Any, is_ticked: Any, **props: Any) -> rx.Component:
    return rx.el.label(
        rx.el.input(type="checkbox", name=name, value=value, default_checked=is_ticked, **props),
        words,
        class_name="check",
    )


def _permissions(form: Any, wrong: Any, prefix: str) -> rx.Component:
    given = {
        "aria_invalid": rx.cond(wrong != "", "true", "false"),
        "aria_describedby": f"{prefix}scopes-wrong",
    }

    def preset(words: str, scopes: frozenset[Any]) -> rx.Component:
        return rx.el.button(
            words,
            type="button",
            class_name="button small",
            custom_attrs={"data-tick": ",".join(sorted(scopes))},
        )

    return rx.fragment(
        rx.el.fieldset(
            rx.el.legend("It may", class_name="strong"),
            rx.el.div(
                *[preset(words, scopes) for words, scopes in SCOPE_PRESETS.items()],
                class_name="row",
            ),
            rx.foreach(
                form["scopes"],
                lambda scope: _box(
                    "scopes", scope["value"], scope["words"], scope["is_ticked"], **given
                ),
            ),
            rx.cond(
                wrong != "",
                rx.el.span(wrong, class_name="wrong", id=f"{prefix}scopes-wrong", role="alert"),
            ),
            class_name="field plain",
        ),
        _box(
            "read_only",
            "1",
            "Read only: whatever is ticked above, it changes nothing",
            form["is_read_only"],
        ),
    )


def _stores(form: Any, wrong: Any, prefix: str) -> rx.Component:
    """Which stores there are for it; nothing in an account without any."""
    every = rx.el.label(
        rx.el.input(
            type="checkbox", name="which", value="all", default_checked=form["has_all_stores"]
        ),
        "All stores, also those that are connected later",
        class_name="check",
    )
    return rx.cond(
        form["stores"].length() > 0,
        rx.el.fieldset(
            rx.el.legend("In", class_name="strong"),
            rx.el.input(type="hidden", name="by_store", value="1", read_only=True),
            every,
            rx.el.div(
                rx.foreach(
                    form["stores"],
                    lambda store: _box(
                        "stores", store["value"], store["words"], store["is_ticked"]
                    ),
                ),
                class_name="choices",
            ),
            rx.cond(
                wrong != "",
                rx.el.span(wrong, class_name="wrong", id=f"{prefix}stores-wrong", role="alert"),
            ),
            class_name="field plain",
        ),
    )


def _default_store(form: Any, wrong: Any, prefix: str) -> rx.Component:
    """Which store the calls of this key mean when they name none; there is a choice of two."""
    return rx.cond(
        form["stores"].length() > 1,
        field(
            "Default store",
            f"{prefix}default_store",
            rx.el.select(
                rx.el.option("None: each call names its store", value=""),
                rx.foreach(
                    form["stores"],
                    lambda store: rx.el.option(store["words"], value=store["value"]),
                ),
                id=f"{prefix}default_store",
                name="default_store",
                class_name="input",
                default_value=form["default_store"],
            ),
            help_text="For calls that name no store. The assistant can choose another one.",
            error=wrong,
        ),
    )
