"""People of two accounts go from one to the other; the holder of a master key stays."""

from typing import Any

import pytest
from sqlmodel import col, select

from orderdesk_app.context import Role
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.sessions import Session
from orderdesk_app.services.sessions import COOKIE
from tests.web.browser_session import BrowserSession
from tests.web.colleagues import Colleague, add_colleague


@pytest.fixture
def cleo(ada: BrowserSession, bert: BrowserSession) -> Colleague:
    """A member at Ada's, and a viewer at Bert's."""
    cleo = add_colleague(ada, Role.MEMBER, "Cleo")

    async def join() -> None:
        async with ada.web.services.database.write() as session:
            session.add(
                Membership(tenant_id=bert.view.id, user_id=cleo.user_id, role=Role.VIEWER.value)
            )

    ada.web.do(join)
    return cleo


def accounts(who: BrowserSession) -> list[str]:
    with who.tab() as tab:
        tab.act("page_load.load_page")
        return [one["name"] for one in tab.vars.get("signed_in_state.account_choices") or []]


def session_rows(who: Colleague) -> list[Session]:
    async def read() -> list[Session]:
        async with who.web.services.database.read() as session:
            question = select(Session).where(Session.user_id == who.user_id)
            return list((await session.exec(question.order_by(col(Session.id)))).all())

    return list(who.web.do(read))


def cookie_of(answer: Any) -> str:
    return str(answer.headers["set-cookie"]).split(";")[0].removeprefix(f"{COOKIE}=")


def test_a_person_of_two_accounts_goes_to_the_other(cleo: Colleague, bert: BrowserSession) -> None:
    before = cleo.actor
    shown = accounts(cleo)

    answer = cleo.post("/account/switch", tenant_id=bert.view.id)
    former, cleo.cookie = cleo.cookie, cookie_of(answer)

    assert shown == ["Ada's Teas", "Bert's Bikes"]
    assert (before.role, cleo.actor.role) == (Role.MEMBER, Role.VIEWER)
    assert cleo.actor.tenant_id == bert.view.id
    assert cleo.web.do(cleo.web.services.sessions.resume, former) is None


def test_going_to_another_account_proves_nothing_anew(
    cleo: Colleague, bert: BrowserSession
) -> None:
    cleo.post("/account/switch", tenant_id=bert.view.id)

    first, second = session_rows(cleo)
    assert first.ended_at is not None
    for name in ("proved_at", "created_at", "expires_at", "method"):
        assert getattr(first, name) == getattr(second, name)


def test_an_account_of_others_is_closed(cleo: Colleague) -> None:
    other = cleo.web.make_account("Mallory's Masks")

    answer = cleo.post("/account/switch", tenant_id=other.view.id)

    assert "set-cookie" not in answer.headers
    assert len(session_rows(cleo)) == 1


def test_the_holder_of_a_master_key_stays_in_its_account(
    ada: BrowserSession, bert: BrowserSession
) -> None:
    async def join() -> None:
        async with ada.web.services.database.write() as session:
            session.add(
                Membership(tenant_id=bert.view.id, user_id=ada.view.owner_id, role=Role.OWNER.value)
            )

    ada.web.do(join)

    answer = ada.post("/account/switch", tenant_id=bert.view.id)

    assert accounts(ada) == []
    assert "set-cookie" not in answer.headers


def test_one_account_has_nothing_to_switch(ada: BrowserSession) -> None:
    assert accounts(add_colleague(ada, Role.OWNER)) == ["Ada's Teas"]
