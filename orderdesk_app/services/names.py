"""Which characters the names of keys and stores may have: visible ones, so that no two names look
alike.
"""

import unicodedata

# Unicode calls them letters, marks or signs, but nothing is drawn for them. str.isprintable finds
# all other invisible ones: controls, directions, joiners, tags.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_HALF_SPACE = "\u200c"  # keeps two letters of one Persian word apart
_JOINER = "\u200d"  # makes one emoji of two
_EMOJI_ENDS = frozenset("\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")
# Arabic letters that never join the next one: a half-space after them would not be seen.
_NEVER_JOIN = frozenset("\u0622\u0623\u0624\u0625\u0627\u0629\u062f\u0630\u0631\u0632\u0648\u0698")


def is_visible(text: str) -> bool:
    """Whether each character is visible; a plain space counts, and so does a joiner that is seen by
    what it does: between two emoji, or between two Arabic letters that would join.
    """
    return all(_is_seen(text, place) for place in range(len(text)))


def visible_only(text: str) -> str:
    """The text without invisible characters, each gap one space."""
    kept = (sign for place, sign in enumerate(text) if sign.isspace() or _is_seen(text, place))
    return " ".join("".join(kept).split())


def _is_seen(text: str, place: int) -> bool:
    sign = text[place]
    if sign in (_HALF_SPACE, _JOINER):
        before, after = text[max(0, place - 1) : place], text[place + 1 : place + 2]
        return bool(before and after) and (
            _is_emoji(before) and unicodedata.category(after) == "So"
            if sign == _JOINER
            else _is_arabic(before) and _is_arabic(after) and before not in _NEVER_JOIN
        )
    return sign.isprintable() and sign not in _BLANK


def _is_emoji(sign: str) -> bool:
    return unicodedata.category(sign) == "So" or sign in _EMOJI_ENDS


def _is_arabic(sign: str) -> bool:
    return unicodedata.bidirectional(sign) == "AL" and unicodedata.category(sign) == "Lo"
