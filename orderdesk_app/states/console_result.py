"""The console's result: the last call as text, as a table, as a tree or as its request."""

import json
from collections.abc import Mapping
from typing import Any, TypedDict

import reflex as rx

from orderdesk_app import wiring
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.console import PastCall
from orderdesk_app.services.roles import Permission
from orderdesk_app.states.difference_text import DifferenceRow, difference_rows, headline
from orderdesk_app.states.signed_in import SignedInState, handler
from orderdesk_app.states.times import duration
from orderdesk_app.tools.catalogue import every_tool

MOST_SHOWN = 200_000  # characters of a result that the screen gets; the download has all
_LONGEST_CELL = 80


class Column(TypedDict):
    name: str
    is_number: bool


class ConsoleResult(SignedInState, mixin=True):
    running: bool = False
    call: str = ""  # the id of the call whose result is shown
    result_tool: str = ""
    # what a write has changed: in a sentence, and path by path
    headline: str = ""
    difference: list[DifferenceRow] = []
    said: str = ""  # for screen readers: how it ended, in a few words
    ok: bool = True
    code: str = ""
    message: str = ""
    took: str = ""
    cached: bool = False
    reads: bool = True  # only a read can come from the cache
    size: str = ""
    is_cut: bool = False  # it was too large to keep, so there is nothing to download
    is_whole: bool = False  # the screen has all of it, so it can be copied and shown as a tree
    rest: str = ""  # where the rest of it is
    result: str = ""
    request: str = ""
    columns: list[Column] = []
    rows: list[list[str]] = []
    sorted_by: str = ""
    is_descending: bool = False
    view: str = "raw"

    _unkept: str = ""  # the whole result, where the history could not keep it

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def show(self, view: str) -> None:
        self.view = view if view in ("raw", "tree", "table", "request") else "raw"

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def sort(self, column: str) -> None:
        """Sorts the table by that column; the same column again turns the order round.

        Empty cells come last.
        """
        names = [entry["name"] for entry in self.columns]
        if column not in names:
            return
        place = names.index(column)
        self.is_descending = self.sorted_by == column and not self.is_descending
        self.sorted_by = column
        of = (
            (lambda row: float(row[place]))
            if self.columns[place]["is_number"]
            else (lambda row: row[place].casefold())
        )
        filled = sorted(
            (row for row in self.rows if row[place]), key=of, reverse=self.is_descending
        )
        self.rows = [*filled, *(row for row in self.rows if not row[place])]

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def download(self) -> Any:
        call = await wiring.current().console.history.get(self._require_actor(), self.call)
        return rx.download(data=self._unkept or as_json(call.result), filename=f"{call.tool}.json")

    async def _show_result(self, call: PastCall) -> None:
        await self._show_difference(call)
        text = as_json(call.result)
        self.running = False
        self.call = call.id
        self.result_tool = call.tool
        self.ok = call.outcome == "ok"
        self.cached = call.cached
        self.reads = any(tool.name == call.tool and tool.reads for tool in every_tool())
        self.code = "Done" if self.ok else call.outcome
        self.message = str(call.error.get("message", ""))
        self.took = duration(call.duration_ms)
        self.size = _size(len(text.encode()))
        self.is_cut = call.is_cut and list(call.result) == ["cut"]
        self.is_whole = len(text) <= MOST_SHOWN
        self._unkept = text if call.is_cut and not self.is_cut else ""
        unkept = "; it is too large to stay in the history, so take it now" if self._unkept else ""
        self.rest = (
            "" if self.is_whole else f"This is the first part. The download has all of it{unkept}."
        )
        self.result = text[:MOST_SHOWN]
        self.request = as_json(
            {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "tools/call",
                "params": {"name": call.tool, "arguments": call.arguments},
            }
        )
        self.columns, self.rows = _table(call.result)
        self.sorted_by = ""
        self.is_descending = False
        if (self.view == "table" and not self.rows) or (self.view == "tree" and not self.is_whole):
            self.view = "raw"
        self.said = ", ".join(part for part in (self.code, self._gist(call), self.took) if part)

    def _gist(self, call: PastCall) -> str:
        """What the call brought, in a few words."""
        if self.headline or not self.ok:
            return self.headline or self.message
        for name, value in call.result.items():
            if isinstance(value, list) and name != "untrusted":
                return f"{len(value)} {name.removesuffix('s') if len(value) == 1 else name}"
        return next(
            (
                f"{name} {value.get('name') or value.get('id') or ''}".strip()
                for name, value in call.result.items()
                if isinstance(value, Mapping)
            ),
            "",
        )

    async def _show_difference(self, call: PastCall) -> None:
        """What this call has changed, as the journal knows it."""
        self.headline = ""
        self.difference = []
        change_id = call.result.get("change_id") or call.error.get("change_id")
        if not change_id:
            if call.outcome == "ok" and "change_id" in call.result:
                self.headline = "Nothing changed: it was so already."
            return
        services, actor = wiring.current(), self._require_actor()
        change = await services.changes.get(actor, str(change_id))
        if change is None:
            return
        stores = await services.stores.list(actor)
        store = next((store for store in stores if store.id == change.store_row_id), None)
        if change.state == "done":
            self.difference = difference_rows(change.changes, store.folders if store else ())
        self.headline = headline(change, store.name if store else "", self.difference)


def _table(result: Mapping[str, Any]) -> tuple[list[Column], list[list[str]]]:
    """The first list of objects in a result as a table of its plain values; nothing where there is
    none.
    """
    for value in result.values():
        if isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value):
            held = {
                name: [entry[name] for entry in value if entry.get(name) is not None]
                for name in dict.fromkeys(name for entry in value for name in entry)
            }
            columns = {
                name: _are_numbers(cells)
                for name, cells in held.items()
                if not any(isinstance(cell, (list, Mapping)) for cell in cells)
            }
            return [
                Column(name=name, is_number=is_number) for name, is_number in columns.items()
            ], [[_cell(entry.get(name)) for name in columns] for entry in value]
    return [], []


def _cell(value: Any) -> str:
    text = "" if value is None else without_surrogates(str(value))
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"


def _are_numbers(cells: list[Any]) -> bool:
    return bool(cells) and all(
        isinstance(cell, (int, float)) and not isinstance(cell, bool) for cell in cells
    )


def as_json(value: Any) -> str:
    """The value as a person reads it."""
    return without_surrogates(json.dumps(value, indent=2, ensure_ascii=False))


def without_surrogates(text: str) -> str:
    """Half of a surrogate pair, which Order Desk may send, cannot be sent to a browser: it is
    written as JSON's escape.
    """
    return text.encode(errors="backslashreplace").decode()


def _size(count: int) -> str:
    return f"{count} B" if count < 1000 else f"{count / 1000:.1f} kB"
