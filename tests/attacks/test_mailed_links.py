"""Whoever sees a mailed link later, in a log, a history or a mailbox, uses it again; a mail scanner
opens it before its person does; and two use it at once.

Guards: `MagicLinks.use` marks the link in the transaction of what it allows, and looking marks
nothing. Each purpose has a signature of its own.
"""

import asyncio
from typing import Any

import pytest

from orderdesk_app.errors import LinkUsed
from orderdesk_app.services.magic_links import Link, LinkPurpose
from tests.attacks.cast import switched_off
from tests.web.browser_session import BrowserSession, Web
from tests.web.test_sign_up import get, new_address, opened, post

__all__ = ["opened"]

PATHS = {
    LinkPurpose.SIGN_IN: "/sign-in/link",
    LinkPurpose.SIGN_UP: "/verify",
    LinkPurpose.INVITATION: "/invitation",
}
BROWSER = {"address": "192.0.2.7", "user_agent": "Firefox"}


@pytest.fixture
def links(opened: Web, ada: BrowserSession) -> dict[LinkPurpose, str]:
    """A good token of each purpose; that of an invitation leads to none, and is only tried."""

    async def make() -> dict[LinkPurpose, str]:
        ids = {"tenant_id": ada.view.id, "user_id": ada.view.owner_id}
        async with opened.services.database.write() as session:
            return {
                purpose: (
                    await opened.services.magic_links.make(
                        session,
                        purpose,
                        works_for=900.0,
                        payload={"email": new_address()},
                        **(ids if purpose is not LinkPurpose.SIGN_UP else {}),
                    )
                ).reveal()
                for purpose in LinkPurpose
            }

    made: dict[LinkPurpose, str] = opened.do(make)
    return made


@pytest.mark.parametrize("purpose", [LinkPurpose.SIGN_IN, LinkPurpose.SIGN_UP])
def test_a_link_is_good_once(
    opened: Web, links: dict[LinkPurpose, str], purpose: LinkPurpose
) -> None:
    path = f"{PATHS[purpose]}?token={links[purpose]}"

    first, *others = [post(opened, path) for _ in range(3)]

    assert first.status_code in (200, 303)
    assert "set-cookie" in first.headers
    for answer in (*others, get(opened, path)):
        assert answer.status_code == LinkUsed.http_status
        assert "orderdesk_session=" not in answer.headers.get("set-cookie", "")


def test_without_the_mark_it_would_be_good_again(
    opened: Web, links: dict[LinkPurpose, str]
) -> None:
    path = f"/sign-in/link?token={links[LinkPurpose.SIGN_IN]}"

    with switched_off(opened.services.magic_links, "use", opened.services.magic_links.look):
        answers = [post(opened, path) for _ in range(2)]

    assert ["orderdesk_session=" in answer.headers["set-cookie"] for answer in answers] == [
        True
    ] * 2


@pytest.mark.parametrize("purpose", [LinkPurpose.SIGN_IN, LinkPurpose.SIGN_UP])
def test_a_scanner_that_opens_a_link_takes_nothing(
    opened: Web, links: dict[LinkPurpose, str], purpose: LinkPurpose
) -> None:
    path = f"{PATHS[purpose]}?token={links[purpose]}"

    scanned = [opened.client.request(method, path) for method in ("GET", "HEAD") * 3]

    assert {answer.status_code for answer in scanned} == {200}
    assert not any("orderdesk_session" in str(answer.headers) for answer in scanned)
    assert "set-cookie" in post(opened, path).headers


def test_were_a_link_used_up_by_looking_a_scanner_would_take_it(
    opened: Web, links: dict[LinkPurpose, str]
) -> None:
    path = f"/verify?token={links[LinkPurpose.SIGN_UP]}"
    look = opened.services.magic_links.look

    async def use_up(session: Any, token: str, purpose: LinkPurpose) -> Link:
        link = await look(session, token, purpose)
        await opened.services.database.execute(
            "UPDATE magic_links SET used_at = created_at WHERE id = :id", {"id": link.id}
        )
        return link

    with switched_off(opened.services.magic_links, "look", use_up):
        get(opened, path)

    assert post(opened, path).status_code == LinkUsed.http_status


def test_of_many_at_once_one_gets_in(opened: Web, links: dict[LinkPurpose, str]) -> None:
    services, token = opened.services, links[LinkPurpose.SIGN_IN]

    async def race() -> list[Any]:
        return await asyncio.gather(
            *(services.sign_in.use_link(token, **BROWSER) for _ in range(5)), return_exceptions=True
        )

    with switched_off(services.magic_links, "use", services.magic_links.look):
        without_guard = opened.do(race)
    with_guard = opened.do(race)

    assert [type(result) for result in without_guard] == [str] * 5
    assert sorted(type(result).__name__ for result in with_guard) == ["LinkUsed"] * 4 + ["str"]


@pytest.mark.parametrize("path", PATHS.values())
def test_a_link_opens_nothing_that_it_was_not_made_for(
    opened: Web, links: dict[LinkPurpose, str], path: str
) -> None:
    for purpose in LinkPurpose:
        if PATHS.get(purpose) == path:
            continue
        for answer in (
            get(opened, f"{path}?token={links[purpose]}"),
            post(opened, f"{path}?token={links[purpose]}"),
        ):
            assert answer.status_code == 404, purpose
            assert "orderdesk_session=" not in answer.headers.get("set-cookie", "")
