"""A list of names as one line of a table has room for it."""

from collections.abc import Sequence

_MOST = 2
_LONGEST = 40


def first_few(names: Sequence[str]) -> str:
    """The first names, and how many more there are: "Teas, Cups and 13 more"."""
    more = len(names) - _MOST
    if more <= 1:  # one name takes no more room than the words for it
        return ", ".join(_cut(name) for name in names)
    return f"{', '.join(_cut(name) for name in names[:_MOST])} and {more} more"


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1].rstrip()}…"
