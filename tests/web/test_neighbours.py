"""Whatever a browser can send, sent by a neighbour with the ids of somebody else: nothing shows,
nothing changes.
"""

import inspect
from typing import Any

import pytest
from reflex_base.registry import RegistrationContext

from orderdesk_app.routes import all_routes
from orderdesk_app.routes.oauth import FOR_PROGRAMS
from orderdesk_app.services.callers import Callers, allowed_callers
from tests.web.browser_session import ORIGIN, STATE, BrowserSession, our_handlers

SECRET_NAME = "Ada-has-this-and-nobody-else"


class Belongings:
    """All kinds of things of one account, and how they stand."""

    def __init__(self, owner: BrowserSession) -> None:
        self.owner, self.web = owner, owner.web
        services = self.web.services
        self.store = self.web.do(services.stores.add_sandbox, owner.actor)
        self.web.do(
            services.stores.edit,
            owner.actor,
            self.store.id,
            name=SECRET_NAME,
            label="",
            api_key=None,
        )
        self.key, _ = self.web.do(services.keys.create, owner.actor, SECRET_NAME)
        self.call = self.web.do(
            services.console.run, owner.actor, "orders_list", {"limit": 1, "search": SECRET_NAME}
        )

    def ids(self) -> list[str]:
        return [
            self.store.id,
            self.store.store_id,
            self.key.id,
            self.call.id,
            str(self.owner.view.id),
            SECRET_NAME,
        ]

    def state(self) -> Any:
        services = self.web.services
        stores = [
            (s.id, s.name, s.api_key) for s in self.web.do(services.stores.list, self.owner.actor)
        ]
        keys = [(k.id, k.name) for k in self.web.do(services.keys.list, self.owner.actor)]
        calls = [c.id for c in self.web.do(services.console.history.list, self.owner.actor)]
        return stores, keys, calls


@pytest.fixture
def belongings(ada: BrowserSession) -> Belongings:
    return Belongings(ada)


def test_no_event_of_a_neighbour_shows_or_changes_anything(
    belongings: Belongings, bert: BrowserSession
) -> None:
    before = belongings.state()

    with bert.tab() as tab:
        tab.send(f"{STATE}.hydrate")
        for name in our_handlers():
            handler = RegistrationContext.get().event_handlers[name].handler.fn
            names = [
                argument for argument in inspect.signature(handler).parameters if argument != "self"
            ]
            for identity in belongings.ids():
                if identity == SECRET_NAME:
                    continue
                payload = dict.fromkeys(names, identity)
                tab.send(name, payload, query={"call": identity, "tool": identity})
                shown = {
                    part: tab.vars.get(f"console_state.{part}", "")
                    for part in ("tool", "run_token")
                }
                tab.send(
                    name,
                    {
                        argument: {
                            **shown,
                            "store_identifier": identity,
                            "order_id": "100000001",
                            "limit": "1",
                        }
                        for argument in names
                    },
                )

    assert SECRET_NAME not in tab.seen
    assert belongings.state() == before


@pytest.mark.parametrize(
    "route",
    [
        route
        for route in all_routes()
        if "POST" in (route.methods or ()) and "sign" not in route.path
    ],
    ids=lambda route: str(route.path),
)
def test_no_form_of_a_neighbour_shows_or_changes_anything(
    belongings: Belongings, bert: BrowserSession, route: Any
) -> None:
    before = belongings.state()

    for identity in belongings.ids():
        fields = dict.fromkeys(
            (
                "row_id",
                "key_id",
                "store_id",
                "store_identifier",
                "order_id",
                "identifier",
                "confirm",
                "call",
                "name",
            ),
            identity,
        )
        answer = bert.post(
            route.path,
            **fields,
            tool="stores_register",
            api_key="k",
            scopes="orders:read",
            store_name="x",
            label="",
        )

        if identity != SECRET_NAME:  # what one sends oneself may come back
            assert SECRET_NAME not in answer.text
    assert belongings.state() == before


def is_for_strangers(route: Any) -> bool:
    """Whether its form has no token: nobody is signed in, and tests/attacks has its guards."""
    return allowed_callers(route.endpoint) is Callers.ANYBODY


@pytest.mark.parametrize(
    "route",
    [
        route
        for route in all_routes()
        if "POST" in (route.methods or ()) and route.path not in FOR_PROGRAMS
    ],
    ids=lambda route: str(route.path),
)
def test_no_form_works_without_its_page(belongings: Belongings, route: Any) -> None:
    ada, before = belongings.owner, belongings.state()
    fields = {
        "row_id": belongings.store.id,
        "key_id": belongings.key.id,
        "confirm": SECRET_NAME,
        "name": "x",
        "scopes": "orders:read",
    }

    foreign = ada.post(route.path, origin="http://evil.example", **fields)
    without = ada.send(route.path, fields)
    guessed = ada.send(route.path, {**fields, "form_token": "guessed"})

    assert foreign.status_code == 403
    if not is_for_strangers(route):
        assert {without.status_code, guessed.status_code} == {403}
    assert belongings.state() == before
    assert ada.web.do(ada.web.services.sessions.resume, ada.cookie) is not None


@pytest.mark.parametrize(
    "route",
    [
        route
        for route in all_routes()
        if "POST" in (route.methods or ()) and not is_for_strangers(route)
    ],
    ids=lambda route: str(route.path),
)
def test_nobody_posts_a_form_without_signing_in(belongings: Belongings, route: Any) -> None:
    before = belongings.state()
    nobody = BrowserSession(belongings.web, belongings.owner.view, belongings.owner.key)

    answer = nobody.send(
        route.path, {"row_id": belongings.store.id, "confirm": SECRET_NAME}, origin=ORIGIN
    )

    assert answer.headers["location"] == "/sign-in?error=ended"
    assert belongings.state() == before
