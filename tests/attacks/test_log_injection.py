"""A value that somebody sends writes a line of its own into our log, breaks its JSON, colours the
terminal of who reads it, or leaves an address, a key or a link there. Guards: one JSON object a
line, of named fields alone (observability.py).
"""

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest

from orderdesk_app import observability
from orderdesk_app.observability import LOG_FIELDS, configure_logging, json_formatter
from tests.attacks.cast import (
    ANONYMOUS,
    OWNER,
    Cast,
    address_of,
    encoded,
    every_method,
    fields_read_by,
    post,
    switched_off,
)

FORGED = "a-line-that-we-never-wrote"
PERSONAL = "grace.hopper@example.net"
NASTY = (
    f'x\r\n{{"event": "{FORGED}"}}\r\n',
    f'x", "event": "{FORGED}", "y": "',
    f"x\u2028{FORGED}\u2029\x85",
    f"\x1b[2J\x1b]0;{FORGED}\x07\x9b31m",
    f"\0{FORGED}\x08\x7f",
    f"%s %d {{}} {FORGED}",
    PERSONAL,
    "203.0.113.77",
)
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e]")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.getLogger("orderdesk_app").level
    stream = io.StringIO()
    configure_logging("DEBUG", stream)
    yield stream
    root.handlers[:], root.level = before[0], before[1]
    logging.getLogger("orderdesk_app").setLevel(before[2])


def faults_of(written: str, secrets: list[str]) -> list[str]:
    """What stands in a log and must not."""
    found = []
    for line in written.split("\n")[:-1]:
        try:
            fields = json.loads(line)
        except ValueError:
            found.append(f"no JSON: {line[:120]}")
            continue
        if _CONTROLS.search(line):
            found.append(f"controls: {line[:120]!r}")
        if not fields.keys() <= LOG_FIELDS:
            found.append(f"more than named fields: {line[:200]}")
        if fields.get("event") == FORGED:
            found.append(f"forged: {line[:120]}")
        found += [f"personal: {line[:300]}" for secret in secrets if secret and secret in line]
    return found


def test_nothing_that_is_sent_reaches_a_line_of_the_log(cast: Cast, log: io.StringIO) -> None:
    owner = cast[OWNER]
    key = owner.key.reveal()
    for nasty in NASTY:
        header = nasty.encode().translate(None, _IN_NO_HEADER)
        headers: dict[str, Any] = {
            "user-agent": header,
            "x-request-id": header,
            "accept-language": header,
        }
        for method, _, route in every_method():
            who = owner if route.path != "/sign-out" else cast[ANONYMOUS]
            names = sorted(fields_read_by(route.endpoint) - {"form_token", "confirm"})
            token = cast.form_token(OWNER)
            fields = encoded(("form_token", token), *((name, nasty) for name in names))
            if method == "POST":
                post(who, address_of(route), fields, **headers)
            elif method == "GET":
                who.request(method, f"{address_of(route)}?{fields}", headers=headers)
        with owner.tab() as tab:
            tab.act("console_state.choose", name=nasty)
            tab.act("console_state.open_call", call_id=nasty)
            tab.act("stores_state.test", row_id=nasty)
        call_with_names(cast, nasty, header)

    written = log.getvalue()
    assert written.count("\n") > 100
    session = owner.actor.session_id or ""
    secrets = [PERSONAL, "203.0.113.77", key, owner.cookie, owner.form_token()[:40], session]
    assert not faults_of(written, secrets)


_IN_NO_HEADER = b"\0\r\n"  # of HTTP itself


def call_with_names(cast: Cast, nasty: str, header: bytes) -> None:
    """As a program whose names are nasty."""
    web = cast.web
    headers: dict[str, Any] = {
        "authorization": f"Bearer {cast[OWNER].key.reveal()}",
        "accept": "application/json, text/event-stream",
        "user-agent": header,
    }
    info = {"name": nasty, "version": nasty}
    started = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": info}
    for method, params in (
        ("initialize", started),
        ("tools/call", {"name": nasty, "arguments": {}}),
        ("tools/call", {"name": "orders_get", "arguments": {"order_id": nasty}}),
        (nasty, {}),
    ):
        body = {"jsonrpc": "2.0", "id": nasty, "method": method, "params": params}
        web.client.cookies.clear()
        web.client.post("/mcp", json=body, headers=headers)
    wrong = {**headers, "authorization": f"Bearer {nasty.encode().hex()}"}
    web.client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers=wrong)


def test_no_exception_brings_its_text_along(log: io.StringIO) -> None:
    for nasty in NASTY:
        for name in ("orderdesk_app.routes.forms", "sqlalchemy.engine", "reflex.state", "mcp"):
            try:
                raise ValueError(nasty)
            except ValueError:
                logging.getLogger(name).exception("it failed: %s", nasty)
            observability.log(name).warning(nasty, tool="x", reason=nasty, name=nasty)

    assert not faults_of(log.getvalue(), [PERSONAL, "203.0.113.77"])


def test_without_the_formatter_a_line_would_be_forged(log: io.StringIO) -> None:
    plain = logging.StreamHandler(log)
    plain.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger().handlers[:] = [plain]

    for nasty in NASTY:
        logging.getLogger("orderdesk_app").warning("%s", nasty)

    found = " ".join(faults_of(log.getvalue(), [PERSONAL]))
    assert all(kind in found for kind in ("no JSON", "forged"))


def test_without_its_named_fields_a_line_would_be_personal(log: io.StringIO) -> None:
    with switched_off(observability, "LOG_FIELDS", Everything()):
        logging.getLogger().handlers[0].setFormatter(json_formatter())
        observability.log("orderdesk_app.careless").warning("careless", email=PERSONAL)

    assert any("personal" in fault for fault in faults_of(log.getvalue(), [PERSONAL]))


class Everything:
    def __contains__(self, name: Any) -> bool:
        return True
