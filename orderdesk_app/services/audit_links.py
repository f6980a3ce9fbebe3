"""What the link of an audit row covers, and whether a row is what it was when it was linked.

Every column is covered: those about a person by a digest that stays when they are erased, all
others by the link itself. A row is never changed in any other way: how a write ended that was in
doubt is a row of its own (`order.settle`).
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from operator import itemgetter
from typing import Any, Literal

from orderdesk_app.db.audit import CHAINED, NAMELESS, PERSONAL, AuditEntry
from orderdesk_app.security.audit_links import BYTES, SALT_BYTES, AuditKey

# The order is part of what was signed: a new column goes to the end of its list, and is left out of
# rows in which it is empty.
PUBLIC = (
    "id",
    "at",
    "tenant_id",
    "via",
    "action",
    "tool",
    "store_row_id",
    "outcome",
    "duration_ms",
    "cached",
    "upstream_requests",
    "change_id",
    "times",
)
COLUMNS: tuple[str, ...] = tuple(AuditEntry.__table__.columns.keys())  # type: ignore[attr-defined]
# those of a row before it is linked
PLAIN = tuple(name for name in COLUMNS if name not in CHAINED)

Condition = Literal["whole", "erased", "changed"]
PlainRow = tuple[Any, ...]  # the values of PLAIN
plain_row: Callable[[Mapping[str, Any]], PlainRow] = itemgetter(*PLAIN)
_public: Callable[[PlainRow], tuple[Any, ...]] = itemgetter(*map(PLAIN.index, PUBLIC))
_personal: Callable[[PlainRow], tuple[Any, ...]] = itemgetter(*map(PLAIN.index, PERSONAL))
# `json.dumps` makes an encoder in each call that sets an option.
_to_json = json.JSONEncoder(default=lambda value: _text_of(value)).encode


def public_fields(row: PlainRow) -> bytes:
    return _to_json(_public(row)).encode()


def personal_fields(row: PlainRow) -> bytes:
    return _to_json(_personal(row)).encode()


def condition_of(key: AuditKey, before: bytes | None, row: Mapping[str, Any]) -> Condition:
    """Whether a row is as it was linked. `before` is the link of the row before it; None where that
    row is missing, so that only the personal fields can be checked.
    """
    link = as_bytes(row["link"])
    digest = as_bytes(row["personal_digest"])
    if (len(link), len(digest)) != (BYTES, BYTES):
        return "changed"
    is_erased = row["erasure"] is not None
    if is_erased:
        is_ours = as_bytes(row["erasure"]) == key.erasure(link)
        is_blank = all(row[name] == value for name, value in NAMELESS.items())
        if not (is_ours and is_blank and row["user_id"] is None and row["salt"] is None):
            return "changed"
    else:
        salt = as_bytes(row["salt"])
        is_same = digest == key.personal_digest(salt, personal_fields(plain_row(row)))
        if len(salt) != SALT_BYTES or not is_same:
            return "changed"
    if before is not None:
        fields = public_fields(plain_row(row))
        if link != key.link(before, row["sequence"], digest, fields):
            return "changed"
    return "erased" if is_erased else "whole"


def as_bytes(value: object) -> bytes:
    """What a column of bytes holds; nothing where somebody has put something else there, as SQLite
    lets them.
    """
    return value if isinstance(value, bytes) else b""


def moment_text(moment: datetime) -> str:
    """The form in which SQLite keeps a time."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _text_of(value: object) -> str:
    """The same text for what a driver takes and for what it gives back."""
    if isinstance(value, datetime):
        return moment_text(value)
    return sha256(as_bytes(value)).hexdigest()
