"""Which characters the names of keys and stores may have: visible ones, so that no two names look
alike.
"""

# Unicode calls them letters, marks or signs, but nothing is drawn for them. str.isprintable finds
# all other invisible ones: controls, directions, joiners, tags.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def is_visible(text: str) -> bool:
    """Whether each character is visible; a plain space counts."""
    return text.isprintable() and _BLANK.isdisjoint(text)


def visible_only(text: str) -> str:
    """The text without invisible characters, each gap one space."""
    return " ".join("".join(sign for sign in text if sign.isspace() or is_visible(sign)).split())
