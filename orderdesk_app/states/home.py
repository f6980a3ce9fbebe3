"""What Home shows: problems, four numbers of the last day, the latest, the stores' health, and a
newcomer's next steps.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypedDict

import reflex as rx

from orderdesk_app import wiring
from orderdesk_app.context import Actor, now
from orderdesk_app.services.activity import Day, FirstSteps, QuietCalls
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.open_store import StoreRecord
from orderdesk_app.services.roles import Permission, may
from orderdesk_app.states.activity_rows import READS, ActivityRow, OpenedRow, activity_rows
from orderdesk_app.states.activity_text import (
    actor_label,
    is_store_at_fault,
    means_of,
    quiet_label,
)
from orderdesk_app.states.signed_in import SignedInState, handler
from orderdesk_app.states.times import ago, changes_in, duration, stamp

_SLOW_MS = 1000
_MOST_SHOWN = 15
_MOST_QUIET = 5
_WIDTH, _HEIGHT = 240, 36


class Metric(TypedDict):
    """A number: what it counts, over which time, what is normal; and its curve as SVG points, with
    what is to be seen in it.
    """

    name: str
    value: str
    note: str
    points: str
    finding: str  # the words before `since`, which is the beginning of an hour, and those after it
    clock: str
    since: str
    most: str
    tone: str


class HourRow(TypedDict):
    """One hour of the curves as a row. `clock` is when it begins, in UTC; `since` the same for
    programs.
    """

    clock: str
    since: str
    calls: str
    errors: str
    median: str
    saved: str


class QuietRow(TypedDict):
    """What one agent or person read lately, in one line."""

    id: str
    who: str
    what: str
    where: str
    by_agent: bool
    ago: str
    at: str


class StoreHealth(TypedDict):
    name: str
    words: str
    tone: str
    calls: str
    ago: str
    at: str
    free: int  # requests that Order Desk takes at once, of 20
    filled: str


class Step(TypedDict):
    words: str
    href: str
    label: str
    done: bool


class HomeState(OpenedRow, SignedInState):
    loaded: bool = False
    problems: list[str] = []
    metrics: list[Metric] = []
    hours: list[HourRow] = []
    as_table: bool = False
    latest: list[ActivityRow] = []
    quiet: list[QuietRow] = []
    stores: list[StoreHealth] = []
    steps: list[Step] = []
    is_newcomer: bool = False

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def load(self) -> None:
        """Also runs when something happens in the account (states/live.py)."""
        services, actor = wiring.current(), self._require_actor()
        records = await services.stores.list(actor)
        day = await services.activity.day(actor)
        self.metrics = _metrics(day)
        self.hours = _hours(day)
        latest = await services.activity.notable(actor, reads=READS, count=_MOST_SHOWN)
        self.latest = activity_rows(latest, actor, records)
        self.quiet = [
            _quiet_row(calls, actor)
            for calls in (await services.activity.quiet(actor, reads=READS))[:_MOST_QUIET]
        ]
        free = await services.stores.free_requests(records)
        self.stores = [
            _health(record, day, count) for record, count in zip(records, free, strict=True)
        ]
        self.problems = _problems(records, day)
        if await services.keys.stood_in_address(actor):
            self.problems = [*self.problems, _IN_ADDRESS]
        self.steps = _steps(actor, bool(records), await services.activity.first_steps(actor))
        self.is_newcomer = not all(step["done"] for step in self.steps)
        self.loaded = True
        if seconds := changes_in(free, day.calls):
            self._look_again(seconds)

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def show_table(self) -> None:
        """Show or hide the curves as a table."""
        self.as_table = not self.as_table


def _metrics(day: Day) -> list[Metric]:
    share = day.errors / day.calls if day.calls else 0.0
    asked = day.upstream_requests + day.saved
    return [
        Metric(
            name="Calls",
            value=f"{day.calls:,}",
            note="in 24\u00a0h",
            points=_points(day.calls_by_hour),
            **_finding(day, day.calls_by_hour, "Busiest hour", "A quiet day so far"),
            tone="gray",
        ),
        Metric(
            name="Errors",
            value=f"{day.errors:,}",
            note=f"{share * 100:.1f}\u00a0% of calls in 24\u00a0h · under 2\u00a0% is normal"
            if day.calls
            else "in 24\u00a0h · under 2\u00a0% of calls is normal",
            points=_points(day.errors_by_hour),
            **_finding(day, day.errors_by_hour, "Most in the hour", "None in any hour"),
            tone="red" if share >= 0.02 else "gray",
        ),
        Metric(
            name="Median duration",
            value="–" if day.median_ms is None else duration(day.median_ms),
            note="of calls in 24\u00a0h · under 1 s is normal",
            points=_points(day.median_by_hour),
            **_finding(
                day, day.median_by_hour, "Slowest hour", "No calls to time", as_words=duration
            ),
            tone="amber" if (day.median_ms or 0) > _SLOW_MS else "gray",
        ),
        Metric(
            name="Saved by cache",
            value=f"{day.saved:,}",
            note=f"of {asked:,} requests to Order Desk in 24\u00a0h",
            points=_points(day.saved_by_hour),
            **_finding(day, day.saved_by_hour, "Most in the hour", "No repeated requests"),
            tone="gray",
        ),
    ]


def _points(values: list[int] | list[float]) -> str:
    """A curve over the day; a quiet day is a flat line at the bottom."""
    most = max(values) or 1
    step = _WIDTH / (len(values) - 1)
    return " ".join(
        f"{number * step:.1f},{_HEIGHT - 2 - value / most * (_HEIGHT - 4):.1f}"
        for number, value in enumerate(values)
    )


class _Finding(TypedDict):
    finding: str
    clock: str
    since: str
    most: str


def _finding(
    day: Day,
    values: Sequence[float],
    words: str,
    nothing: str,
    *,
    as_words: Callable[[float], str] = "{:,.0f}".format,
) -> _Finding:
    """What the curve shows: its highest hour, and how high that is."""
    most = max(values)
    if not most:
        return _Finding(finding=nothing, clock="", since="", most="")
    begin = _begin(day, values.index(most))
    return _Finding(
        finding=f"{words} from",
        clock=f"{begin:%H:%M} UTC",
        since=stamp(begin),
        most=f": {as_words(most)}",
    )


def _hours(day: Day) -> list[HourRow]:
    return [
        HourRow(
            clock=f"{_begin(day, hour):%H:%M}",
            since=stamp(_begin(day, hour)),
            calls=f"{day.calls_by_hour[hour]:,}",
            errors=f"{day.errors_by_hour[hour]:,}",
            median=duration(day.median_by_hour[hour]) if day.calls_by_hour[hour] else "",
            saved=f"{day.saved_by_hour[hour]:,}",
        )
        for hour in reversed(range(len(day.calls_by_hour)))
    ]


def _begin(day: Day, hour: int) -> datetime:
    return day.since + timedelta(hours=hour)


def _quiet_row(calls: QuietCalls, actor: Actor) -> QuietRow:
    return QuietRow(
        id=f"{calls.via} {calls.client} {calls.key} {calls.user_id}",
        who=actor_label(calls, actor),
        what=quiet_label(calls),
        where=" · ".join(means_of(calls, actor)),
        by_agent=calls.via in ("mcp", "stdio"),
        ago=ago(calls.last_at, now()),
        at=stamp(calls.last_at),
    )


def _health(record: StoreRecord, day: Day, free: int) -> StoreHealth:
    filled = f"{free * 5}%"
    state = day.stores.get(record.id)
    if state is None or state.last_outcome is None:
        return StoreHealth(
            name=record.name,
            words="No calls in 24 h",
            tone="gray",
            calls="0",
            ago="",
            at="",
            free=free,
            filled=filled,
        )
    words, tone = (
        ("Last call failed", "red")
        if is_store_at_fault(state.last_outcome)
        else ("Answers", "green")
    )
    return StoreHealth(
        name=record.name,
        words=words,
        tone=tone,
        calls=f"{state.calls:,}",
        ago=ago(state.last_at, now()),
        at=stamp(state.last_at),
        free=free,
        filled=filled,
    )


_IN_ADDRESS = (
    "An assistant sent the master key in an address (?token=), which proxies and logs keep. Send "
    "a key in the header Authorization, after Bearer: Connect has the words to paste for each "
    "assistant. Then replace the master key under Settings."
)


def _problems(records: tuple[StoreRecord, ...], day: Day) -> list[str]:
    """Sentences with a next step; none when all is well."""
    found = []
    for record in records:
        state = day.stores.get(record.id)
        if state is not None and state.last_outcome == "AUTH_ERROR":
            found.append(
                f"Order Desk refused the key of {record.name}. Give it a new one under "
                "Stores, Edit."
            )
        elif state is not None and state.last_outcome == "ORDERDESK_API_ERROR":
            found.append(
                f"The last call to {record.name} failed at Order Desk. Test the "
                "connection under Stores."
            )
    return found


def _steps(actor: Actor, has_store: bool, done: FirstSteps) -> list[Step]:
    """The steps that the actor's role lets them take."""
    needed = {"/stores": Permission.MANAGE_STORES, "/console": Permission.RUN_READING_TOOLS}
    steps = [
        Step(
            words="Connect a store, or try the sandbox",
            href="/stores",
            label="Stores",
            done=has_store,
        ),
        Step(
            words="Run a tool yourself",
            href="/console",
            label="Console",
            done=done.has_console_call,
        ),
        Step(
            words="Make a key for an assistant",
            href="/connect",
            label="Connect",
            done=done.has_key,
        ),
        Step(
            words="Let the assistant make its first call",
            href="/connect",
            label="How",
            done=done.has_agent_call,
        ),
    ]
    return [
        step for step in steps if may(actor, needed.get(step["href"], Permission.MANAGE_OWN_KEYS))
    ]
