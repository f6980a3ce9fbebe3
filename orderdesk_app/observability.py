"""What operators see: one JSON log that can hold no personal data, and the metrics of `/metrics`.

A log line may carry only the fields named in LOG_FIELDS; anything else is dropped before it is
written, so that a careless call cannot leak. A library's line keeps its message template without
the arguments, an exception its type and place without its text. Of the web framework's lines only
the place stays: it puts what browsers sent into its templates.
"""

import asyncio
import logging
import re
import sys
import traceback
from collections import deque
from collections.abc import MutableMapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TextIO, TypeVar

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import Metric

from orderdesk_app import __version__
from orderdesk_app.context import current_request

# ------------------------------------------------------------------ metrics: one line each; labels

REGISTRY = CollectorRegistry()
# What the process and its Python say of themselves: `process_*` and `python_*`.
PROCESS_REGISTRY = CollectorRegistry()
for _collector in (ProcessCollector, PlatformCollector, GCCollector):
    _collector(registry=PROCESS_REGISTRY)
_without_created: Any = disable_created_metrics  # the library gives it no types
_without_created()  # no graph uses these series
MetricT = TypeVar("MetricT", Counter, Histogram)
_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


def _counter(name: str, words: str, *labels: str) -> Counter:
    return _quick(Counter(f"orderdesk_{name}", words, labels, registry=REGISTRY))


def _gauge(name: str, words: str, *labels: str) -> Gauge:
    return Gauge(f"orderdesk_{name}", words, labels, registry=REGISTRY)


def _seconds(name: str, words: str, *labels: str) -> Histogram:
    return _quick(
        Histogram(f"orderdesk_{name}_seconds", words, labels, buckets=_FAST, registry=REGISTRY)
    )


def _quick(metric: MetricT) -> MetricT:
    """Caches the children that `labels` returns: every request asks for the same few."""
    metric.labels = lru_cache(1_000)(metric.labels)  # type: ignore[method-assign]
    return metric


BUILD = _gauge("build_info", "The running version; always 1.", "version")
HTTP_REQUESTS = _counter(
    "http_requests",
    "HTTP requests by the class of their answer; gone where the caller hung up before one.",
    "route",
    "status",
)
HTTP_SECONDS = _seconds(
    "http_request", "Time from an HTTP request to the end of its answer.", "route"
)
MCP_REQUESTS = _counter(
    "mcp_requests",
    "Requests at /mcp by JSON-RPC method and protocol revision.",
    "method",
    "revision",
)
MCP_REFUSED = _counter("mcp_refused", "Requests at /mcp refused before the protocol.", "reason")
OAUTH_REFUSED = _counter(
    "oauth_refused", "Requests of OAuth clients refused, by the code of the error.", "reason"
)
TOOL_CALLS = _counter(
    "tool_calls",
    "Tool calls by outcome (ok or the error code) and entry point.",
    "tool",
    "outcome",
    "via",
)
TOOL_SECONDS = _seconds("tool_call", "Time inside the runner.", "tool")
TOOLS_RUNNING = _gauge("tool_calls_running", "Tool calls in progress.")
UPSTREAM_REQUESTS = _counter(
    "upstream_requests", "Requests sent to Order Desk.", "method", "outcome"
)
UPSTREAM_SECONDS = _seconds("upstream_request", "Time that Order Desk took to answer.", "method")
CACHE_READS = _counter(
    "cache_reads", "Reads that the cache answered (hit) or did not (miss).", "kind", "outcome"
)
WRITES = _counter("writes", "Order changes by what became of them.", "action", "outcome")
RECONCILED = _counter(
    "reconciliations", "Lost answers settled by reading the order again.", "verdict"
)
SIGN_INS = _counter("sign_ins", "Sign-in attempts.", "way", "outcome")
SIGN_UPS = _counter("sign_ups", "Sign-ups: asked, limited, opened.", "outcome")
CREDENTIALS_REFUSED = _counter("credentials_refused", "Requests with no or a bad key.", "door")
RATE_LIMITED = _counter("rate_limited", "Calls refused because a limit was reached.", "limit")
AUDIT_ROWS = _counter("audit_rows", "Audit rows committed.", "kind")
AUDIT_WAITING = _gauge("audit_waiting", "Audit rows of reads that wait for their flush.")
STORE_CHANGES = _counter("store_changes", "Stores connected, edited and removed.", "action")
KEY_CHANGES = _counter("key_changes", "Keys made, edited, revoked and rotated.", "action")
SIGNALS = _counter("change_signals", "Changes heard from this and other processes.", "topic")
JOBS = _counter(
    "jobs",
    "Tries of background jobs by what became of them: done, again (later), gave_up.",
    "kind",
    "outcome",
)
ERRORS = _counter("unexpected_errors", "Faults of ours that a user met.", "where")
WEB_EVENTS = _counter("web_events", "Events of the web app by what the guard said.", "outcome")
DATABASE_POOL_IN_USE = _gauge(
    "database_pool_in_use", "Connections to the database that are in use.", "pool"
)
DATABASE_POOL_SIZE = _gauge(
    "database_pool_size", "Connections to the database that the pool may open.", "pool"
)
DATABASE_POOL_WAITING = _gauge(
    "database_pool_waiting",
    "Calls that wait for a connection, or for their turn to write to SQLite.",
    "pool",
)
EVENT_LOOP_LAG = _gauge(
    "event_loop_lag_seconds", "How late the event loop was when it was measured last."
)
EVENT_LOOP_LAG_MAX = _gauge(
    "event_loop_lag_max_seconds", "The longest lag of the event loop since the scrape before."
)
OPEN_SOCKETS = _gauge(
    "open_sockets",
    "Open sockets. all: every one of the process, also idle ones and those to the database and "
    "to Order Desk (Linux alone); websocket: pages that are open; request: HTTP requests that are "
    "being answered.",
    "kind",
)
WEB_SOCKETS_REFUSED = _counter(
    "web_sockets_refused", "Websockets that were not opened, or were disconnected.", "reason"
)
BUILD.labels(__version__).set(1)


def metrics_text() -> bytes:
    """The exposition of every family above and of the process, in the Prometheus text format."""
    return generate_latest(REGISTRY) + generate_latest(PROCESS_REGISTRY)


def metric_families() -> list[Metric]:
    """Every family with its words, for the table in the README."""
    return list(REGISTRY.collect())


# ------------------------------------------------------------------ the log

# How long the lines of tool calls may wait to be written together.
LINE_SECONDS = 0.05
LOG_FIELDS = frozenset(
    {
        "event",
        "level",
        "timestamp",
        "logger",
        "request_id",
        "route",
        "method",
        "status",
        "seconds",
        "tool",
        "outcome",
        "code",
        "via",
        "version",
        "revision",
        "error",
        "place",
        "port",
        "pid",
        "workers",
        "engine",
        "reason",
        "attempt",
        "count",
        "tenant_id",
        "chain",
        "why",
        "reference",
        "setting",
        "action",  # of an audit entry, such as key.create
        "handler",  # the name of a method of a state
        "row",  # the id of a row of ours
        "client",  # what a program calls itself, through program_label()
        "size",  # of something that is not shown
        "left_out",  # lines of the same kind that were not written before this one
    }
)

_EMAIL = re.compile(r"[^\s@'\"<>]+@[^\s@'\"<>]+")
_LONG = re.compile(r"[A-Za-z0-9_\-+/=.]{24,}")
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b(?:[0-9a-fA-F]{1,4}:){2,}[0-9a-fA-F:]+\b")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_DIGITS = re.compile(r"\+?\d[\d ()\-]{6,}\d")

Event = MutableMapping[str, Any]


def raised_at(error: BaseException) -> str:
    """Where an exception arose: the innermost frames as `file:line function`, without its text."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return " < ".join(
        f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}"
        for frame in reversed(frames)
    )


WEB_FRAMEWORK = ("reflex", "engineio", "socketio")
_LINES = 20  # of one kind in a minute: what a stranger or a member can cause fills no disk
_MOST_KINDS = 1_000


def _is_framework(record: logging.LogRecord) -> bool:
    return record.name.startswith(WEB_FRAMEWORK)


@dataclass(slots=True)
class _Written:
    """How much of one kind was written in its last minute and second, and what was left out."""

    minute: int = 0
    lines: int = 0
    second: int = 0
    left_out: int = 0


class LimitLines(logging.Filter):
    """Lets at most _LINES of each kind through in a minute, and one a second.

    A kind is what one place in the code says about one sort of exception. All lines of the web
    framework are one kind, without the limit of a second: any browser can make it write. What is
    not a warning is written because an operator asked for it, and is not limited here.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[tuple[str, ...], _Written] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        is_framework = _is_framework(record)
        if record.levelno < logging.WARNING and not is_framework:
            return True
        kind = ("framework",) if is_framework else _kind_of(record)
        if kind not in self._kinds and len(self._kinds) >= _MOST_KINDS:
            kind = ("others",)
        written = self._kinds.setdefault(kind, _Written())
        second = int(record.created)
        if written.minute != second // 60:
            written.minute = second // 60
            written.lines = 0
        if written.lines >= _LINES or (not is_framework and written.second == second):
            written.left_out += 1
            return False
        written.lines += 1
        written.second = second
        record.__dict__["left_out"] = written.left_out
        written.left_out = 0
        return True


def _kind_of(record: logging.LogRecord) -> tuple[str, ...]:
    said = record.msg
    if isinstance(said, dict):  # ours: the event and its fields
        error = said.get("exc_info")
        return record.name, str(said.get("event")), type(error).__name__
    error = record.exc_info[1] if record.exc_info else None
    return record.name, record.pathname, str(record.lineno), type(error).__name__


def _only_known_fields(_: Any, __: str, event: Event) -> Event:
    record = event.get("_record")
    if (
        isinstance(record, logging.LogRecord)
        and event.get("_from_structlog") is False
        and _is_framework(record)
    ):
        event["event"], event["place"] = (
            "the web framework wrote a line",
            f"{record.filename}:{record.lineno} {record.funcName}",
        )
    elif isinstance(record, logging.LogRecord) and event.get("_from_structlog") is False:
        event["event"] = _redact(
            _QUOTED.sub("…", record.msg)
            if isinstance(record.msg, str)
            else type(record.msg).__name__
        )
    else:
        # Our own messages are constants. If one is ever built from values, it leaks nothing.
        event["event"] = _redact(str(event.get("event", "")))
    if isinstance(event.get("reason"), str):
        event["reason"] = _redact(_QUOTED.sub("…", event["reason"]))
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        event["place"] = raised_at(error)
    if left_out := getattr(record, "left_out", 0):
        event["left_out"] = left_out
    event.setdefault("request_id", current_request().request_id)
    for name in [n for n in event if n not in LOG_FIELDS and not n.startswith("_")]:
        del event[name]
    return event


def _redact(text: str) -> str:
    """The text without anything that looks like a key, an e-mail, an IP or a phone number."""
    for pattern in (_EMAIL, _ADDRESS, _LONG, _DIGITS):
        text = pattern.sub("…", text)
    return text[:200]


_SHARED: tuple[Any, ...] = (
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


_WORD = re.compile(r"[A-Za-z]{1,24}|[0-9]{1,6}")
_BETWEEN_WORDS = re.compile(r"[-_./+=]")


def program_label(text: str) -> str:
    """What a program calls itself, for a line of the log: without what looks like an e-mail, an
    address, a number to call or a key. Long names of words, such as those of packages, stay.
    """
    for pattern in (_EMAIL, _ADDRESS, _DIGITS):
        text = pattern.sub("…", text)
    return _LONG.sub(_unless_words, text)[:80]


def _unless_words(found: re.Match[str]) -> str:
    words = [part for part in _BETWEEN_WORDS.split(found[0]) if part]
    return found[0] if all(_WORD.fullmatch(part) for part in words) else "…"


def json_formatter() -> logging.Formatter:
    """One JSON object a line, for our lines and a library's; `server_log.json` names this function
    for the server's own log.
    """
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=list(_SHARED),
        processors=[
            _only_known_fields,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )


class LogStream(logging.StreamHandler[TextIO]):
    """Where our log goes, with a short way for lines that are JSON already: they pass no filter and
    no formatter, and those of a moment are written together.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: deque[str] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None  # which writes the lines soon

    def queue_line(self, line: str) -> None:
        """Write the line within LINE_SECONDS, and before any line that is logged later."""
        self._lines.append(line)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # nothing would write it later
            return self.flush()
        if len(self._lines) == 1 or loop is not self._loop:
            self._loop = loop
            loop.call_later(LINE_SECONDS, self.flush)

    def emit(self, record: logging.LogRecord) -> None:
        self._write_lines()
        super().emit(record)

    def flush(self) -> None:
        self._write_lines()
        with suppress(OSError, ValueError):
            super().flush()

    def _write_lines(self) -> None:
        # A log that cannot be written stops no call, as with any other line.
        with self.lock or nullcontext(), suppress(OSError, ValueError):
            lines = []
            while self._lines:
                lines.append(f"{self._lines.popleft()}\n")
            if lines:
                self.stream.write("".join(lines))


def queue_line(line: str) -> None:
    """Write one line that is JSON already, for what is written too often for the long way."""
    for handler in logging.root.handlers:
        if isinstance(handler, LogStream):
            handler.queue_line(line)


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """One JSON object a line on stderr, for our own lines and those of libraries (warnings and
    worse). Call it again after a library has added handlers of its own.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = LogStream(stream or sys.stderr)
    handler.setFormatter(json_formatter())
    handler.addFilter(LimitLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    logging.getLogger("orderdesk_app").setLevel(level)
    for name in list(logging.root.manager.loggerDict):
        if not name.startswith("orderdesk_app"):
            logger = logging.getLogger(name)
            logger.handlers[:] = []
            logger.propagate = True


def log(name: str) -> Any:
    """A logger of ours: `log(__name__).info("what happened", tool=…, seconds=…)`."""
    return structlog.stdlib.get_logger(name)
