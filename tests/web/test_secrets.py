"""After a walk through the whole web app, with DEBUG logs, no secret stands anywhere but in the one
answer that shows a new key.
"""

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from reflex.istate.manager.memory import StateManagerMemory

from orderdesk_app.observability import configure_logging
from orderdesk_app.orderdesk_app import app
from orderdesk_app.services.sandbox import SandboxKeys
from tests.searcher import files_below, joined, search
from tests.web.browser_session import BrowserSession, Web
from tests.web.test_console import run
from tests.web.test_keys import block

TYPED_KEY = "typed-api-key-of-a-store-0123456789-abcdef"
UNKNOWN_KEY = "an-unknown-master-key-that-somebody-tries-0123456789abcdefghijkl"

KEY_AS_METHOD = UNKNOWN_KEY.upper()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.getLogger("orderdesk_app").level
    stream = io.StringIO()
    configure_logging("DEBUG", stream)
    yield stream
    root.handlers[:], root.level = before[0], before[1]
    logging.getLogger("orderdesk_app").setLevel(before[2])


@pytest.fixture
def sent(web: Web, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """Every answer, by its address."""
    answers: list[tuple[str, bytes]] = []
    request = web.client.request

    def remembered(method: str, path: str, **given: Any) -> Any:
        answer = request(method, path, **given)
        answers.append(
            (
                f"{method} {path.partition('?')[0]}",
                repr(list(answer.headers.items())).encode() + answer.content,
            )
        )
        return answer

    monkeypatch.setattr(web.client, "request", remembered)
    return answers


def saved_states() -> bytes:
    """What the web state holds of every tab: in memory alone, and even there without a secret.

    The framework's own `router` holds the browser's headers.
    """
    manager = app.state_manager
    assert isinstance(manager, StateManagerMemory), (
        "a state that is saved has to be searched where it is saved"
    )
    return joined(repr(without_router(state.dict())).encode() for state in manager.states.values())


def without_router(value: Any) -> Any:
    return (
        {name: without_router(entry) for name, entry in value.items() if "router" not in name}
        if isinstance(value, dict)
        else value
    )


def test_no_secret_stands_anywhere_but_where_a_new_key_is_shown(
    web: Web,
    ada: BrowserSession,
    bert: BrowserSession,
    log: io.StringIO,
    sent: list[tuple[str, bytes]],
) -> None:
    services = web.services
    seen: list[str] = []
    ada.sign_in()
    session = BrowserSession(web, ada.view, ada.key)
    session.post("/sign-in/key", key=UNKNOWN_KEY, token=False)
    link = web.do(services.sign_in.make_link, ada.view.id).reveal()
    session.get(f"/sign-in/link?token={link}")
    session.send(f"/sign-in/link?token={link}", {"as": "shown"})
    access_key = block(
        ada.post("/settings/keys/create", name="Claude", scopes="orders:read").text, "new-key"
    )
    with ada.tab() as tab:
        tab.act("home_state.load")
        tab.act("stores_state.add_sandbox")
        tab.act("stores_state.load")
        tab.act("settings_state.load")
        tab.act("console_state.load")
        run(tab, "orders_update", order_id="100000001", changes='{"shipping": {"city": "Quito"}}')
        run(tab, "orders_get", order_id="100000001")
        run(tab, "orders_get", order_id=access_key)
        [store] = web.do(services.stores.list, ada.actor)
        store_key = SandboxKeys(services.keyring.purpose("sandbox")).key_of(store.store_id).reveal()
        ada.post(
            "/stores/connect", store_id="10001", api_key=TYPED_KEY, store_name="Real", label=""
        )
        ada.post(
            "/stores/edit", row_id=store.id, store_name="Renamed", label="x", api_key=TYPED_KEY
        )
        ada.post("/console/run", tool="stores_register", store_id="10001", api_key=TYPED_KEY)
        ada.post("/console/run", tool="tenant_use_master_key", master_key=ada.key.reveal())
        ada.post("/console/run", tool="tenant_use_master_key", master_key=UNKNOWN_KEY)
        for load in (
            "stores_state.load",
            "console_state.load",
            "settings_state.load",
            "home_state.load",
        ):
            tab.act(load)
        seen.append(tab.seen)
    for path in (
        "/",
        "/stores",
        "/console",
        "/settings",
        "/sign-in",
        "/health",
        "/health/detailed",
        "/metrics",
        f"/nowhere/{UNKNOWN_KEY}",
        f"/?token={UNKNOWN_KEY}",
    ):
        ada.get(path)
    ada.request(KEY_AS_METHOD, "/stores")
    rotated = block(ada.post("/settings/keys/rotate-master", confirm="replace").text, "new-key")
    cookies = {ada.cookie, bert.cookie}
    states = saved_states()
    ada.post("/sign-out")

    folder = services.settings.data_dir
    written_down = {
        **files_below(folder),
        "the log": log.getvalue().encode(),
        "the web state": states,
        "the websocket": "".join(seen).encode(),
    }
    kms_key = "".join(
        path.read_text(encoding="utf-8").strip() for path in folder.glob("*kms*") if path.is_file()
    )
    for path in folder.glob("*kms*"):
        written_down.pop(str(path), None)  # made in development, and the only place where it stands
    secrets = {
        "the master key": ada.key.reveal(),
        "the new master key": rotated,
        "the access key": access_key,
        "the store's key": store_key,
        "a key that was typed": TYPED_KEY,
        "an unknown key": UNKNOWN_KEY,
        "an unknown key as a method": KEY_AS_METHOD,
        "the link's token": link,
        "the KMS key": kms_key,
        **{f"cookie {number}": cookie for number, cookie in enumerate(cookies)},
    }
    shown_once = {
        "POST /settings/keys/create": {"the access key"},
        "POST /settings/keys/rotate-master": {"the new master key"},
    }
    answers = {f"{number} {name}": content for number, (name, content) in enumerate(sent)}

    # What was asked of the console stands in its form again, for the one who typed it: an access
    # key in the place of an order id is no secret argument.
    assert (
        search(
            secrets,
            {
                place: content
                for place, content in written_down.items()
                if place not in ("the websocket", "the web state")
            },
        )
        == []
    )
    without_typed = {name: secret for name, secret in secrets.items() if name != "the access key"}
    assert (
        search(
            without_typed,
            {place: written_down[place] for place in ("the websocket", "the web state")},
        )
        == []
    )
    for place, content in answers.items():
        expected = shown_once.get(place.partition(" ")[2], set())
        assert (
            search(
                {
                    name: secret
                    for name, secret in secrets.items()
                    if name not in expected and not name.startswith("cookie")
                },
                {place: content},
            )
            == []
        )
    assert len(answers) > 20
    assert log.getvalue().count('"event"') > 10
