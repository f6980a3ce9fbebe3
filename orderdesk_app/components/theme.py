"""The look, in one place: Radix theme, meaning of colours, sizes.

`assets/look.css` says the same to the plain pages.
"""

from typing import Any, Final, Literal

RADIX: Final[dict[str, Any]] = {
    "accent_color": "indigo",
    "gray_color": "slate",
    "radius": "medium",
    "panel_background": "solid",
    "appearance": "inherit",
}

# Colours carry meaning and nothing else: green done, amber needs attention, red failed or
# destructive, blue running or from the cache, violet made by an agent, gray everything else.
# `assets/look.css` has their shades, light and dark.
Tone = Literal["green", "amber", "red", "blue", "violet", "gray"]
