"""The dialog before a deletion for good: what goes, who loses what, and a name to type."""

from typing import Any

import reflex as rx

from orderdesk_app.components.native import post_form
from orderdesk_app.components.widgets import (
    callout,
    cancel_button,
    dialog,
    field,
    text_input,
)


def deletion_dialog(
    identity: str,
    *,
    state: Any,
    view: Any,
    title: Any,
    words: str,
    label: str,
    action: str,
    row_id: Any = "",
) -> rx.Component:
    """`view` is a DeletionView among the variables of `state`, which is a SignedInState. The form
    posts `confirm` and `row_id` to `action`, and `label` names what its button does. A refused one
    comes back under the name `identity`.
    """
    is_refused = state.problem_form == identity
    is_ready = view["to_type"] != ""
    return dialog(
        identity,
        title,
        rx.el.p(words),
        rx.cond(
            is_ready,
            rx.fragment(
                _facts(view),
                _form(identity, state, view, label=label, action=action, row_id=row_id),
            ),
            # no skeleton: a dialog that nobody has opened would wait for ever
            rx.el.p("Counting what goes…", role="status", class_name="dim"),
        ),
        custom_attrs={"data-reopen": rx.cond(is_refused & is_ready, "1", "")},
    )


def _facts(view: Any) -> rx.Component:
    return rx.el.div(
        rx.cond(
            view["counts"].length() > 0,
            rx.el.div(
                rx.el.p("For good:", class_name="strong"),
                rx.el.ul(
                    rx.foreach(view["counts"], lambda line: rx.el.li(line)), class_name="bullets"
                ),
            ),
        ),
        rx.foreach(view["goes"], rx.el.p),
        rx.foreach(view["losers"], lambda line: callout(line, tone="amber", role="note")),
        rx.foreach(view["stays"], lambda line: rx.el.p(line, class_name="dim")),
        class_name="stack tight",
    )


def _form(
    identity: str, state: Any, view: Any, *, label: str, action: str, row_id: Any
) -> rx.Component:
    is_refused = state.problem_form == identity
    wrong = rx.cond(is_refused & (state.problem_field == "confirm"), state.problem, "")
    control = f"{identity}-confirm"
    return post_form(
        rx.cond(
            is_refused & (state.problem_field != "confirm") & (state.problem != ""),
            callout(state.problem),
        ),
        rx.el.input(type="hidden", name="row_id", value=row_id, read_only=True),
        field(
            rx.fragment("Type ", rx.el.span(view["to_type"], class_name="mono"), " to confirm"),
            control,
            text_input(
                "confirm",
                id=control,
                error=wrong,
                auto_complete="off",
                default_value=rx.cond(is_refused, state.typed["confirm"], ""),
                custom_attrs={"data-confirm": view["to_type"]},
            ),
            error=wrong,
        ),
        rx.el.div(
            cancel_button(),
            rx.el.button(label, type="submit", class_name="button danger primary", disabled=True),
            class_name="ends",
        ),
        action=action,
        token=state.form_token,
        class_name="form",
        # drawn again with what was typed
        key=rx.cond(is_refused, "again" + state.problem, "first") + view["to_type"],
    )
