"""What the forms of keys begin with: a new key's, and one that is edited; after a refusal, what was
typed.
"""

from collections.abc import Mapping
from typing import Final, TypedDict

from orderdesk_app.context import READING_SCOPES, LegacyScope, Scope
from orderdesk_app.services.key_choices import KEEP, SPANS
from orderdesk_app.services.key_views import KeyView

# hours, for which a key that was rotated still works beside the new one
OVERLAPS: Final[Mapping[str, str]] = {
    "0": "At once",
    "1": "In 1 hour",
    "24": "In 24 hours",
    "168": "In 7 days",
}
GRACES: Final[Mapping[str, str]] = {"0": "At once", "1": "In 1 hour", "24": "In 24 hours"}


class Box(TypedDict):
    """A check box."""

    value: str
    words: str
    is_ticked: bool


class Option(TypedDict):
    value: str
    words: str


class KeyForm(TypedDict):
    """The form of one key; `id` is empty for a new one."""

    id: str
    name: str
    scopes: list[Box]
    is_read_only: bool
    has_all_stores: bool
    stores: list[Box]
    default_store: str
    expires: str  # the chosen option
    ends: list[Option]


def new_key_form(
    offered: frozenset[Scope], stores: Mapping[str, str], typed: Mapping[str, str] | None
) -> KeyForm:
    """The form of a new key, with what was typed into it before it was refused."""
    ends = [Option(value=value, words=words) for value, words in SPANS.items()]
    form = KeyForm(
        id="",
        name="",
        scopes=[_box(scope, scope in READING_SCOPES) for scope in Scope if scope in offered],
        is_read_only=False,
        has_all_stores=True,
        stores=[Box(value=id_, words=name, is_ticked=False) for id_, name in stores.items()],
        default_store="",
        expires="",
        ends=ends,
    )
    return _with(form, typed) if typed is not None else form


def edited_key_form(
    key: KeyView,
    offered: frozenset[Scope],
    stores: Mapping[str, str],
    typed: Mapping[str, str] | None,
) -> KeyForm:
    """The form of a key as it is now, with what was typed into it before it was refused."""
    ends = [Option(value=value, words=words) for value, words in SPANS.items()]
    if key.expires_at is not None:
        ends.insert(0, Option(value=KEEP, words=f"On {key.expires_at:%-d %b %Y, %H:%M} UTC"))
    form = KeyForm(
        id=key.id,
        name=key.name,
        scopes=[
            *[
                _box(scope, scope in key.granted)
                for scope in Scope
                if scope in offered or scope in key.granted
            ],
            *[_box(half, True) for half in key.legacy_granted],
        ],
        is_read_only=key.is_read_only,
        has_all_stores=key.store_ids is None,
        stores=[
            Box(value=id_, words=name, is_ticked=id_ in (key.store_ids or ()))
            for id_, name in stores.items()
        ],
        default_store=key.default_store_id or "",
        expires=KEEP if key.expires_at is not None else "",
        ends=ends,
    )
    return _with(form, typed) if typed is not None else form


def _box(scope: Scope | LegacyScope, is_ticked: bool) -> Box:
    return Box(value=scope.value, words=scope.words, is_ticked=is_ticked)


def _with(form: KeyForm, typed: Mapping[str, str]) -> KeyForm:
    def ticked(boxes: list[Box], name: str) -> list[Box]:
        values = typed.get(name, "").split(",")
        return [Box(**{**box, "is_ticked": box["value"] in values}) for box in boxes]

    return KeyForm(
        id=form["id"],
        name=typed.get("name", ""),
        scopes=ticked(form["scopes"], "scopes"),
        is_read_only=typed.get("read_only") == "1",
        has_all_stores=typed.get("which") == "all" or "by_store" not in typed,
        stores=ticked(form["stores"], "stores"),
        default_store=typed.get("default_store", ""),
        expires=typed.get("expires", ""),
        ends=form["ends"],
    )
