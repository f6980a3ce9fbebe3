"""Which characters the names of keys and stores may have: visible ones, so that no two names look
alike.
"""

# Letters, marks and signs by their category, and yet nothing is drawn for them; str.isprintable
# knows all others: controls, directions, joiners, tags.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def is_seen(text: str) -> bool:
    """Whether each character is visible; a plain space counts."""
    return text.isprintable() and _BLANK.isdisjoint(text)


def only_seen(text: str) -> str:
    """The text without invisible characters, each gap one space."""
    return " ".join("".join(sign for sign in text if sign.isspace() or is_seen(sign)).split())
