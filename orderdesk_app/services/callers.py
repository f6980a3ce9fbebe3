"""Who may call a handler of a page or a route: declared beside each, and asked before it runs.

What it does, its services authorise again. tests/attacks calls each one as everybody.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

from orderdesk_app.context import Actor
from orderdesk_app.services.roles import Permission, may

_DECLARED = "__orderdesk_callers__"
F = TypeVar("F", bound=Callable[..., Any])


class Callers(StrEnum):
    """Those whom no permission of an account describes."""

    ANYBODY = "anybody"  # without a session too
    SIGNED_IN = "signed_in"
    OPERATORS = "operators"


Allowed = Callers | Permission


def open_to(allowed: Allowed) -> Callable[[F], F]:
    """Declares who may call this handler or endpoint. It stands below all other decorators."""

    def declare(function: F) -> F:
        setattr(function, _DECLARED, allowed)
        return function

    return declare


def allowed_callers(function: Callable[..., Any]) -> Allowed | None:
    """What is declared; None where nothing is, and then nobody may call it."""
    declared: Allowed | None = getattr(function, _DECLARED, None)
    return declared


def may_call(allowed: Allowed | None, actor: Actor | None) -> bool:
    """Whether that actor may; None is somebody without a session."""
    if allowed is Callers.ANYBODY:
        return True
    if actor is None or allowed is None:
        return False
    if isinstance(allowed, Permission):
        return may(actor, allowed)
    return allowed is Callers.SIGNED_IN or actor.is_operator
