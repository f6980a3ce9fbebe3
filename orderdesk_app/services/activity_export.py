"""The activity as a file: CSV for spreadsheets, JSON Lines for programs.

Rows are read and written a few at a time, so that no file is ever in memory.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC
from typing import Literal

from orderdesk_app.context import Actor, Json, TenantId
from orderdesk_app.errors import RateLimit, RateLimited
from orderdesk_app.orderdesk.json_numbers import is_rounded
from orderdesk_app.services.activity_entries import ActivityEntry
from orderdesk_app.services.activity_filter import ActivityFilter, Place
from orderdesk_app.services.activity_log import ActivityLog
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.roles import Permission, require
from orderdesk_app.services.stores import Stores

Form = Literal["csv", "jsonl"]
MOST_EXPORTED = 100_000
LOOK_AGAIN = 10  # seconds, while as many downloads are under way
MOST_AT_ONCE = 2  # files of one account
ROWS_AT_ONCE = 250
ACTION = "activity.export"
COLUMNS = (
    "time",
    "what",
    "outcome",
    "through",
    "key",
    "program",
    "person",
    "store",
    "duration_ms",
    "from_cache",
    "times",
    "request_id",
    "arguments",
)
# What spreadsheets take for the beginning of a formula; some also in full width.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes UTF-8 for another encoding


class ActivityExport:
    """Writes files of one account's activity."""

    def __init__(self, log: ActivityLog, stores: Stores, audit: AuditTrail) -> None:
        self._log = log
        self._stores = stores
        self._audit = audit
        self._running: Counter[TenantId] = Counter()

    @asynccontextmanager
    async def open(
        self, actor: Actor, wanted: ActivityFilter, form: Form, *, writes: Sequence[str]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The parts of the file: the newest MOST_EXPORTED rows, the newest first. Where there are
        more, its last row says so. The download itself is a row of the audit log.

        Raises PermissionDenied, and RateLimited for an account that has MOST_AT_ONCE files under
        way.
        """
        require(actor, Permission.EXPORT_ACCOUNT)
        if self._running[actor.tenant_id] >= MOST_AT_ONCE:
            error = RateLimited(
                f"{MOST_AT_ONCE} downloads of this account are under way. Wait until one has "
                "ended.",
                retry_after=LOOK_AGAIN,
            )
            raise error.by(RateLimit(MOST_AT_ONCE, 0, LOOK_AGAIN))
        self._running[actor.tenant_id] += 1
        try:
            await self._audit.write_or_queue(
                Entry(actor, ACTION, arguments={"format": form, "filters": wanted.query()})
            )
            yield self._parts(actor, wanted, form, writes)
        finally:
            self._running[actor.tenant_id] -= 1
            self._running += Counter()  # drops those at zero

    async def _parts(
        self, actor: Actor, wanted: ActivityFilter, form: Form, writes: Sequence[str]
    ) -> AsyncIterator[bytes]:
        stores = {str(store.id): store.name for store in await self._stores.list(actor)}
        if form == "csv":
            yield (_BYTE_ORDER_MARK + _csv_line(COLUMNS)).encode()
        left = MOST_EXPORTED
        before: Place | None = None
        while True:
            page = await self._log.page(
                actor, wanted, writes=writes, count=min(ROWS_AT_ONCE, left), before=before
            )
            rows = [_row(entry, stores) for entry in page.entries]
            left -= len(rows)
            before = page.older
            if before is not None and not left:
                rows.append({"what": f"The file ends here, after {MOST_EXPORTED:,} rows"})
            lines = (_csv_row(row) if form == "csv" else _json_line(row) for row in rows)
            yield "".join(lines).encode(errors="replace")
            if before is None or not left:
                return


def _row(entry: ActivityEntry, stores: Mapping[str, str]) -> dict[str, Json]:
    """One row, in the order of COLUMNS."""
    values: tuple[Json, ...] = (
        entry.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        entry.tool or entry.action,
        entry.outcome,
        entry.via,
        entry.key,
        entry.client,
        "" if entry.master_key_id else entry.person,
        stores.get(entry.store_row_id or "", ""),
        round(entry.duration_ms, 3),
        entry.cached,
        entry.times,
        entry.request_id,
        entry.arguments,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _json_line(row: Mapping[str, Json]) -> str:
    return json.dumps(_exact(row), ensure_ascii=False) + "\n"


def _csv_row(row: Mapping[str, Json]) -> str:
    arguments = row.get("arguments")
    text = json.dumps(_exact(arguments), ensure_ascii=False) if arguments else ""
    cells = [row.get(name, "") for name in COLUMNS[:-1]]
    return _csv_line([*(_cell(cell) for cell in cells), _cell(text)])


def _cell(value: Json) -> str:
    """The value as a spreadsheet shows it: text that would be a formula begins with an apostrophe,
    which spreadsheets take for "this is text".
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    is_text = isinstance(value, str)
    return f"'{text}" if is_text and text.startswith(_FORMULA) else text


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _exact(value: object) -> object:
    """The same with text for each number that other programs would round."""
    if isinstance(value, Mapping):
        return {name: _exact(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_exact(part) for part in value]
    if isinstance(value, int | float) and not isinstance(value, bool) and is_rounded(value):
        return str(value)
    return value
