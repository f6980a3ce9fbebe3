"""Invitations are for one address and one use: theft, replay, races, and what was withdrawn."""

import asyncio
from typing import Any

import pytest
from sqlmodel import col, select, update

from orderdesk_app.context import Role, now
from orderdesk_app.db.invitations import Invitation
from orderdesk_app.db.magic_links import MagicLink
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.users import User
from orderdesk_app.errors import Conflict, LinkUsed, OrderDeskAgentsError, RateLimited
from orderdesk_app.services import invitations as service
from orderdesk_app.services.limits import INVITATIONS
from orderdesk_app.services.sessions import COOKIE
from tests.attacks.letters import Letters, record_letters
from tests.web.browser_session import ORIGIN, BrowserSession, Web
from tests.web.colleagues import Colleague, add_colleague, set_role


@pytest.fixture
def letters(web: Web, monkeypatch: pytest.MonkeyPatch) -> Letters:
    return record_letters(web.services, monkeypatch)


@pytest.fixture
def stranger(web: Web, ada: BrowserSession) -> BrowserSession:
    """A browser without a session."""
    return BrowserSession(web, ada.view, ada.key)


def address_of(name: str, owner: BrowserSession) -> str:
    """Of this test alone, as the app serves all of them."""
    return f"{name}.{owner.view.id.lower()}@example.com"


def invite(owner: BrowserSession, letters: Letters, name: str, role: Role = Role.MEMBER) -> str:
    """The path of the link in the mail."""
    email = address_of(name, owner)
    answer = owner.post("/people/invite", email=email, role=role.value)
    assert answer.status_code == 303
    return f"/invitation?token={letters.token_for(email)}"


def accept(who: BrowserSession, path: str, name: str = "Cleo") -> Any:
    return who.request("POST", path, data={"name": name}, headers={"origin": ORIGIN})


def roles_in(owner: BrowserSession) -> dict[str, str]:
    """The members beside the owner, by their address, or their name."""

    async def read() -> dict[str, str]:
        async with owner.web.services.database.read() as session:
            question = select(User, Membership).join(
                Membership, col(Membership.user_id) == col(User.id)
            )
            rows = await session.exec(question.where(Membership.tenant_id == owner.view.id))
            return {
                user.email or user.name: membership.role
                for user, membership in rows.all()
                if user.id != owner.view.owner_id
            }

    return dict(owner.web.do(read))


def session_of(who: BrowserSession, answer: Any) -> Any:
    cookies = answer.headers.get_list("set-cookie")
    cookie = next(c for c in cookies if c.startswith(f"{COOKIE}=") and "Max-Age=0" not in c)
    value = cookie.split(";")[0].removeprefix(f"{COOKIE}=")
    return who.web.do(who.web.services.sessions.resume, value)


def test_a_stranger_joins_with_the_address_that_the_mail_proved(
    ada: BrowserSession, stranger: BrowserSession, letters: Letters
) -> None:
    path = invite(ada, letters, "cleo", Role.VIEWER)

    page = stranger.get(path)
    answer = accept(stranger, path, "Cleo")

    assert "Ada&#39;s Teas" in page.text
    assert address_of("cleo", ada) in page.text
    assert "a viewer" in page.text
    assert "no-store" in page.headers["cache-control"]
    assert roles_in(ada) == {address_of("cleo", ada): "viewer"}
    user = session_of(stranger, answer)
    assert (user.actor.tenant_id, user.actor.role) == (ada.view.id, Role.VIEWER)
    assert user.actor.is_operator is False


def test_looking_uses_nothing_up(
    ada: BrowserSession, stranger: BrowserSession, letters: Letters
) -> None:
    path = invite(ada, letters, "cleo")

    pages = [stranger.get(path) for _ in range(3)]  # as mail scanners do

    assert {page.status_code for page in pages} == {200}
    assert all("set-cookie" not in page.headers for page in pages)
    assert accept(stranger, path).status_code == 303


def test_a_link_is_no_use_a_second_time(
    ada: BrowserSession, stranger: BrowserSession, letters: Letters
) -> None:
    path = invite(ada, letters, "cleo")
    accept(stranger, path)

    again = accept(stranger, path, "Mallory")

    assert again.status_code == 410
    assert "used before" in again.text
    assert "used before" in stranger.get(path).text
    assert len(roles_in(ada)) == 1


@pytest.mark.parametrize("email", ["mallory@example.com", None])
def test_somebody_who_is_signed_in_with_another_address_cannot_use_it(
    ada: BrowserSession, letters: Letters, email: str | None
) -> None:
    path = invite(ada, letters, "cleo")
    mallory = another_user(ada.web, email)

    page = mallory.get(path)
    answer = accept(mallory, path)

    assert "signed in" in page.text
    assert "Sign out" in page.text
    assert answer.status_code == 403
    assert address_of("cleo", ada) in answer.text
    assert roles_in(ada) == {}
    # the link still works for the one it is for
    assert accept(BrowserSession(ada.web, ada.view, ada.key), path).status_code == 303


def test_a_letter_beyond_z_in_another_case_is_another_address(
    ada: BrowserSession, letters: Letters
) -> None:
    mallory = another_user(ada.web, "\u00e9lan@example.com")
    ada.post("/people/invite", email=f"{mallory.view.id}.\u00c9lan@example.com", role="owner")
    path = f"/invitation?token={letters.token_for(letters.sent[-1][0])}"

    assert accept(mallory, path).status_code == 403
    assert roles_in(ada) == {}


def another_user(web: Web, email: str | None) -> Colleague:
    """Of another account, signed in."""
    other = web.make_account("Mallory's Masks")
    named = f"{other.view.id}.{email}" if email else None
    return add_colleague(other, Role.OWNER, "Mallory", email=named)


def test_without_the_guard_another_address_gets_in(
    ada: BrowserSession, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def anybody(session: Any, found: Any, user: Any) -> User | None:
        return await session.get(User, user.actor.user_id)

    path = invite(ada, letters, "cleo")
    monkeypatch.setattr(service, "who_may_accept", anybody)

    accept(another_user(ada.web, "mallory@example.com"), path)

    assert len(roles_in(ada)) == 1


def test_an_existing_user_joins_with_a_second_account(
    ada: BrowserSession, stranger: BrowserSession, letters: Letters
) -> None:
    bert = another_user(ada.web, "x@example.com")
    email = f"{bert.view.id}.x@example.com"
    ada.post("/people/invite", email=email.upper(), role="member")
    path = f"/invitation?token={letters.token_for(letters.sent[-1][0])}"

    page = stranger.get(path)
    answer = accept(stranger, path, name="")

    assert 'name="name"' not in page.text  # nobody is made
    assert session_of(stranger, answer).actor.user_id == bert.user_id
    assert roles_in(ada) == {email: "member"}


def test_a_user_who_is_signed_in_with_the_address_accepts_as_themselves(
    ada: BrowserSession, letters: Letters
) -> None:
    bert = another_user(ada.web, "y@example.com")
    ada.post("/people/invite", email=f"{bert.view.id}.y@example.com", role="owner")
    path = f"/invitation?token={letters.token_for(letters.sent[-1][0])}"

    answer = accept(bert, path)

    assert session_of(bert, answer).actor.user_id == bert.user_id
    assert session_of(bert, answer).actor.tenant_id == ada.view.id
    # the session that it replaces has ended
    assert ada.web.do(ada.web.services.sessions.resume, bert.cookie) is None


def test_what_is_withdrawn_is_dead(
    ada: BrowserSession, stranger: BrowserSession, letters: Letters
) -> None:
    path = invite(ada, letters, "cleo")
    (waiting,) = ada.web.do(ada.web.services.invitations.list, ada.actor)

    ada.post("/people/invitations/withdraw", invitation_id=waiting.id)

    assert "withdrawn" in stranger.get(path).text
    assert accept(stranger, path).status_code == 410
    assert roles_in(ada) == {}


def test_a_new_mail_ends_the_link_of_the_one_before(
    ada: BrowserSession, stranger: BrowserSession, letters: Letters
) -> None:
    first = invite(ada, letters, "cleo")
    (waiting,) = ada.web.do(ada.web.services.invitations.list, ada.actor)
    ada.post("/people/invitations/resend", invitation_id=waiting.id)
    second = f"/invitation?token={letters.token_for(address_of('cleo', ada))}"

    assert "newest mail" in accept(stranger, first).text
    assert accept(stranger, second).status_code == 303


@pytest.mark.parametrize("end", ["demoted", "removed"])
def test_the_invitations_of_somebody_who_is_no_owner_any_more_are_dead(
    ada: BrowserSession, stranger: BrowserSession, letters: Letters, end: str
) -> None:
    mallory = add_colleague(ada, Role.OWNER, "Mallory")
    path = invite(mallory, letters, "friend", Role.OWNER)

    if end == "demoted":
        ada.post("/people/role", user_id=str(mallory.user_id), role="member")
    else:
        ada.post("/people/remove", user_id=str(mallory.user_id))

    assert "withdrawn" in stranger.get(path).text
    assert accept(stranger, path).status_code == 410
    assert address_of("friend", mallory) not in roles_in(ada)


def test_the_inviter_is_asked_for_again_when_the_link_is_used(
    ada: BrowserSession, stranger: BrowserSession, letters: Letters
) -> None:
    mallory = add_colleague(ada, Role.OWNER, "Mallory")
    path = invite(mallory, letters, "friend", Role.OWNER)

    set_role(ada, mallory.user_id, Role.VIEWER)  # past the service that would delete it

    assert accept(stranger, path).status_code == 410


def test_an_expired_one_explains_itself(
    ada: BrowserSession, stranger: BrowserSession, letters: Letters
) -> None:
    path = invite(ada, letters, "cleo")

    async def let_it_expire() -> None:
        async with ada.web.services.database.write() as session:
            links = update(MagicLink).where(col(MagicLink.tenant_id) == ada.view.id)
            await session.exec(links.values(expires_at=now()))

    ada.web.do(let_it_expire)

    assert "too old" in stranger.get(path).text
    assert accept(stranger, path).status_code == 410


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é" * 50])
def test_a_made_up_token_is_no_invitation(stranger: BrowserSession, token: str) -> None:
    answer = stranger.get(f"/invitation?token={token}")

    assert answer.status_code == 404
    assert accept(stranger, f"/invitation?token={token}").status_code == 404


def test_a_sign_in_link_is_no_invitation(ada: BrowserSession, stranger: BrowserSession) -> None:
    link = ada.web.do(ada.web.services.sign_in.make_link, ada.view.id)

    assert accept(stranger, f"/invitation?token={link.reveal()}").status_code == 404


def test_a_form_of_another_site_accepts_nothing(
    ada: BrowserSession, stranger: BrowserSession, letters: Letters
) -> None:
    path = invite(ada, letters, "cleo")

    answer = stranger.request(
        "POST", path, data={"name": "Cleo"}, headers={"origin": "https://evil.example"}
    )

    assert answer.status_code == 403
    assert roles_in(ada) == {}


def test_one_of_many_uses_at_once_wins(ada: BrowserSession, letters: Letters) -> None:
    token = invite(ada, letters, "cleo").partition("=")[2]
    services = ada.web.services

    async def use(name: str) -> str:
        try:
            await services.invitations.accept(
                token, user=None, name=name, address="", user_agent="", replaces=None
            )
        except OrderDeskAgentsError as error:
            return type(error).__name__
        return "joined"

    async def all_at_once() -> list[str]:
        return await asyncio.gather(*[use(f"Racer {number}") for number in range(8)])

    outcomes = ada.web.do(all_at_once)

    assert sorted(outcomes) == [LinkUsed.__name__] * 7 + ["joined"]
    assert len(roles_in(ada)) == 1


def test_an_address_is_invited_once_and_a_member_never(
    ada: BrowserSession, stranger: BrowserSession, letters: Letters
) -> None:
    invitations, owner = ada.web.services.invitations, ada.actor
    email = address_of("cleo", ada)
    path = invite(ada, letters, "cleo")

    with pytest.raises(Conflict, match="invited already"):
        ada.web.do(invitations.invite, owner, email.upper(), Role.OWNER)
    accept(stranger, path)
    with pytest.raises(Conflict, match="belongs to this account"):
        ada.web.do(invitations.invite, owner, email.upper(), Role.OWNER)


def test_an_account_cannot_fill_mailboxes(
    ada: BrowserSession, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    invitations, owner = ada.web.services.invitations, ada.actor

    for number in range(INVITATIONS):
        ada.web.do(invitations.invite, owner, f"a{number}@example.com", Role.VIEWER)

    with pytest.raises(RateLimited):
        ada.web.do(invitations.invite, owner, "one-more@example.com", Role.VIEWER)
    assert len(letters.sent) == INVITATIONS


def test_the_database_knows_no_token(ada: BrowserSession, letters: Letters) -> None:
    token = invite(ada, letters, "cleo").partition("=")[2]

    async def read() -> list[Invitation]:
        async with ada.web.services.database.read() as session:
            return list((await session.exec(select(Invitation))).all())

    assert all(token not in str(row.model_dump()) for row in ada.web.do(read))


class TestWithoutMail:
    """The owner is shown the link once; it proves nothing about whose the address is."""

    @pytest.fixture(autouse=True)
    def no_mail(self, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(web.services.mailer, "is_set_up", False)

    def path_for(self, owner: BrowserSession, email: str, role: Role = Role.MEMBER) -> str:
        answer = owner.post("/people/invite", email=email, role=role.value)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert "Mail is not set up" in answer.text
        token = answer.text.partition("/invitation?token=")[2].partition("<")[0]
        return f"/invitation?token={token}"

    def test_the_new_user_has_no_verified_address(
        self, ada: BrowserSession, stranger: BrowserSession
    ) -> None:
        path = self.path_for(ada, address_of("cleo", ada))

        assert accept(stranger, path, "Cleo").status_code == 303

        assert roles_in(ada) == {"Cleo": "member"}

    def test_it_signs_nobody_in_who_is_known_already(
        self, ada: BrowserSession, stranger: BrowserSession
    ) -> None:
        victim = another_user(ada.web, "victim@example.com")
        path = self.path_for(ada, f"{victim.view.id}.victim@example.com")

        page = stranger.get(path)
        answer = accept(stranger, path, "Mallory")

        assert 'name="name"' in page.text  # nothing tells that the address is known
        assert session_of(stranger, answer).actor.user_id != victim.user_id
