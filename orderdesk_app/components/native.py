"""Real HTML where the framework's own would keep it in the browser: a form that leaves, a script
file.
"""

from typing import Any

import reflex as rx
from reflex_components_core.el.elements.base import BaseHTML
from reflex_components_core.react_router.dom import ReactRouterLink


class NativeForm(BaseHTML):  # type: ignore[misc]  # Reflex ships no types for it
    """A form that the browser itself sends; rx.form and rx.el.form always call preventDefault."""

    tag = "form"
    action: rx.Var[str]
    method: rx.Var[str]
    auto_complete: rx.Var[str]


def post_form(
    *children: Any, action: str | rx.Var[str], token: rx.Var[str] | None = None, **props: Any
) -> rx.Component:
    """A form for secrets and for what changes the session: POSTed plainly, with the form token of
    the session.
    """
    proof = (
        []
        if token is None
        else [rx.el.input(type="hidden", name="form_token", value=token, read_only=True)]
    )
    form: rx.Component = NativeForm.create(*proof, *children, action=action, method="post", **props)
    return form


class NativeLink(BaseHTML):  # type: ignore[misc]
    """A link within the page; rx.el.a would make a navigation of it."""

    tag = "a"
    href: rx.Var[str]


def jump(*children: Any, to: str, **props: Any) -> rx.Component:
    """A link to an element of this page."""
    link: rx.Component = NativeLink.create(*children, href=to, **props)
    return link


def go(*children: Any, to: str | rx.Var[str], **props: Any) -> rx.Component:
    """A link to a page of ours, without loading the whole document again."""
    link: rx.Component = ReactRouterLink.create(*children, to=to, **props)
    return link
