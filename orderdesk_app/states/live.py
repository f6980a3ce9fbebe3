"""Pages that go on by themselves: when something happens in an account, the server runs the handler
of each page that shows it, as if the browser had asked.

It is an event like any other: the guard looks at it, and it holds the state's lock only while it
runs. No event and no task waits for signals, so an open page of a quiet account costs nothing.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from orderdesk_app.observability import log

_LOG = log(__name__)
SPACING_SECONDS = 0.5  # between two events for one tab
LONGEST_WAIT = 1.0  # seconds for one tab; another then has its turn
# Pages may take a fifth of the time of the event loop, however many are open.
PAUSE_SHARE = 4.0
_LONGEST_PAUSE = 1.0

# Sends an event to a tab, with the router data for a tab whose state is gone.
SendEvent = Callable[[str, str, dict[str, Any]], Awaitable["asyncio.Future[Any]"]]


@dataclass
class _Tab:
    """A page that is shown somewhere."""

    tenant_id: str
    user_id: str
    event: str  # the full name of the handler that reads the page's data again
    router_data: dict[str, Any]
    sent_at: float = 0.0
    running: "asyncio.Future[Any] | None" = None
    is_behind: bool = False  # something happened while its event ran
    later: asyncio.TimerHandle | None = None


class LivePages:
    """Which tabs show what, and their events. `configure` comes before everything else."""

    def __init__(self) -> None:
        self._events: Mapping[str, str] = {}
        self._check = ""
        self._of_strangers: frozenset[str] = frozenset()
        self._tabs: dict[str, _Tab] = {}
        self._of_tenants: defaultdict[str, set[str]] = defaultdict(set)
        self._of_users: defaultdict[str, set[str]] = defaultdict(set)
        self._due: dict[str, None] = {}
        self._sender: asyncio.Task[None] | None = None

    def configure(
        self,
        events: Mapping[str, str],
        *,
        send: SendEvent,
        is_open: Callable[[str], bool],
        check: str = "",
        of_strangers: frozenset[str] = frozenset(),
    ) -> None:
        """`events` are the handlers of the pages, by their address, and `check` that of all others:
        the guard signs a page out where its session has ended. `is_open` says whether a tab is
        connected. Those of `of_strangers` show requests of no account too.
        """
        self._events = events
        self._check = check
        self._of_strangers = of_strangers
        self._send = send
        self._is_open = is_open

    def show(
        self,
        tab: str,
        tenant_id: str,
        path: str,
        router_data: Mapping[str, Any],
        *,
        user_id: str = "",
    ) -> None:
        """A tab shows the page of that path now, and nothing that it showed before."""
        self.forget(tab)
        event = self._events.get(path, self._check)
        if not event:
            return
        if len(self._tabs) % 100 == 99:
            for other in [other for other in self._tabs if not self._is_open(other)]:
                self.forget(other)
        self._tabs[tab] = _Tab(tenant_id, user_id, event, dict(router_data))
        self._of_tenants[tenant_id].add(tab)
        self._of_users[user_id].add(tab)

    def forget(self, tab: str) -> None:
        """The tab is gone, or shows something else."""
        known = self._tabs.pop(tab, None)
        self._due.pop(tab, None)
        if known is None:
            return
        if known.later is not None:
            known.later.cancel()
        for tabs_of, name in (
            (self._of_tenants, known.tenant_id),
            (self._of_users, known.user_id),
        ):
            tabs_of[name].discard(tab)
            if not tabs_of[name]:
                del tabs_of[name]

    def look_again(self, tab: str, seconds: float) -> None:
        """What the tab shows changes by itself in that time; a change before that comes first."""
        known = self._tabs.get(tab)
        if known is not None:
            if known.later is not None:
                known.later.cancel()
            loop = asyncio.get_running_loop()
            known.later = loop.call_later(seconds, self._make_due, tab)

    def hear(self, topic: str) -> None:
        """A signal (db/signals.py): what happened may be on the pages of its account, or the
        sessions of a user have ended.
        """
        kind, _, names = topic.partition(":")
        if kind in ("activity", "tenant"):
            tabs = [
                tab
                for name in names.split(",")
                for tab in self._of_tenants.get(name, ())
                if kind == "tenant" or self._tabs[tab].event != self._check
            ]
        elif kind == "user":
            tabs = list(self._of_users.get(names, ()))
        elif kind == "strangers":
            tabs = [tab for tab, known in self._tabs.items() if known.event in self._of_strangers]
        else:
            # "*": signals may have been lost
            tabs = list(self._tabs) if topic == "*" else []
        for tab in tabs:
            self._make_due(tab)

    def stop(self) -> None:
        """Forgets all tabs."""
        for tab in list(self._tabs):
            self.forget(tab)
        if self._sender is not None:
            self._sender.cancel()
            self._sender = None

    def _make_due(self, tab: str) -> None:
        known = self._tabs.get(tab)
        if known is None:
            return
        if known.running is not None and not known.running.done():
            known.is_behind = True
            return
        self._due[tab] = None
        if self._sender is None or self._sender.done():
            # A signal may come while an event of another tab runs. Nothing of that event may come
            # along: Reflex would take our events for its children, with its tab's cookie.
            self._sender = asyncio.create_task(
                self._send_due(), name="live-pages", context=Context()
            )

    async def _send_due(self) -> None:
        """Until no tab is due: one after the other, the one that waits longest first."""
        while self._due:
            tab = min(self._due, key=lambda name: self._tabs[name].sent_at)
            wait = self._tabs[tab].sent_at + SPACING_SECONDS - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            if tab not in self._due:
                continue  # it was forgotten meanwhile
            del self._due[tab]
            if not self._is_open(tab):
                self.forget(tab)
                continue
            began = time.monotonic()
            try:
                await self._run(tab, self._tabs[tab])
            except Exception as error:
                _LOG.error("a page could not be drawn again", exc_info=error)
            took = time.monotonic() - began
            await asyncio.sleep(min(_LONGEST_PAUSE, took * PAUSE_SHARE))

    async def _run(self, tab: str, known: _Tab) -> None:
        known.sent_at = time.monotonic()
        known.is_behind = False
        known.running = await self._send(tab, known.event, known.router_data)
        known.running.add_done_callback(lambda _: self._catch_up(tab, known))
        await asyncio.wait({known.running}, timeout=LONGEST_WAIT)

    def _catch_up(self, tab: str, known: _Tab) -> None:
        if known.is_behind and self._tabs.get(tab) is known:
            self._make_due(tab)


LIVE = LivePages()
