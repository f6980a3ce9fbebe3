"""One INFO line in the log for each tool call: who called what with which program, and how it
ended. No arguments, no results, and nothing of an order or a person.
"""

import json
import logging
import random as chance
import time
from collections import Counter
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from functools import lru_cache

from orderdesk_app.context import Actor, current_request
from orderdesk_app.observability import program_label, queue_line

_LOGGER = "orderdesk_app.tool_calls"
_LEVEL = logging.getLogger(_LOGGER)
# Of refused calls, of which a caller can make any number, so many lines a minute for each kind.
REFUSED_LINES = 10
# Of calls of a tool that failed in one way, so many a minute; the others are sampled.
FAILED_LINES = 60
_MOST_KINDS = 1_000


def turn_off_tool_call_log() -> None:
    """No lines in this process, whatever its level is."""
    _LEVEL.setLevel(logging.WARNING)


class ToolCallLog:
    """Lines of calls that went well are sampled; a call that failed has its line, up to sixty a
    minute for each tool and reason. Refused calls have ten a minute for each account, tool and
    reason, and the next line has their count.
    """

    def __init__(
        self,
        *,
        sample_rate: float,
        random: Callable[[], float] = chance.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sample_rate = sample_rate
        self._random = random
        self._clock = clock
        self._minute = 0
        self._lines: Counter[Hashable] = Counter()
        self._left_out = 0

    def record(
        self, actor: Actor | None, tool: str, outcome: str, seconds: float, *, via: str
    ) -> None:
        """Write the line of a call that ran. `actor` is None before a stdio session's sign-in."""
        if not _LEVEL.isEnabledFor(logging.INFO):
            return
        if self._sample_rate < 1 and self._is_left_out(tool, outcome):
            return
        _write(actor, tool, outcome, seconds, via)

    def record_refusal(
        self, actor: Actor | None, tool: str, outcome: str, seconds: float, *, via: str
    ) -> None:
        """Write the line of a call that was refused for what it asked, or count it."""
        if not _LEVEL.isEnabledFor(logging.INFO):
            return
        kind = (actor.tenant_id if actor else "", tool, outcome)
        if self._is_one_too_many(kind, REFUSED_LINES):
            self._left_out += 1
            return
        _write(actor, tool, outcome, seconds, via, left_out=self._left_out)
        self._left_out = 0

    def _is_left_out(self, tool: str, outcome: str) -> bool:
        """In an outage every call fails: then those are sampled too, beyond one a second."""
        if outcome != "ok" and not self._is_one_too_many((tool, outcome), FAILED_LINES):
            return False
        return self._random() >= self._sample_rate

    def _is_one_too_many(self, kind: Hashable, most: int) -> bool:
        minute = int(self._clock() // 60)
        if minute != self._minute:
            self._minute = minute
            self._lines.clear()
        if kind not in self._lines and len(self._lines) >= _MOST_KINDS:
            kind = "others"
        self._lines[kind] += 1
        return self._lines[kind] > most


def _write(
    actor: Actor | None, tool: str, outcome: str, seconds: float, via: str, *, left_out: int = 0
) -> None:
    # Built by hand: a line through structlog would cost more than the rest of a cached read's
    # bookkeeping. All values but the client's name are ours, or of a few harmless characters.
    tenant = f'"tenant_id": "{actor.tenant_id}", "client": {_client(actor)}, ' if actor else ""
    count = f', "left_out": {left_out}' if left_out else ""
    queue_line(
        f'{{"event": "tool call", "tool": "{tool}", "outcome": "{outcome}", '
        f'"seconds": {seconds:.4f}, {tenant}"via": "{via}", '
        f'"request_id": "{current_request().request_id}", "level": "info", '
        f'"logger": "{_LOGGER}", "timestamp": "{_timestamp()}"{count}}}'
    )


def _timestamp() -> str:
    """As in all other lines."""
    return f"{datetime.now(UTC).isoformat(timespec='microseconds')[:-6]}Z"


def _client(actor: Actor) -> str:
    return _client_json(actor.client_name, actor.client_version)


@lru_cache(1024)
def _client_json(name: str, version: str) -> str:
    """The client's name and version as a JSON string: a stranger chooses both."""
    return json.dumps(program_label(f"{name} {version}".strip()))
