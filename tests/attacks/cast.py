"""The people of an attack: everybody of an account, an operator, a stranger, and the neighbour whom
nobody may see or touch. And what can be called, as the registries say at run time.
"""

import inspect
import itertools
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import select
from starlette.routing import Route

from orderdesk_app.context import Role, Secret, UserId
from orderdesk_app.db.passkeys import Passkey
from orderdesk_app.db.schema import METADATA
from orderdesk_app.routes import all_routes, every_route
from orderdesk_app.routes.oauth import FOR_PROGRAMS
from orderdesk_app.wiring import Services
from tests.web.browser_session import ORIGIN, BrowserSession, Web
from tests.web.colleagues import add_colleague
from tests.web.test_apps import connect_app
from tests.worlds import MINIMAL_ORDER

ANONYMOUS, VIEWER, MEMBER, OWNER = "anonymous", "viewer", "member", "owner"
NEIGHBOUR, OPERATOR = "neighbour", "operator"
# what stands in everything of the neighbour's that a person can name
MARK = "Bert-has-this-and-nobody-else"
_NUMBERS = itertools.count(1)


@dataclass
class Cast:
    """Who may try an attack. All but the anonymous one are signed in."""

    web: Web
    people: dict[str, BrowserSession]
    users: dict[str, UserId]
    tokens: dict[str, str] = field(default_factory=dict)  # of forms, by the cookie of the session

    def form_token(self, name: str) -> str:
        """A form token of that person's session; empty for somebody without one."""
        cookie = self.people[name].cookie
        if cookie and cookie not in self.tokens:
            self.tokens[cookie] = self.people[name].form_token()
        return self.tokens.get(cookie, "")

    def __getitem__(self, name: str) -> BrowserSession:
        return self.people[name]

    def sign_in_again(self, name: str) -> None:
        """A new session of the same user, where an attack has ended the last one."""
        person = self.people[name]
        if name == ANONYMOUS or person.form_token():
            return
        person.cookie = self.web.do(
            self.web.services.sessions.start,
            person.view.id,
            self.users[name],
            credential_id=None,
            address="203.0.113.9",
            user_agent="Firefox",
        )


def invite_cast(web: Web) -> Cast:
    """A new account with an owner, a member and a viewer; a neighbour with things of their own; an
    operator; and somebody without a session.
    """
    owner = web.make_account("Ada's Teas")
    neighbour = web.make_account(MARK)
    operator = web.make_account("The house", is_operator=True)
    people = {OWNER: owner, NEIGHBOUR: neighbour, OPERATOR: operator}
    users = {name: person.view.owner_id for name, person in people.items()}
    people[ANONYMOUS] = BrowserSession(web, owner.view, Secret(""))
    cast = Cast(web, people, users)
    for name, role in ((MEMBER, Role.MEMBER), (VIEWER, Role.VIEWER)):
        colleague = add_colleague(owner, role, f"A {role}", f"{role}-{next(_NUMBERS)}@example.com")
        assert colleague.user_id is not None
        people[name] = colleague
        users[name] = colleague.user_id
    return cast


# ------------------------------------------------------------------ what is theirs


@dataclass
class Belongings:
    """All kinds of things of one account, each with a name that has MARK in it."""

    owner: BrowserSession
    ids: tuple[str, ...]  # of rows, and of people

    def rows(self) -> Mapping[str, list[Any]]:
        """All rows of the account in all tables, as they are now."""
        found: Mapping[str, list[Any]] = self.owner.web.do(_rows_of, self.owner)
        return found

    def own_rows(self) -> Mapping[str, list[Any]]:
        """Those rows that say what is the owner's and what everybody has of the account."""
        return {
            name: [row for row in rows if any(identity in row for identity in self.ids)]
            for name, rows in self.rows().items()
            if name not in _LOGS | _OF_EVERYBODY
        }

    def rows_but_the_log(self) -> Mapping[str, list[Any]]:
        """The same without what is written down of refused tries."""
        return {name: rows for name, rows in self.rows().items() if name not in _LOGS}


def give_belongings(owner: BrowserSession, mark: str = MARK) -> Belongings:
    """A store with an order, a key, an app, a passkey, an invitation, and a call in the console and
    in the activity.
    """
    web, services = owner.web, owner.web.services
    store = web.do(services.stores.add_sandbox, owner.actor)
    web.do(services.stores.edit, owner.actor, store.id, name=mark, label="", api_key=None)
    key, _ = web.do(services.keys.create, owner.actor, mark)
    order = {**MINIMAL_ORDER, "shipping": {"first_name": mark, "last_name": "Bert"}}
    asked = {"order_data": order, "store_identifier": store.store_id}
    call = web.do(services.console.run, owner.actor, "orders_create", asked)
    app_id = connect_app(owner, mark)
    guest = f"{mark}-{next(_NUMBERS)}@example.com"
    web.do(services.invitations.invite, owner.actor, guest, Role.MEMBER)
    [invitation] = web.do(services.invitations.list, owner.actor)
    passkey = Passkey(
        user_id=owner.view.owner_id,
        name=mark,
        credential_id=secrets.token_bytes(32),
        public_key=b"none",
    )
    passkey_id = passkey.id
    web.do(_add, services, passkey)
    people = (str(owner.view.id), str(owner.view.owner_id), owner.actor.session_id or "")
    things = (store.id, store.store_id, key.id, call.id, app_id, invitation.id, passkey_id)
    return Belongings(owner, (*things, *people))


async def _add(services: Services, row: Passkey) -> None:
    async with services.database.write() as session:
        session.add(row)


# a member runs tools, which write orders and leave calls
_OF_EVERYBODY = frozenset({"console_calls", "changes", "jobs"})
_LOGS = frozenset({"audit_log", "audit_chains", "activity_slots", "sessions"})
# A session is seen, and a job runs, without anybody having changed them.
_MOVES_BY_ITSELF = frozenset(
    {"seen_at", "updated_at", "last_used_at", "last_client", "last_address", "last_active_at"}
)
_COUNTED_LATER = frozenset({"user_days", "credential_days"})


async def _rows_of(owner: BrowserSession) -> Mapping[str, list[Any]]:
    services = owner.web.services
    await services.audit.flush()
    found: dict[str, list[Any]] = {}
    async with services.database.read() as session:
        connection = await session.connection()
        for table in METADATA.sorted_tables:
            if table.name in _COUNTED_LATER:
                continue
            if "tenant_id" in table.c:
                mine = table.c.tenant_id == owner.view.id
            elif table.name == "tenants":
                mine = table.c.id == owner.view.id
            elif table.name == "users":
                mine = table.c.id == owner.view.owner_id
            elif "user_id" in table.c:
                mine = table.c.user_id == owner.view.owner_id
            else:
                continue
            columns = [column for column in table.c if column.name not in _MOVES_BY_ITSELF]
            rows = (await connection.execute(select(*columns).where(mine))).all()
            found[table.name] = sorted(repr(tuple(row)) for row in rows)  # a Row's is cut
    return found


# ------------------------------------------------------------------ what can be asked


def every_method() -> Iterator[tuple[str, str, Route]]:
    """Each method of each plain route, with an address of that route."""
    for route in every_route():
        for method in sorted(route.methods or ()):
            yield method, address_of(route), route


def address_of(route: Route, value: str = "x") -> str:
    """An address that the route answers, with the value in the place of each variable."""
    return route.path_format.format(**dict.fromkeys(route.param_convertors, value))


_FIELD = re.compile(r"""(?:form|fields|query_params|query)(?:\.get\(|\[)\s*["'](\w+)["']""")


def fields_read_by(function: Callable[..., Any]) -> set[str]:
    """The names of a form's fields that stand in its module: none is known here."""
    module = inspect.getmodule(inspect.unwrap(function))
    return set(_FIELD.findall(inspect.getsource(module))) if module else set()


def forms() -> list[str]:
    """The addresses of all forms. Those of programs are none: no cookie counts there
    (tests/attacks/test_programs_without_cookies.py).
    """
    return [
        address_of(route)
        for route in all_routes()
        if "POST" in (route.methods or ()) and route.path not in FOR_PROGRAMS
    ]


@contextmanager
def switched_off(target: Any, name: str, fake: Callable[..., Any]) -> Iterator[None]:
    """Without one guard, for the proof that its attack would succeed."""
    with pytest.MonkeyPatch.context() as patched:  # it leaves nothing behind on an instance
        patched.setattr(target, name, fake)
        yield


def post(browser: BrowserSession, path: str, body: str | bytes = b"", **headers: str) -> Any:
    """A form with exactly that body; `_` in the names of headers stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    given = {
        "origin": ORIGIN,
        "content-type": "application/x-www-form-urlencoded",
        **named,
    }
    sent = {name: value for name, value in given.items() if value}
    content = body.encode() if isinstance(body, str) else body
    return browser.request("POST", path, content=content, headers=sent)


def ask(cast: Cast, who: str, method: str, route: Route, **values: str) -> Any:
    """One request as a page of ours sends it: `value` is in each field that is read there and in
    the address, `confirm` where something has to be typed that destroys.
    """
    value = values.get("value", "x")
    names = fields_read_by(route.endpoint) - {"form_token", "confirm"}
    fields = {
        "form_token": cast.form_token(who),
        "confirm": values.get("confirm", "no"),
        **dict.fromkeys(sorted(names), value),
    }
    address = address_of(route, value)
    if method == "POST":
        answer = post(cast[who], address, encoded(*fields.items()))
    else:
        answer = cast[who].request(method, f"{address}?{encoded(*fields.items())}")
    if answer.headers.get("location", "").startswith("/sign-in"):
        cast.sign_in_again(who)
    return answer


def encoded(*pairs: tuple[str, str]) -> str:
    return urlencode(pairs)
