"""Somebody with a browser, without one: forms as our pages send them, and tabs that speak Reflex's
websocket raw.
"""

import asyncio
import contextlib
import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from reflex_base.registry import RegistrationContext
from sqlmodel import col, update
from starlette.testclient import TestClient, WebSocketTestSession

from orderdesk_app.context import Actor, Secret, Via, now
from orderdesk_app.db.sessions import Session
from orderdesk_app.services.delays import GrowingDelays
from orderdesk_app.services.limit_store import DelayRules
from orderdesk_app.services.reauthentication import PROOF_MINUTES
from orderdesk_app.services.sessions import COOKIE
from orderdesk_app.services.tenants import NewAccount
from orderdesk_app.wiring import Services

ORIGIN = "http://localhost:8080"
ADDRESS = "testclient"  # of everybody, as the app sees them
STATE = "reflex___state____state"


@dataclass
class Web:
    """The served app, and the services behind it."""

    client: TestClient
    services: Services

    def do(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Runs a service's coroutine function in the app's own loop."""

        async def call() -> Any:
            return await function(*arguments, **named)

        assert self.client.portal is not None
        return self.client.portal.call(call)

    def make_account(self, name: str, *, is_operator: bool = False) -> "BrowserSession":
        """A new account, signed in with its master key."""
        view, key = self.do(self.services.tenants.make_tenant, name, is_operator=is_operator)
        session = BrowserSession(self, view, key)
        session.sign_in()
        return session


@dataclass
class BrowserSession:
    """Somebody with a browser: a cookie of their own, and forms as a page of ours sends them."""

    web: Web
    view: NewAccount
    key: Secret
    cookie: str = ""
    tabs: int = 0

    @property
    def actor(self) -> Actor:
        user = self.web.do(self.web.services.sessions.resume, self.cookie)
        return user.actor if user else self.view.owner(Via.WEB)

    def sign_in(self) -> None:
        answer = self.post("/sign-in/key", key=self.key.reveal(), token=False)
        assert answer.headers["location"] == "/"
        self.cookie = answer.headers["set-cookie"].split(";")[0].removeprefix(f"{COOKIE}=")

    def grow_old(self, minutes: float = PROOF_MINUTES + 1) -> None:
        """The sign-in is that long ago."""

        session_id, proved_at = self.actor.session_id, now() - timedelta(minutes=minutes)

        async def age() -> None:
            async with self.web.services.database.write() as session:
                row = update(Session).where(col(Session.id) == session_id)
                await session.exec(row.values(proved_at=proved_at))

        self.web.do(age)

    def form_token(self) -> str:
        user = self.web.do(self.web.services.sessions.resume, self.cookie)
        return self.web.services.form_tokens.issue(user.session_id) if user else ""

    def get(self, path: str) -> Any:
        return self.request("GET", path)

    def post(
        self, path: str, *, token: bool = True, origin: str | None = ORIGIN, **fields: str
    ) -> Any:
        """Sends a form; `token` False leaves out the form token."""
        given = {"form_token": self.form_token()} if token else {}
        return self.send(path, {**given, **fields}, origin=origin)

    def send(self, path: str, fields: dict[str, str], *, origin: str | None = ORIGIN) -> Any:
        """Sends exactly these fields."""
        return self.request("POST", path, data=fields, headers={"origin": origin} if origin else {})

    def request(self, method: str, path: str, **given: Any) -> Any:
        client = self.web.client
        client.cookies.clear()
        headers = {
            **given.pop("headers", {}),
            **({"cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {}),
        }
        return client.request(method, path, headers=headers, **given)

    def tab(self, token: str = "") -> "Tab":
        """A browser tab; the same token is the same tab again."""
        self.tabs += 1
        return Tab(self.web, self.cookie, token or f"{self.view.id}-{id(self)}-{self.tabs}")


@dataclass
class Tab:
    """One websocket, speaking as Reflex's own script does.

    `seen` is all that the server has sent.
    """

    web: Web
    cookie: str
    token: str
    origin: str = ORIGIN
    seen: str = ""
    vars: dict[str, Any] = field(default_factory=dict)
    redirects: list[str] = field(default_factory=list)
    _socket: WebSocketTestSession | None = None
    _beat: bool = False

    def __enter__(self) -> "Tab":
        headers = {
            "origin": self.origin,
            "host": "localhost:8080",
            "upgrade": "websocket",
            "connection": "Upgrade",
        }
        if self.cookie:
            headers["cookie"] = f"{COOKIE}={self.cookie}"
        self.web.client.cookies.clear()
        self._socket = self.web.client.websocket_connect(
            f"/_event/?EIO=4&transport=websocket&token={self.token}", headers=headers
        )
        socket = self._socket.__enter__()
        socket.receive_text()
        socket.send_text("40/_event,")
        socket.receive_text()
        return self

    def __exit__(self, *error: Any) -> None:
        assert self._socket is not None
        self._socket.__exit__(*error)

    def send(
        self,
        name: str,
        payload: dict[str, Any] | None = None,
        *,
        path: str = "/",
        query: dict[str, str] | None = None,
        waits: bool = True,
    ) -> str:
        """Sends an event and waits until it has been dealt with; `waits` False does not wait for
        the end of a background event. Returns what came back, as text.
        """
        before = len(self.seen)
        full = path + (
            "?" + "&".join(f"{key}={value}" for key, value in query.items()) if query else ""
        )
        router = {"pathname": path, "query": query or {}, "asPath": full}
        self._emit(name, payload or {}, router)
        self._catch_up(name, router)
        if waits and RegistrationContext.get().event_handlers[name].handler.is_background:
            self.web.do(self._ended, name)  # it goes on after the next event has been answered
            self._catch_up(name, router)
        return self.seen[before:]

    def finish(self, handler: str) -> None:
        """Waits for the end of background events that were sent before."""
        self.web.do(self._ended, handler_named(handler))
        self._catch_up(handler, {"pathname": "/", "query": {}, "asPath": "/"})

    async def _ended(self, name: str) -> None:
        if running := [
            task for task in asyncio.all_tasks() if f"|{name}|{self.token}|" in task.get_name()
        ]:
            await asyncio.wait(running)

    def _catch_up(self, name: str, router: dict[str, Any]) -> None:
        self._beat = not self._beat
        self._emit(f"{STATE}.set_is_hydrated", {"value": self._beat}, router)
        for _ in range(200):
            text = self._receive()
            if f'"is_hydrated_rx_state_":{json.dumps(self._beat)}' in text:
                return
        raise AssertionError(f"{name} did not come to an end")

    def act(self, handler: str, /, **payload: Any) -> str:
        """Sends an event by the end of its name: act("home_state.load")."""
        return self.send(handler_named(handler), payload)

    def emit(self, name: str, payload: dict[str, Any]) -> None:
        """Sends an event and waits for nothing."""
        self._emit(name, payload, {"pathname": "/", "query": {}, "asPath": "/"})

    def wait_for(self, variable: str) -> None:
        """Until the server has sent a value for it that is not empty."""
        self.wait_until(lambda: bool(self.vars.get(variable)))

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Until what the server has sent makes it so."""
        while not is_so():
            self._receive()

    def wait_for_redirect(self) -> None:
        """Until the server has sent the tab to another page."""
        while not self.redirects:
            self._receive()

    def _emit(self, name: str, payload: dict[str, Any], router: dict[str, Any]) -> None:
        assert self._socket is not None
        self._socket.send_text(
            "42/_event,"
            + json.dumps(["event", {"name": name, "payload": payload, "router_data": router}])
        )

    def _receive(self) -> str:
        assert self._socket is not None
        text = self._socket.receive_text()
        if text == "2":
            self._socket.send_text("3")
        if text.startswith("42/_event,"):
            kind, *rest = json.loads(text.removeprefix("42/_event,"))
            if kind == "event":
                self.seen += text
                self._take(rest[0])
        return text

    def _take(self, update: dict[str, Any]) -> None:
        for state, changed in (update.get("delta") or {}).items():
            for name, value in changed.items():
                short = state.rsplit(".", 1)[-1].rsplit("____", 1)[-1]
                self.vars[f"{short}.{name.removesuffix('_rx_state_')}"] = value
        for event in update.get("events") or []:
            if event["name"] == "_redirect":
                self.redirects.append(str(event["payload"].get("path", "")).strip('"'))


@contextlib.contextmanager
def delayed(delays: GrowingDelays, rules: DelayRules) -> Iterator[None]:
    """Other rules for a while, and no tries of other tests, nor any left for them."""
    before = delays.rules
    asyncio.run(delays.forget(ADDRESS))
    delays.rules = rules
    try:
        yield
    finally:
        delays.rules = before
        asyncio.run(delays.forget(ADDRESS))


def handler_named(end: str) -> str:
    """The full name of the one handler that ends so."""
    (found,) = [name for name in RegistrationContext.get().event_handlers if name.endswith(end)]
    return found


def forget(token: str) -> None:
    """As the framework does with the state of a tab after an hour without events."""
    manager = importlib.import_module("orderdesk_app.orderdesk_app").app.state_manager
    manager.states.pop(token)


def cookies_of(token: str) -> str:
    """The cookies that the state of a tab believes to have come with."""
    manager = importlib.import_module("orderdesk_app.orderdesk_app").app.state_manager
    return str(manager.states[token].router.headers.cookie)


def our_handlers() -> list[str]:
    """Every handler of ours that is registered now, whoever added it."""
    return [name for name in RegistrationContext.get().event_handlers if "orderdesk_app" in name]
