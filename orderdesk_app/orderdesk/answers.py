"""Reads Order Desk's answers: the envelope, what went wrong, its message, its counts and lists.

Pure.
"""

import re
from dataclasses import dataclass

from orderdesk_app.context import JsonObject, Secret
from orderdesk_app.errors import Fault
from orderdesk_app.orderdesk import json_text

LONGEST_SENTENCE = 200
LONG_ENOUGH_TO_SEARCH = 8  # a shorter key could be part of any word

_TAGS = re.compile(r"<[^>]{0,200}>")
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff\ud800-\udfff]"
)
_KEY_WORDS = re.compile(
    (
        r"api[ _-]?key|store[ _-]?id|credential|unauthori[sz]ed|not "
        r"authori[sz]ed|authenticat|access denied|forbidden"
    ),
    re.IGNORECASE,
)
_NO_SUCH = re.compile(
    r"\b(?:order|item)\b.{0,40}\b(?:not (?:be )?(?:found|located)|not exist|does ?n.t exist)"
    r"|\bno such (?:order|inventory item|item)\b"
    r"|\bno (?:order|inventory item|item|record)s?\b.{0,20}\b(?:found|exists?)\b"
    r"|\b(?:unable to|can ?not|can.t|could not|couldn.t) (?:find|locate) "
    r"(?:(?:this|that|the|an?) )?(?:order|inventory item|item)\b"
    r"|^\W*not found\W*$",
    re.IGNORECASE,
)
_IN_CONFLICT = (409, 412, 423)  # Conflict, Precondition Failed, Locked
_DIGITS = re.compile(r"\d{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TestAnswer:
    """What Order Desk answered to `GET /test` (docs/orderdesk-api.md section 1).

    The time is in Order Desk's form, UTC; both texts are empty where the answer lacks them.
    """

    __test__ = False  # pytest would collect it by its name

    message: str
    current_date_time: str
    execution_time: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, in the order asked for; `total` is the count over all pages.

    A count is None where the envelope lacks it (docs/orderdesk-api.md section 5): the page may then
    be the whole list.
    """

    rows: list[JsonObject]
    total: int | None
    limit: int | None
    offset: int | None


def envelope(body: bytes) -> JsonObject | None:
    """The JSON object that every answer is (docs/orderdesk-api.md section 5).

    None for HTML, broken JSON and any other JSON value.
    """
    try:
        value = json_text.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def fault(
    status: int, answer: JsonObject | None, *, names_a_thing: bool, is_read: bool = True
) -> Fault | None:
    """What went wrong, None for a success (docs/orderdesk-api.md sections 1 and 5).

    A 200 whose envelope says `"status": "error"` is an error; so is a 200 that is HTML.

    `names_a_thing`: the path ends in the id of one order or item, so that "not found" means that
    one. Without `is_read`, the words of a refusal may be about any field of the body, so they are
    not searched for a refused key.
    """
    if status == 429:
        return Fault.RATE_LIMITED
    if status in (401, 403):
        return Fault.KEY_REFUSED
    if status == 404 and names_a_thing:
        return Fault.NOT_FOUND
    if 300 <= status < 400:
        return Fault.REDIRECTED
    if status in _IN_CONFLICT and not is_read:
        return Fault.CONFLICT
    if status in (408, 425) or status >= 500:
        return Fault.SERVER_ERROR
    if answer is None:
        return Fault.SAID_NO if status >= 400 else Fault.UNREADABLE
    if status < 400 and str(answer.get("status", "success")).strip().lower() == "success":
        return None
    if names_a_thing and _NO_SUCH.search(_words(answer)):
        return Fault.NOT_FOUND
    if is_read and _KEY_WORDS.search(_words(answer)):
        return Fault.KEY_REFUSED
    return Fault.SAID_NO


# Messages put the sentence between these: it must not seem to end earlier.
_OUR_QUOTES = str.maketrans("“”", "''")


def sentence(answer: JsonObject | None, key: Secret) -> str:
    """Order Desk's own message, safe to quote: one line without markup, invisible characters or
    the key, at most 200 characters; empty where there is none.
    """
    words = _words(answer)
    if len(key.reveal()) >= LONG_ENOUGH_TO_SEARCH:
        words = words.replace(key.reveal(), "***")
    words = " ".join(_UNSEEN.sub(" ", _TAGS.sub(" ", words)).split())
    words = words.translate(_OUR_QUOTES)
    return words if len(words) <= LONGEST_SENTENCE else words[: LONGEST_SENTENCE - 1].rstrip() + "…"


def count(value: object) -> int | None:
    """A whole number from 0, which may be written as a text (`"5"`; docs/orderdesk-api.md section
    5); None for anything else.
    """
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    return value if type(value) is int and value >= 0 else None


def rows(value: object) -> list[JsonObject] | None:
    """The value if it is a list of objects, else None."""
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        return value
    return None


def _words(answer: JsonObject | None) -> str:
    message = answer.get("message") if answer else None
    return message[:2000] if isinstance(message, str) else ""
