"""The difference that a write makes, as people read it: "folder: New → Shipped"."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypedDict

from orderdesk_app.context import Json, JsonObject
from orderdesk_app.orderdesk.comparison import Difference, as_list, note_key
from orderdesk_app.orderdesk.merge import SOURCE_ID_PREFIX
from orderdesk_app.services.changes import ChangeMade
from orderdesk_app.services.folders import FolderList

_LONGEST = 300  # characters of a value
_SHORT = 80  # of two values that a headline holds


class DifferenceRow(TypedDict):
    """One path with its old and new value; an empty text is an empty or missing value."""

    path: str
    old: str
    new: str


def difference_rows(changes: Sequence[Difference], folders: FolderList) -> list[DifferenceRow]:
    """A row for each path; a folder by its name, of notes only those that are new."""
    rows = []
    for change in changes:
        if change.path == "folder_id":
            row = DifferenceRow(
                path="folder",
                old=_folder(change.before, folders),
                new=_folder(change.meant, folders),
            )
        elif change.kind == "notes":
            known = {note_key(note) for note in as_list(change.before)}
            added = [note for note in as_list(change.meant) if note_key(note) not in known]
            row = DifferenceRow(
                path="order_notes",
                old=_notes_count(len(as_list(change.before))),
                new="\n".join(f"+ {_note(note)}" for note in added),
            )
        elif change.path == "source_id" and str(change.meant).startswith(SOURCE_ID_PREFIX):
            continue  # it is made anew for each create that names none
        else:
            row = DifferenceRow(
                path=change.path, old=value_text(change.before), new=value_text(change.meant)
            )
        rows.append(row)
    return rows


def order_label(order: JsonObject) -> str:
    """Which order this is, as far as it says: "W-1042, Ada Okafor, 3 items, total 54.20"."""
    items = len(as_list(order.get("order_items")))
    total = order.get("order_total")
    parts = (
        value_text(order.get("source_id")),
        _name(order.get("shipping")) or _name(order.get("customer")),
        f"{items} item" + ("" if items == 1 else "s") if items else "",
        "" if total is None else f"total {value_text(total)}",
    )
    return ", ".join(part for part in parts if part)


def headline(change: ChangeMade, store: str, rows: Sequence[DifferenceRow]) -> str:
    """What a write has done, in a sentence: "Order 1042 in Teas: folder: New → Shipped"."""
    where = f" in {store}" if store else ""
    order = f"Order {change.object_id}{where}"
    if change.state != "done":
        return f"{order}: it is not known yet whether it was changed." if change.is_open else ""
    if change.action == "create":
        return f"{order} was created."
    if change.action == "delete":
        return f"{order} was deleted."
    if len(rows) == 1 and len(rows[0]["old"]) + len(rows[0]["new"]) <= _SHORT:
        row = rows[0]
        return f"{order}: {row['path']}: {row['old'] or 'empty'} → {row['new'] or 'empty'}"
    return f"{order}: {len(rows)} changes" if len(rows) > 1 else f"{order} was changed."


def value_text(value: Json) -> str:
    """A value in one text, cut when it is long."""
    if value is None or value in ([], {}):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = (
        json.dumps(value, ensure_ascii=False, default=_number)
        if isinstance(value, list | dict)
        else str(value)
    )
    text = text.encode(errors="backslashreplace").decode()  # half a surrogate pair
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _number(value: object) -> int | float | str:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


def _folder(value: Json, folders: FolderList) -> str:
    if value is None:
        return ""
    return next((name for id_, name in folders if id_ == str(value)), f"folder {value}")


def _notes_count(count: int) -> str:
    return "" if not count else "1 note" if count == 1 else f"{count} notes"


def _note(note: Json) -> str:
    return value_text(note.get("content") if isinstance(note, Mapping) else note)


def _name(address: Json) -> str:
    if not isinstance(address, Mapping):
        return ""
    name = " ".join(str(address.get(part) or "") for part in ("first_name", "last_name")).strip()
    return value_text(name or str(address.get("company") or ""))
