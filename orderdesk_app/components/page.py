"""What a page says of itself; menu, guard and tests ask it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import reflex as rx

Section = Literal["work", "admin", "foot", "none"]


@dataclass(frozen=True, slots=True)
class Page:
    """One address.

    `draw` gives the content below the top bar, `actions` the primary action at its right end.
    """

    route: str
    title: str
    icon: str
    draw: Callable[[], rx.Component]
    order: int = 100  # place in the menu
    section: Section = "work"
    key: str = ""  # `g` and then this key goes there
    on_load: Any = None
    on_change: Any = None  # reads the page's data again when something happened in the account
    hears_strangers: bool = False  # and when a request of no account was refused
    actions: Callable[[], rx.Component] | None = None
    is_public: bool = False  # drawn alone, without frame, for people who are not signed in
    is_for_operators: bool = False  # others get the answer of an address that nothing is at
