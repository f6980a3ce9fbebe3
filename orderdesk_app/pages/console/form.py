"""The form of the chosen tool, and the dialog that asks before something is written."""

from typing import Any

import reflex as rx

from orderdesk_app.components.native import post_form
from orderdesk_app.components.widgets import (
    badge,
    callout,
    cancel_button,
    dialog,
    difference_table,
    field,
    icon,
    second_store_note,
    secret_input,
    text_input,
)
from orderdesk_app.states.console import ConsoleState

S: Any = ConsoleState  # on its class, a state's attributes are variables of the browser


def tool_form() -> rx.Component:
    rows = rx.fragment(
        _hidden("tool", S.tool),
        _hidden("run_token", S.run_token),
        _hidden("default_store_id", S.default_store_id),
        rx.foreach(S.fields, _field),
        rx.cond(
            S.more.length() > 0,
            rx.el.details(
                rx.el.summary("More arguments (", S.more.length(), ")", class_name="strong"),
                rx.el.div(rx.foreach(S.more, _field), class_name="stack", margin_top="12px"),
            ),
        ),
    )
    # assets/ui/runs.js marks the button busy within the click; it stays focusable, so that it keeps
    # the focus.
    page = {"data-page-id": S.page_id}
    runs = {
        **page,
        "data-run-token": S.run_token,
        "data-running": rx.cond(S.running, "1", ""),
        "data-confirm-run": rx.cond(S.asks, S.run_token, ""),
    }
    return rx.el.section(
        rx.el.div(rx.el.h2(S.title), rx.el.p(S.description, class_name="dim small clamp")),
        rx.cond(
            S.has_secret,
            post_form(
                rows,
                _run_bar(),
                action="/console/run",
                token=S.form_token,
                class_name="form",
                custom_attrs=page,
                key=S.form_id,
            ),
            rx.el.form(
                rows,
                _run_bar(),
                rx.cond((S.deletes != "") | S.changes_orders, _confirmation()),
                on_submit=S.run,
                reset_on_submit=False,
                class_name="form",
                custom_attrs=runs,
                key=S.form_id,
            ),
        ),
        class_name="panel stack",
        aria_label="Arguments",
        custom_attrs={"data-error-focus": S.error_focus},
    )


def _run_bar() -> rx.Component:
    """What is said before and after a run, and its button: it stays in sight."""
    return rx.el.div(
        # Shown by assets/ui/restore.js when the server had forgotten the form.
        _restore_note(
            "kept",
            "The server restarted or the page was idle for long. What you typed is still here.",
        ),
        _restore_note(
            "lost",
            (
                "The server restarted or the page was idle for long. This form was filled again, "
                "and what you had typed is gone."
            ),
        ),
        rx.cond(S.refused_to != "", callout(S.refused_to, tone="amber", role="note")),
        rx.cond(
            S.changes_orders & (S.default_store != "") & (S.refused_to == ""),
            callout(
                "Unless you name a store, this changes ",
                S.default_store,
                ".",
                tone="amber",
                role="note",
            ),
        ),
        rx.cond(S.tool == "stores_register", second_store_note(S.store_choices)),
        # Beside the button: it is where the eye is after a press.
        rx.cond(
            S.refusal != "",
            rx.cond(
                S.error_focus != "",
                callout(S.refusal, role="note"),  # the error at its field is read out
                callout(S.refusal),
            ),
        ),
        rx.el.div(
            rx.el.button(
                icon("play"),
                "Run",
                type="submit",
                class_name="button primary grow",
                title="Ctrl Enter",
                disabled=S.refused_to != "",
            ),
            rx.cond(
                S.fills_example,
                rx.el.button(
                    "Fill in the example",
                    type="button",
                    class_name="button",
                    on_click=S.fill_example,
                ),
            ),
            class_name="row",
        ),
        class_name="run",
    )


def _hidden(name: str, value: Any) -> rx.Component:
    return rx.el.input(type="hidden", name=name, value=value, read_only=True)


def _confirmation() -> rx.Component:
    """The script opens it when the server asks (assets/ui/runs.js)."""
    typed = field(
        rx.fragment("Type ", rx.el.span(S.confirm_text, class_name="mono"), " to confirm"),
        "confirm",
        text_input("confirm", auto_complete="off", custom_attrs={"data-confirm": S.confirm_text}),
    )
    return dialog(
        "confirm-run",
        S.title,
        rx.cond(S.deletes != "", rx.el.p(S.description)),
        rx.cond(S.confirm_note != "", callout(S.confirm_note, tone="amber", role="status")),
        rx.cond(
            S.confirm_store != "",
            rx.el.p(
                "Store: ",
                rx.el.strong(S.confirm_store),
                rx.cond(S.is_live, rx.fragment(" ", badge("Live", "amber"))),
            ),
        ),
        rx.cond(S.confirm_object != "", rx.el.p("Order: ", rx.el.strong(S.confirm_object))),
        rx.cond(S.confirm_rows.length() > 0, difference_table(S.confirm_rows, "What would change")),
        _hidden("confirm_store_id", S.confirm_store_id),
        # set by the script when the form is sent from this dialog
        rx.el.input(type="hidden", name="confirmed", default_value=""),
        rx.cond(S.confirm_text != "", typed),
        rx.el.div(
            cancel_button(),
            rx.cond(
                S.deletes != "",
                rx.el.button(S.title, type="submit", class_name="button danger primary"),
                rx.el.button(S.title, type="submit", class_name="button primary"),
            ),
            class_name="ends",
        ),
    )


def _restore_note(name: str, words: str) -> rx.Component:
    rest = (
        " If a run was under way, check “Last calls” and what the run was to change "
        "before you run it again."
    )
    return rx.el.div(
        callout(words, rest, tone="amber", role="status"),
        hidden=True,
        custom_attrs={"data-restore-note": name},
    )


def _field(field: Any) -> rx.Component:
    name = field["name"]
    identity = "arg-" + name
    wrong = S.errors[name]
    is_wrong = S.errors.contains(name)
    common: dict[str, Any] = {
        "id": identity,
        "name": name,
        "class_name": "input",
        "aria_invalid": rx.cond(is_wrong, "true", "false"),
        "aria_describedby": identity + "-help" + rx.cond(is_wrong, " " + identity + "-wrong", ""),
    }
    text = {
        **common,
        "default_value": field["value"],
        "placeholder": field["hint"],
        "auto_complete": "off",
        "spell_check": False,
    }
    control = rx.match(
        field["kind"],
        ("integer", rx.el.input(type="number", step="1", **text)),
        ("number", rx.el.input(type="number", step="any", **text)),
        (
            "boolean",
            rx.el.select(
                rx.el.option("", value=""),
                rx.el.option("true", value="true"),
                rx.el.option("false", value="false"),
                default_value=field["value"],
                **common,
            ),
        ),
        (
            "choice",
            rx.el.select(
                rx.el.option("", value=""),
                rx.foreach(field["options"], lambda option: rx.el.option(option, value=option)),
                default_value=field["value"],
                **common,
            ),
        ),
        ("json", rx.el.textarea(rows="5", **text)),
        rx.cond(
            field["is_secret"],
            secret_input(
                name, **{part: common[part] for part in ("id", "aria_invalid", "aria_describedby")}
            ),
            rx.el.input(type="text", **text),
        ),
    )
    return rx.el.div(
        rx.el.label(
            rx.el.code(name),
            rx.cond(field["required"], rx.el.span(" required", class_name="dim small")),
            html_for=identity,
        ),
        rx.cond(
            is_wrong, rx.el.span(wrong, class_name="wrong", id=identity + "-wrong", role="alert")
        ),
        control,
        rx.el.span(
            rx.cond(field["note"] != "", field["note"] + ". ", ""),
            field["words"],
            class_name="help",
            id=identity + "-help",
        ),
        class_name="field",
        key=S.form_id + name,
    )
