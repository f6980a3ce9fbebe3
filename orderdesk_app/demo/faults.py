"""Faults on demand, for tests only: which requests go wrong, how, and whether their effect
happened; and the log of every request.
"""

import asyncio
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import httpx

from orderdesk_app.demo.body import Body

Kind = Literal[
    "rate_limited",
    "rate_limited_bare",
    "server_error",
    "bad_gateway",
    "unavailable",
    "dropped",
    "broken_json",
    "error_in_200",
    "status",
    "slow",
    "edit",
]
Effect = Literal["not_done", "done", "late"]
KINDS: dict[str, Effect] = {  # each with the effect that it has unless told otherwise
    "rate_limited": "not_done",  # 429 with X-Retry-After
    "rate_limited_bare": "not_done",  # 429 without any header
    "server_error": "not_done",  # 500 with an envelope
    "bad_gateway": "not_done",  # 502, an HTML page
    "unavailable": "not_done",  # 503
    "dropped": "not_done",  # the connection closes without an answer
    "broken_json": "done",  # half of the answer's body
    "error_in_200": "not_done",  # status: error in a 200
    "status": "not_done",  # an error with the HTTP `status` of the fault, such as 409
    "slow": "done",  # the answer takes `seconds`
    "edit": "done",  # answered as usual; then somebody else changes the order
}
LOG_LENGTH = 100_000


class Dropped(httpx.RemoteProtocolError):
    """In process this is what the client meets; the server closes the socket instead."""


@dataclass(slots=True)
class Fault:
    """What goes wrong with the next `times` requests that match, after letting `skip` of them pass.

    `path` is beneath /api/v2; `*` in it stands for one part, alone for any path. `effect`:
    `not_done` (never happens), `done` (happened before the fault showed), `late` (only `slow`:
    happens after the wait). A slow answer waits for `until`, where it is given, instead of
    `seconds`. `order_id` and `patch` belong to `edit`: keys merged into that order by somebody else
    as soon as the matched request has been served.
    """

    kind: Kind
    method: str = "*"
    path: str = "*"
    store_id: str = "*"
    times: int = 1
    skip: int = 0
    effect: Effect | None = None
    seconds: float = 1.0
    until: asyncio.Event | None = None
    status: int = 409  # of the kind "status"
    message: str = ""
    order_id: str = ""
    patch: Body = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no such fault: {self.kind}; there are {', '.join(KINDS)}")
        if self.effect is None:
            self.effect = KINDS[self.kind]

    async def wait(self) -> None:
        await (asyncio.sleep(self.seconds) if self.until is None else self.until.wait())

    def means(self, method: str, path: str, store_id: str) -> bool:
        pattern = "/".join(
            "[^/]+" if part == "*" else re.escape(part) for part in self.path.split("/")
        )
        return (
            self.method in ("*", method)
            and self.store_id in ("*", store_id)
            and (self.path == "*" or re.fullmatch(pattern, path) is not None)
        )


@dataclass(slots=True)
class Served:
    """One request as it arrived, and what became of it. The API key is never kept."""

    number: int
    at: float  # seconds, by the sandbox's clock
    method: str
    path: str
    query: str
    store_id: str
    headers: dict[str, str]
    body: str
    status: int | None = None  # None while under way, and when the connection was dropped
    fault: str | None = None
    took_effect: bool | None = None  # of a fault; None without one


class Faults:
    """The faults that are waiting, and the log."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []
        self.log: deque[Served] = deque(maxlen=LOG_LENGTH)
        self._served = 0

    def add(self, fault: Fault) -> None:
        self.waiting.append(fault)

    def clear(self) -> None:
        self.waiting.clear()

    def forget(self) -> None:
        self.log.clear()

    def note(
        self,
        at: float,
        method: str,
        path: str,
        query: str,
        store_id: str,
        headers: dict[str, str],
        body: str,
    ) -> Served:
        self._served += 1
        served = Served(self._served, at, method, path, query, store_id, headers, body)
        self.log.append(served)
        return served

    def strike(self, served: Served) -> Fault | None:
        """The fault that meets this request, used up by one."""
        for fault in self.waiting:
            if not fault.means(served.method, served.path, served.store_id):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            if not fault.times:
                self.waiting.remove(fault)
            served.fault, served.took_effect = fault.kind, fault.effect != "not_done"
            return fault
        return None

    def requests(self, method: str = "*", path: str = "*", store_id: str = "*") -> list[Served]:
        """The logged requests that match, oldest first."""
        like = Fault("slow", method, path, store_id)
        return [
            served for served in self.log if like.means(served.method, served.path, served.store_id)
        ]
