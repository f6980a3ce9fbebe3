"""Puts ids into paths and takes the payload out of the envelope of an answer
(docs/orderdesk-api.md section 5).
"""

import re
from urllib.parse import quote

from orderdesk_app.context import JsonObject
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.orderdesk import answers, refusals
from orderdesk_app.orderdesk.answers import Page

_ID = re.compile(r"[0-9]{1,20}")


def is_id(value: object) -> bool:
    """Whether the value is a text that can be an id of Order Desk's: 1 to 20 digits."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def path_id(value: str, field: str) -> str:
    """The id as a part of a path. Raises ValidationFailed that names `field` if it is no id."""
    if not is_id(value):
        raise ValidationFailed(
            f"{field} is Order Desk's own number, digits only, such as 100000001.",
            field=field,
            outcome="not_done",
        )
    return quote(value, safe="")


def inner(answer: JsonObject, key: str, method: str) -> JsonObject:
    """The object under `key` of an envelope. Raises UpstreamUnreachable when it is missing or
    empty.
    """
    found = answer.get(key)
    if not isinstance(found, dict) or not found:
        raise refusals.unreadable(method)
    return found


def inner_with_id(answer: JsonObject, key: str, method: str, wanted: str) -> JsonObject:
    """The object under `key`, which must have the wanted id. Raises UpstreamUnreachable.

    Another order than the one asked for would be merged and written back under the wrong id, so it
    counts as no answer at all.
    """
    found = inner(answer, key, method)
    if str(found.get("id", "")).lstrip("0") != wanted.lstrip("0"):
        raise refusals.unreadable(method)
    return found


def rows(answer: JsonObject, key: str, method: str) -> list[JsonObject]:
    """The list of objects under `key` of an envelope. Raises UpstreamUnreachable when there is no
    such list.
    """
    found = answers.rows(answer.get(key))
    if found is None:
        raise refusals.unreadable(method)
    return found


def page(answer: JsonObject, key: str) -> Page:
    """The rows under `key` of a list read, with the counts of its envelope.

    Raises UpstreamUnreachable where there are no rows to read.
    """
    return Page(
        rows(answer, key, "GET"),
        answers.count(answer.get("total_records")),
        answers.count(answer.get("limit")),
        answers.count(answer.get("offset")),
    )
