"""A browser that was left open, or a stolen cookie, an hour after the sign-in: every act that needs
a recent proof of identity is refused, raw, at the service that does it.

Guard: `Reauthentication.require_recent`. Which acts ask it is read from the code.
"""

import ast
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from orderdesk_app import services as services_package
from orderdesk_app.context import ALL_SCOPES, Role, UserId, new_id
from orderdesk_app.errors import OrderDeskAgentsError, ReauthenticationRequired
from orderdesk_app.services import identity_proofs
from orderdesk_app.services.key_changes import OVERLAPS
from orderdesk_app.services.key_choices import KeyChoice
from orderdesk_app.services.key_views import KeyView
from orderdesk_app.services.oauth_authorization import AuthorizationRequest
from orderdesk_app.services.open_store import StoreRecord
from orderdesk_app.services.reauthentication import Reauthentication
from orderdesk_app.services.sessions import COOKIE
from orderdesk_app.wiring import Services
from tests.attacks.cast import Belongings, switched_off
from tests.oauth import add_client, query
from tests.web.browser_session import ORIGIN, BrowserSession, Web
from tests.web.colleagues import add_colleague, join

FOLDER = Path(services_package.__file__).parent


def acts() -> list[str]:
    """`module.Class.method` of each that asks for a recent proof."""
    found = []
    for path in sorted(FOLDER.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for owner in [node for node in tree.body if isinstance(node, ast.ClassDef)]:
            for act in [node for node in owner.body if isinstance(node, ast.AsyncFunctionDef)]:
                asks = [
                    node
                    for node in ast.walk(act)
                    if isinstance(node, ast.Attribute) and node.attr == "require_recent"
                ]
                if asks:
                    found.append(f"{path.stem}.{owner.name}.{act.name}")
    return found


def called(name: str, web_services: Any) -> Callable[..., Any]:
    """The method of the service that the app runs with."""
    module, owner, act = name.split(".")
    kind = getattr(importlib.import_module(f"orderdesk_app.services.{module}"), owner)
    for attribute in dir(web_services):
        if not attribute.startswith("_") and isinstance(getattr(web_services, attribute), kind):
            method: Callable[..., Any] = getattr(getattr(web_services, attribute), act)
            return method
    raise LookupError(f"no service of the app is a {owner}")


@dataclass
class Victim:
    """An owner and operator, whose sign-in is an hour old, with somebody and a store beside."""

    browser: BrowserSession
    colleague: UserId
    store: StoreRecord
    key: KeyView
    request: AuthorizationRequest  # of an app

    @property
    def services(self) -> Services:
        return self.browser.web.services

    def call(self, act: str) -> Any:
        """The act, with arguments that would do it."""
        method = called(act, self.services)
        first, *parameters = inspect.signature(method).parameters.values()
        given = {
            parameter.name: self.value_of(parameter.name)
            for parameter in parameters
            if parameter.default is parameter.empty
        }
        actor = self.browser.actor
        principal = replace(self.browser.web.do(self.services.access.of_actor, actor), actor=actor)
        return self.browser.web.do(
            method, principal if first.name == "principal" else actor, **given
        )

    def value_of(self, name: str) -> Any:
        """By the name of a parameter. A new one that is not known here fails the test."""
        return {
            "answer": "{}",
            "choice": KeyChoice("Widened by a thief", ALL_SCOPES),
            "cookie": "x",
            "email": f"{new_id()}@example.com".lower(),
            "invitation_id": "x",
            "is_operator": True,
            "is_read_only": False,
            "key_id": self.key.id,
            "name": "Made by a thief",
            "overlap": OVERLAPS[0],
            "request": self.request,
            "role": Role.OWNER,
            "row_id": self.store.id,
            "scopes": self.request.scopes,
            "store_id": self.store.store_id,
            "store_ids": None,
            "typed": self.browser.view.name,
            "typed_name": self.store.name,
            "user_id": self.colleague,
        }[name]


@pytest.fixture
def victim(web: Web) -> Victim:
    browser = web.make_account("Ada's Teas", is_operator=True)
    store = web.do(web.services.stores.add_sandbox, browser.actor)
    colleague = add_colleague(browser, Role.MEMBER, "Bo", f"{new_id().lower()}@example.com")
    assert colleague.user_id is not None
    key, _ = web.do(web.services.keys.create, browser.actor, "Claude")
    client_id = web.do(add_client, web.services, new_id()).client_id
    look = web.services.authorization_requests.look
    request = web.do(look, query(client_id), browser.actor)
    browser.grow_old(60)
    return Victim(browser, colleague.user_id, store, key, request)


def test_the_acts_are_found_in_the_code() -> None:
    assert {"keys.Keys.create", "keys.Keys.rotate_master", "stores.Stores.disconnect"} <= set(
        acts()
    )
    assert "keys.Keys.revoke" not in acts()


@pytest.mark.parametrize("act", acts())
def test_an_old_sign_in_does_nothing_that_needs_a_proof(victim: Victim, act: str) -> None:
    everything = Belongings(victim.browser, ())
    before = everything.rows_but_the_log()

    with pytest.raises(ReauthenticationRequired):
        victim.call(act)

    assert everything.rows_but_the_log() == before


@pytest.mark.parametrize("act", acts())
def test_without_the_guard_it_would(victim: Victim, act: str) -> None:
    async def yes(*_: Any) -> bool:
        return True

    outcome: Exception | None = None
    with switched_off(Reauthentication, "is_recent", yes):
        try:
            victim.call(act)
        except OrderDeskAgentsError as error:
            outcome = error

    assert not isinstance(outcome, ReauthenticationRequired)


def test_a_neighbours_session_proves_nothing(victim: Victim) -> None:
    """The row decides, and it has to be of the actor's own account."""
    neighbour = victim.browser.web.make_account("Bert's Bikes")
    proved = neighbour.actor.session_id
    asked = victim.services.reauthentication.is_recent

    assert victim.browser.web.do(asked, neighbour.actor)
    assert not victim.browser.web.do(asked, replace(victim.browser.actor, session_id=proved))


def test_a_key_that_another_owner_made_does_not_prove_a_stolen_session(web: Web) -> None:
    """Mallory, the second owner, has the cookie of the first, who signed in by a link, and makes a
    master key, which acts as the first owner.
    """
    first = web.make_account("The house", is_operator=True)
    mallory = add_colleague(first, Role.OWNER, "Mallory")
    key = web.do(web.services.keys.rotate_master, mallory.actor)
    link = web.do(web.services.sign_in.make_link, first.view.id)
    first.cookie = web.do(
        web.services.sign_in.use_link, link.reveal(), address="203.0.113.9", user_agent="Firefox"
    )
    first.grow_old()
    recent = web.services.reauthentication.is_recent

    refused = first.post("/confirm/key", key=key.reveal())
    page = first.get("/confirm?error=shared")
    assert not web.do(recent, first.actor)
    rows = web.do(
        web.services.database.query,
        "SELECT outcome FROM audit_log WHERE action = 'confirm.key' AND tenant_id = :tenant",
        {"tenant": first.view.id},
    )
    assert rows == [("PERMISSION_DENIED",)], "the attempt is in the audit log"

    async def anybody(*_: Any) -> bool:
        return True

    with switched_off(identity_proofs, "_is_proved_by_key", anybody):
        first.post("/confirm/key", key=key.reveal())

    assert refused.headers["location"] == "/confirm?error=shared"
    assert "does not prove which person you are" in page.text
    assert 'action="/confirm/key"' not in page.text
    assert web.do(recent, first.actor)


def test_a_key_of_another_account_does_not_prove_a_stolen_session(web: Web) -> None:
    """Mallory has the cookie of Ada, who signed in with her key, and has made Ada the only owner of
    an account whose master key Mallory keeps: it acts as Ada.
    """
    ada, mallory = web.make_account("Ada's Teas"), web.make_account("Mallory's")
    join(mallory, ada.view.owner_id, Role.OWNER)
    web.do(web.services.people.change_role, mallory.actor, str(mallory.view.owner_id), Role.VIEWER)
    found = web.do(web.services.keys.find, mallory.key.reveal())
    ada.grow_old()

    answer = ada.post("/confirm/key", key=mallory.key.reveal())

    assert found.member.user_id == ada.actor.user_id
    assert answer.headers["location"] == "/confirm?error=unknown"
    assert not web.do(web.services.reauthentication.is_recent, ada.actor)


def test_an_invitation_that_a_thief_made_does_not_renew_a_stolen_session(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mallory has the cookie of Ada, who came by a link. Without mail, the link of an invitation is
    shown to Mallory, who made it: it proves no mailbox. Accepting it begins a session of Ada's.
    """
    monkeypatch.setattr(web.services.mailer, "is_set_up", False)
    ada, mallory = web.make_account("Ada's Teas"), web.make_account("Mallory's Mugs")
    link = web.do(web.services.sign_in.make_link, ada.view.id)
    ada.cookie = web.do(
        web.services.sign_in.use_link, link.reveal(), address="203.0.113.9", user_agent="Firefox"
    )
    ada.grow_old()
    sent = web.do(web.services.invitations.invite, mallory.actor, "ada@example.net", Role.MEMBER)

    answer = ada.post(sent.link.reveal().removeprefix(ORIGIN), token=False, name="Ada")
    cookies = answer.headers.get_list("set-cookie")
    ada.cookie = next(one for one in cookies if one.startswith(f"{COOKIE}=")).split(";")[0][
        len(COOKIE) + 1 :
    ]

    assert ada.actor.tenant_id == mallory.view.id
    assert not web.do(web.services.reauthentication.is_recent, ada.actor)
