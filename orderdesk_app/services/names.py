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
_VIRAMA = 9  # Unicode's combining class of the mark that ties two letters in Indic scripts
_STYLES = frozenset("\ufe0e\ufe0f")  # draw the sign before as text or as emoji
_VARIANTS = frozenset(
    chr(code) for code in (*range(0xFE00, 0xFE0E), *range(0xE0100, 0xE01F0), *range(0x180B, 0x1810))
)
_KEYCAP = "\u20e3"


def is_visible(text: str) -> bool:
    """Whether each character is visible; a plain space counts, and so does one that is seen by what
    it does: a joiner between two emoji, between two Arabic letters that would join, or after an
    Indic virama, and a selector after a sign that has variants.
    """
    return all(_is_seen(text, place) for place in range(len(text)))


def visible_only(text: str) -> str:
    """The text without invisible characters, each gap one space."""
    kept = (sign for place, sign in enumerate(text) if sign.isspace() or _is_seen(text, place))
    return " ".join("".join(kept).split())


def without_idle_half_spaces(text: str) -> str:
    """The text without the half-spaces that Persian keyboards leave after letters which never join
    the next one: nobody sees them, and who typed them has made no mistake.
    """
    return "".join(
        sign
        for place, sign in enumerate(text)
        if sign != _HALF_SPACE or text[max(0, place - 1) : place] not in _NEVER_JOIN
    )


def _is_seen(text: str, place: int) -> bool:
    sign = text[place]
    before, after = text[max(0, place - 1) : place], text[place + 1 : place + 2]
    if sign in (_HALF_SPACE, _JOINER):
        return bool(before and after) and _is_joiner_seen(sign, before, after)
    if sign in _STYLES:
        return bool(before) and (_is_pictogram(before) or after == _KEYCAP)
    if sign in _VARIANTS:
        return bool(before) and unicodedata.name(before, "").startswith(("CJK", "MONGOLIAN LETTER"))
    return sign.isprintable() and sign not in _BLANK


def _is_joiner_seen(sign: str, before: str, after: str) -> bool:
    if unicodedata.combining(before) == _VIRAMA:  # RFC 5892, appendices A.1 and A.2
        return unicodedata.category(after).startswith("L")
    if sign == _JOINER:
        return (_is_pictogram(before) or before in _EMOJI_ENDS) and _is_pictogram(after)
    return _is_arabic(before) and _is_arabic(after) and before not in _NEVER_JOIN


def _is_pictogram(sign: str) -> bool:
    return unicodedata.category(sign) in ("So", "Sm") or sign in "\u203c\u2049\u3030"


def _is_arabic(sign: str) -> bool:
    return unicodedata.bidirectional(sign) == "AL" and unicodedata.category(sign) == "Lo"
