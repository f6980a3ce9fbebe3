"""Merges notes: a note is appended, unless one with the same content is there already
(docs/orderdesk-api.md section 6.6).
"""

from collections.abc import Iterable, Mapping
from datetime import UTC

from orderdesk_app.context import Json
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.orderdesk.comparison import as_list, is_same, note_key
from orderdesk_app.orderdesk.field_names import NESTED_HINTS, check_name
from orderdesk_app.orderdesk.field_values import date_of, list_of, text_of
from orderdesk_app.orderdesk.merge_target import MergeTarget, is_as_shown
from orderdesk_app.orderdesk.order_fields import NOTE_FIELDS, NOTES_LIMIT
from orderdesk_app.orderdesk.quoted_json import looks_like_json, refuse_json, unquoted


def merge_notes(target: MergeTarget, value: object) -> None:
    """Writes the notes of an order; null removes all. Raises ValidationFailed."""
    if value is None:
        target.put([])
        return
    if isinstance(value, str) and looks_like_json(value):
        value = unquoted(value, target.path)
    notes: list[Json] = as_list(target.current)
    by_key = {note_key(note): note for note in notes}
    known = set(by_key)
    entries = [value] if isinstance(value, str | Mapping) else list_of(value, target.path)
    added: list[Json] = []
    for index, entry in enumerate(entries):
        there = by_key.get(note_key(entry)) if isinstance(entry, Mapping) else None
        if there is not None and is_as_shown(there, entry):
            continue  # sent back as it was read, whatever it holds
        with target.faults.caught():
            note = _note(target, entry, f"{target.path}[{index}]")
            if note_key(note) not in known:
                known.add(note_key(note))
                added.append(note)
    if not added:
        return
    length = notes_length([*notes, *added])
    if length > NOTES_LIMIT:
        words = (
            f"all notes of an order share {NOTES_LIMIT:,} characters, dates and authors "
            f"included; this would make {length:,}"
        )
        raise ValidationFailed(
            f"order_notes: {words}. Shorten the note, or clear the old ones with null first.",
            field=target.path,
        )
    target.put([*notes, *added])


def notes_length(notes: Iterable[object]) -> int:
    """The characters that count against NOTES_LIMIT: content, author and date of every note."""
    return sum(
        len(str(note.get(key) or ""))
        for note in notes
        if isinstance(note, Mapping)
        for key in NOTE_FIELDS
    )


def _note(target: MergeTarget, entry: object, path: str) -> Json:
    if isinstance(entry, str) and looks_like_json(entry):
        entry = unquoted(entry, path)
    if isinstance(entry, str):
        entry = {"content": entry}
    if not isinstance(entry, Mapping):
        raise ValidationFailed(
            f'{path}: a note is plain text or an object such as {{"content": "Gift wrap, '
            'please"}.',
            field=path,
        )
    known = len(target.faults)
    for name in entry:
        with target.faults.caught():
            check_name(
                name,
                f"{path}.{name}",
                NOTE_FIELDS,
                {},
                NESTED_HINTS,
                is_counted_only=target.faults.are_many,
            )
    has_good_names = len(target.faults) == known  # else a misspelt one may explain a missing one
    content = text_of(entry.get("content", ""), f"{path}.content")
    if has_good_names and not content.strip():
        raise ValidationFailed(f"{path}.content: a note needs text.", field=f"{path}.content")
    refuse_json(content, f"{path}.content")
    author = entry.get("username")
    date = entry.get("date_added")
    return {
        "date_added": target.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        if is_same(date, None)
        else date_of(date, f"{path}.date_added"),
        "username": target.author if is_same(author, None) else text_of(author, f"{path}.username"),
        "content": content,
    }
