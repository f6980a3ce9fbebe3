"""The look, in one place: Radix theme, meaning of colours, sizes. `assets/look.css` says the same to the plain pages."""

from typing import Any, Final, Literal

RADIX: Final[dict[str, Any]] = {
    "accent_color": "indigo",
    "gray_color": "slate",
    "radius": "medium",
    "panel_background": "solid",
    "appearance": "inherit",
}

Tone = Literal["green", "amber", "red", "blue", "violet", "gray"]

DONE: Final[Tone] = "green"
ATTENTION: Final[Tone] = "amber"
FAILED: Final[Tone] = "red"
RUNNING: Final[Tone] = "blue"
BY_AGENT: Final[Tone] = "violet"
PLAIN: Final[Tone] = "gray"
