"""The small parts that every page is drawn of: badges, callouts, fields, empty places, copy
buttons.
"""

from typing import Any

import reflex as rx

from orderdesk_app.components.theme import Tone

Text = str | rx.Var[str]


def icon(name: str) -> rx.Component:
    return rx.icon(name, aria_hidden="true", size=16)


def badge(text: Any, tone: Text = "gray") -> rx.Component:
    """`tone` says it to the eye, the text says it to everybody."""
    return rx.el.span(text, class_name=["badge", tone])


def callout(*children: Any, tone: Tone = "red", role: str = "alert") -> rx.Component:
    names = {
        "red": "circle-alert",
        "amber": "triangle-alert",
        "green": "circle-check",
        "blue": "info",
    }
    return rx.el.div(
        icon(names.get(tone, "info")),
        rx.el.div(*children, class_name="grow"),
        role=role,
        class_name=f"callout {tone}",
    )


def second_store_note(stores: Any) -> rx.Component:
    """What changes for assistants with the second store; nothing for the first and the third."""
    return rx.cond(
        stores.length() == 1,
        callout(
            "This is your second store. Assistants whose key has no default store then have to "
            "name the store in each call. Settings shows the default of each key.",
            tone="amber",
            role="note",
        ),
    )


def for_operators(is_operator: Any, server_time: Any, content: rx.Component) -> rx.Component:
    """The content of a page for operators. Somebody else who comes to it from another page loads it
    from the server, which says that there is no such page. `server_time` is empty until it is known
    who looks.
    """
    return rx.cond(
        is_operator,
        content,
        rx.cond(
            server_time != "",
            rx.el.div(custom_attrs={"data-served": "1"}),
            skeleton("40%", "100%", "100%"),
        ),
    )


def panel(
    *children: Any, title: str = "", aside: rx.Component | None = None, **props: Any
) -> rx.Component:
    head = (
        [rx.el.div(rx.el.h2(title), *([aside] if aside else []), class_name="row apart")]
        if title
        else []
    )
    props["class_name"] = f"panel {props.get('class_name', '')}".strip()
    return rx.el.section(*head, *children, **props)


def field(
    label: Text,
    name: str,
    control: rx.Component,
    *,
    help_text: Any = "",
    error: rx.Var[str] | None = None,
    required: bool = False,
) -> rx.Component:
    """Label, control, help, and the error at the field that has it.

    The control has `id=name`.
    """
    return rx.el.div(
        rx.el.label(
            label,
            *([rx.el.span(" (required)", class_name="dim small")] if required else []),
            html_for=name,
        ),
        control,
        *([rx.el.span(help_text, class_name="help", id=f"{name}-help")] if help_text else []),
        *(
            [
                rx.cond(
                    error != "",
                    rx.el.span(error, class_name="wrong", id=f"{name}-wrong", role="alert"),
                )
            ]
            if error is not None
            else []
        ),
        class_name="field",
    )


def text_input(name: str, *, error: rx.Var[str] | None = None, **props: Any) -> rx.Component:
    props.setdefault("id", name)
    if error is not None:
        props["aria_invalid"] = rx.cond(error != "", "true", "false")
        props["aria_describedby"] = props["id"] + "-wrong"
    return rx.el.input(name=name, class_name="input", **props)


def secret_input(name: str, *, error: rx.Var[str] | None = None, **props: Any) -> rx.Component:
    """For secrets: hidden, shown on demand, trimmed when pasted; its value is never a
    state variable.
    """
    given = {"spell_check": False, "auto_capitalize": "off", "auto_complete": "off", **props}
    return rx.el.div(
        text_input(name, error=error, type="password", custom_attrs={"data-trim": "1"}, **given),
        rx.el.button(
            "Show",
            type="button",
            class_name="button",
            aria_label="Show or hide the key",
            aria_pressed="false",
            custom_attrs={"data-reveal": props.get("id", name)},
        ),
        class_name="withbutton",
    )


def copy_button(target: str, label: str = "Copy", small: bool = True) -> rx.Component:
    """Copies the text of the element with that id."""
    return rx.el.button(
        icon("copy"),
        rx.el.span(label, custom_attrs={"data-copy-label": "1"}),
        type="button",
        class_name="button small" if small else "button",
        custom_attrs={"data-copy": target},
    )


def open_button(dialog: Text, *children: Any, **props: Any) -> rx.Component:
    """A button that opens the dialog of that id."""
    return rx.el.button(
        *children,
        type="button",
        custom_attrs={"data-open-dialog": dialog, **props.pop("custom_attrs", {})},
        aria_haspopup="dialog",
        **props,
    )


def busy_button(*children: Any, on_click: Any, is_busy: Any, **props: Any) -> rx.Component:
    """A button for what takes its time and is meant once. assets/ui/forms.js marks it busy within
    the click; it keeps the focus, so it is not disabled.
    """
    busy = rx.cond(is_busy, "true", "false")
    return rx.el.button(
        *children,
        type="button",
        on_click=on_click,
        aria_busy=busy,
        aria_disabled=busy,
        custom_attrs={"data-busy-on-click": "1"},
        **props,
    )


def cancel_button(label: str = "Cancel") -> rx.Component:
    return rx.el.button(
        label, type="button", class_name="button", custom_attrs={"data-close-dialog": "1"}
    )


def dialog(identity: Text, title: Any, *children: Any, **props: Any) -> rx.Component:
    """A native dialog: focus stays in it, Esc closes it, focus returns to what opened it."""
    return rx.el.dialog(
        rx.el.div(rx.el.h2(title), *children, class_name="body"),
        id=identity,
        class_name="sheet",
        aria_label=title,
        **props,
    )


def empty(name: str, title: str, words: str, *actions: rx.Component) -> rx.Component:
    """What will stand here, why it is worth it, one button."""
    return rx.el.div(icon(name), rx.el.h2(title), rx.el.p(words), *actions, class_name="empty")


def skeleton(*widths: str) -> rx.Component:
    """A skeleton of lines, in the shape of what comes."""
    return rx.el.div(
        *[rx.el.div(".", class_name="bone", width=width, aria_hidden="true") for width in widths],
        class_name="stack tight",
        role="status",
        aria_label="Loading",
    )


def difference_table(rows: Any, words: str) -> rx.Component:
    """What a write changes: a row for each path, its old and its new value."""

    def row(entry: Any) -> rx.Component:
        def cell(label: str, text: Any, **props: Any) -> rx.Component:
            return rx.el.td(
                rx.cond(text != "", text, rx.el.span("empty", class_name="dim")),
                custom_attrs={"data-label": label},
                **props,
            )

        return rx.el.tr(
            rx.el.th(rx.el.code(entry["path"]), scope="row"),
            cell("Before", entry["old"], class_name="before"),
            cell("After", entry["new"], class_name="after"),
            key=entry["path"],
        )

    return rx.el.div(
        rx.el.table(
            rx.el.caption(words, class_name="sr"),
            rx.el.thead(
                rx.el.tr(*(rx.el.th(name, scope="col") for name in ("Field", "Before", "After")))
            ),
            rx.el.tbody(rx.foreach(rows, row)),
            class_name="table difference",
        ),
        class_name="scroll difference-box",
        tab_index=0,
        role="region",
        aria_label=words,
    )


def sorting_head(
    words: Any, *, is_sorted: Any, is_descending: Any, on_click: Any, **props: Any
) -> rx.Component:
    """The head of a column that sorts; the arrow is for the eye, `aria-sort` for everybody."""
    return rx.el.th(
        rx.el.button(
            words,
            rx.cond(is_sorted, rx.cond(is_descending, " ↓", " ↑"), ""),
            type="button",
            class_name="sorts",
            on_click=on_click,
        ),
        scope="col",
        aria_sort=rx.cond(is_sorted, rx.cond(is_descending, "descending", "ascending"), "none"),
        **props,
    )


def ago(words: Any, at: Any, **props: Any) -> rx.Component:
    """A time, relative; assets/ui/times.js lets it run, and shows the exact one on hover. `at` is
    states/times.py: stamp; empty for never.
    """
    return rx.el.time(
        words, date_time=at, class_name="dim small", custom_attrs={"data-time": "ago"}, **props
    )


def clock(words: Any, at: Any) -> rx.Component:
    """A time of the day, which assets/ui/times.js writes in the zone of the person."""
    return rx.el.time(words, date_time=at, custom_attrs={"data-time": "clock"})


def meter(filled: Any, words: Any) -> rx.Component:
    """A bar, and what it says in words."""
    return rx.el.div(
        rx.el.div(rx.el.i(style={"width": filled}), class_name="meter", aria_hidden="true"),
        rx.el.span(words, class_name="dim small"),
        class_name="metered",
    )
