"""A page of another site calls the addresses that are open to every origin, with the cookie of
somebody who is signed in. Guard: no cookie counts there, and no answer sets one.
"""

from typing import Any

import pytest

from orderdesk_app.routes import all_routes, oauth_tokens
from orderdesk_app.routes.forms import signed_in_user
from orderdesk_app.routes.oauth import FOR_PROGRAMS, is_for_programs
from tests.attacks.cast import ANONYMOUS, OWNER, Cast, encoded, post, switched_off

FOREIGN = "https://evil.example"
PATHS = sorted({route.path for route in all_routes() if is_for_programs(route.path)})
FIELDS = encoded(("grant_type", "authorization_code"), ("code", "x"), ("client_id", "x"))


def asked(cast: Cast, who: str, path: str) -> Any:
    if path in FOR_PROGRAMS:
        return post(cast[who], path, FIELDS, origin=FOREIGN)
    return cast[who].request("GET", path, headers={"origin": FOREIGN})


@pytest.mark.parametrize("path", PATHS)
def test_a_cookie_changes_no_answer(cast: Cast, path: str) -> None:
    answers = [asked(cast, who, path) for who in (ANONYMOUS, OWNER)]

    assert {answer.text for answer in answers} == {answers[0].text}
    for answer in answers:
        assert "set-cookie" not in answer.headers
        assert "access-control-allow-credentials" not in answer.headers


def test_an_address_that_reads_the_cookie_would_tell_who_is_signed_in(cast: Cast) -> None:
    async def proved(request: Any, form: Any) -> Any:
        user = await signed_in_user(request)
        raise oauth_tokens.OAuthRefused(
            oauth_tokens.OAuthError.INVALID_CLIENT, user.name if user else "nobody"
        )

    with switched_off(oauth_tokens, "_proved_client", proved):
        answers = {asked(cast, who, "/token").text for who in (ANONYMOUS, OWNER)}

    assert len(answers) == 2
