"""Somebody learns which addresses have accounts, from the answer to a form that takes an address.
Guard: one answer, of the same status, headers, cookies and words, whoever the address belongs to;
also to an owner who invites it, and on the page of a link that proves nobody's address.
(The time that it takes is measured in benchmarks.)
"""

import inspect
import re
from dataclasses import replace
from typing import Any

import pytest

from orderdesk_app.context import Role
from orderdesk_app.db.users import User
from orderdesk_app.errors import Conflict
from orderdesk_app.services.callers import Callers, allowed_callers
from orderdesk_app.services.invitations import Invitations
from orderdesk_app.services.roles import Permission
from orderdesk_app.services.sign_up import SignUp
from tests.attacks.cast import (
    ANONYMOUS,
    NEIGHBOUR,
    OWNER,
    Cast,
    address_of,
    encoded,
    every_method,
    fields_read_by,
    post,
    switched_off,
)
from tests.web.browser_session import Web
from tests.web.colleagues import add_colleague
from tests.web.test_sign_up import opened

__all__ = ["opened"]

KINDS = ("known", "disabled", "without_account", "unverified", "nobody")


@pytest.fixture(scope="module")
def addresses(cast: Cast) -> dict[str, str]:
    """One address of each kind, all of the same length."""
    found = {kind: f"{kind:x>20}@example.com" for kind in KINDS}
    add_colleague(cast[OWNER], Role.MEMBER, "Known", found["known"])
    disabled = add_colleague(cast[OWNER], Role.MEMBER, "Disabled", found["disabled"])
    web = cast.web
    web.do(
        web.services.database.execute,
        "UPDATE users SET disabled_at = created_at WHERE id = :user",
        {"user": disabled.user_id},
    )
    web.do(keep, web, User(name="Without", email=found["without_account"]))
    web.do(keep, web, User(name="Unverified", unverified_email=found["unverified"]))
    return found


async def keep(web: Web, user: User) -> None:
    async with web.services.database.write() as session:
        session.add(user)


def forms_that_take_an_address() -> list[Any]:
    """Those for strangers, as the table of routes and their own modules say."""
    return [
        route
        for method, _, route in every_method()
        if method == "POST"
        and allowed_callers(route.endpoint) is Callers.ANYBODY
        and "email" in fields_read_by(route.endpoint)
    ]


def answer_to(cast: Cast, path: str, email: str) -> tuple[Any, ...]:
    """All that can be seen of the answer, without the address and the number of the request."""
    fields = encoded(("email", email), ("name", "x"), ("token", "x"))
    answer = post(cast[ANONYMOUS], path, fields)
    headers = {
        name: value for name, value in answer.headers.multi_items() if name != "x-request-id"
    }
    words = answer.text.replace(email, "…").replace(answer.headers["x-request-id"], "…")
    return answer.status_code, headers, words


def test_there_are_forms_that_take_an_address() -> None:
    assert len(forms_that_take_an_address()) >= 3


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("route", forms_that_take_an_address(), ids=lambda route: str(route.path))
def test_each_address_gets_the_same_answer(
    cast: Cast, addresses: dict[str, str], route: Any
) -> None:
    answers = {kind: answer_to(cast, address_of(route), email) for kind, email in addresses.items()}

    assert {repr(answer) for answer in answers.values()} == {repr(answers["nobody"])}


@pytest.mark.usefixtures("opened")
def test_without_the_guard_the_answers_would_differ(cast: Cast, addresses: dict[str, str]) -> None:
    send = SignUp.send_link

    async def send_or_refuse(self: SignUp, email: str, **asked: Any) -> str:
        if email == addresses["known"]:
            raise Conflict("This address has an account.")
        return await send(self, email, **asked)

    with switched_off(SignUp, "send_link", send_or_refuse):
        known = answer_to(cast, "/sign-up", addresses["known"])
        nobody = answer_to(cast, "/sign-up", addresses["nobody"])

    assert known != nobody


# ------------------------------------------------------------------ an owner who invites


def forms_of_people_that_take_an_address() -> list[Any]:
    return [
        route
        for method, _, route in every_method()
        if method == "POST"
        and allowed_callers(route.endpoint) is Permission.MANAGE_PEOPLE
        and '"email"' in inspect.getsource(inspect.unwrap(route.endpoint))
    ]


def answer_to_owner(cast: Cast, path: str, email: str) -> tuple[Any, ...]:
    """What the owner of another account is told: the answer, and the notice after it or the link to
    pass on, and what that link shows to a stranger.
    """
    owner, services = cast[NEIGHBOUR], cast.web.services
    answer = owner.post(path, email=email, role="member")
    session_id = owner.actor.session_id or ""
    notice = services.flash_messages.pop(session_id)
    link = _LINK.search(answer.text)
    page = cast[ANONYMOUS].get(link[0]).text if link else ""
    [waiting] = cast.web.do(services.invitations.list, owner.actor)
    cast.web.do(services.invitations.withdraw, owner.actor, waiting.id)
    words = f"{answer.text} {notice} {page}"
    for secret in (email, link[0] if link else "", answer.headers["x-request-id"]):
        words = words.replace(secret, "…") if secret else words
    return answer.status_code, answer.headers.get("location"), _TIMES.sub("…", words)


_LINK = re.compile(r"/invitation\?token=[\w.-]+")
_TIMES = re.compile(r"\d\d \w{3} \d{4} \d\d:\d\d|form_token\" value=\"[^\"]*\"")


@pytest.mark.parametrize("is_mailed", [True, False], ids=["mailed", "passed on"])
def test_an_owner_learns_of_nobody_elsewhere(
    cast: Cast, addresses: dict[str, str], is_mailed: bool
) -> None:
    (route,) = forms_of_people_that_take_an_address()

    with switched_off(cast.web.services.mailer, "is_set_up", is_mailed):
        answers = {
            kind: answer_to_owner(cast, address_of(route), email)
            for kind, email in addresses.items()
        }

    assert {repr(answer) for answer in answers.values()} == {repr(answers["nobody"])}


def test_were_a_known_address_asked_for_no_name_it_would_tell(
    cast: Cast, addresses: dict[str, str]
) -> None:
    (route,) = forms_of_people_that_take_an_address()
    look = Invitations.look

    async def look_and_tell(self: Invitations, *arguments: Any) -> Any:
        offer = await look(self, *arguments)
        return replace(offer, is_known=offer.email == addresses["known"])

    with (
        switched_off(cast.web.services.mailer, "is_set_up", False),
        switched_off(Invitations, "look", look_and_tell),
    ):
        known = answer_to_owner(cast, address_of(route), addresses["known"])
        nobody = answer_to_owner(cast, address_of(route), addresses["nobody"])

    assert known != nobody
