"""The name that an app gives itself, as it may stand on our pages: anybody can register any."""

import re
import unicodedata

from orderdesk_app.services.names import visible_only

MOST_SHOWN = 60
NAMELESS = "An app without a name"
_OURS = ("orderdesk", "orderdeks")
# letters of other alphabets that look like Latin ones, and digits that are read as letters
_LOOKALIKES = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0455\u0501\u043a\u0433\u03bf\u03b1\u03b5\u03c1\u03ba\u03f2"
    "\u0585\u0435\u1d0b\u1d05\u1d07\u0280\u1d0f\ua731" + "0351",
    "aeopcsdkroaepkc" + "oekderos" + "oesl",
)
# Our pages and mails put the name in quotes: one inside it would end them, and go on as we speak.
_QUOTES = re.compile(
    '["\u02ba\u02dd\u02ee\u05f4\u00ab\u00bb\u201c-\u201f\u2033\u2034\u2036\u2037\u2057\u275d\u275e'
    "\u2760\u276e\u276f\u300c-\u300f\u301d-\u301f\uff02\U0001f676-\U0001f678]"
)
_SINGLE_QUOTES = re.compile("['`\u00b4\u02b9\u02bb-\u02bd\u2018-\u201b\u2032\u2035\uff07]{2,}")


def app_name(given: str) -> str:
    """The name on one line, without quotes and characters that nobody sees, at most 60 long; empty
    for one that has none, and for one that looks like ours.
    """
    name = visible_only(_SINGLE_QUOTES.sub("'", _QUOTES.sub("", visible_only(given))))
    if looks_like_ours(name):
        return ""
    return name if len(name) <= MOST_SHOWN else f"{name[: MOST_SHOWN - 1]}…"


def known_as(given: str) -> str:
    """What we call an app of that name, which is never empty."""
    return app_name(given) or NAMELESS


def looks_like_ours(name: str) -> bool:
    """Whether people could take the app for one of Order Desk's or of ours."""
    plain = unicodedata.normalize("NFKD", name).casefold().translate(_LOOKALIKES)
    letters = "".join(sign for sign in plain if sign.isalnum())
    return any(ours in letters for ours in _OURS)
