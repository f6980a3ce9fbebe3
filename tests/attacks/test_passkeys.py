"""Somebody has heard or seen an answer of a passkey, runs a site of their own, or has copied one:
none of it signs in. Each guard is switched off once, to show that the attack is a real one.

Guards: `PasskeyChallenges` (one browser, one purpose, once), `PasskeyRules` (origin, name, person
verified), and the count of uses and the owner in `Passkeys`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import webauthn

from orderdesk_app.security.passkeys import PasskeyRules
from orderdesk_app.services.passkey_challenges import Challenge, ChallengePurpose, PasskeyChallenges
from tests.attacks.cast import switched_off
from tests.authenticator import Authenticator
from tests.web.browser_session import BrowserSession
from tests.web.test_passkeys import add, answer_with, ask

SIGN_IN = "/sign-in/passkey"
REFUSED = "/sign-in?error=passkey"


@pytest.fixture
def phone(ada: BrowserSession) -> Authenticator:
    """Ada's, with a passkey in it. It is a synced one, which counts nothing."""
    phone = Authenticator(counts=False)
    add(ada, phone)
    return phone


@pytest.fixture
def thief(ada: BrowserSession) -> BrowserSession:
    """Another browser, of nobody."""
    return BrowserSession(ada.web, ada.view, ada.key)


def where(answer: Any) -> str:
    return str(answer.headers["location"])


def test_a_heard_answer_signs_in_nobody_else(thief: BrowserSession, phone: Authenticator) -> None:
    question = ask(thief, SIGN_IN)
    heard = phone.get(question.text)
    once = where(answer_with(thief, SIGN_IN, question, heard))
    again = where(answer_with(thief, SIGN_IN, question, heard))

    async def forget(*_: Any) -> None: ...

    with switched_off(PasskeyChallenges, "spend", forget):
        unguarded = where(answer_with(thief, SIGN_IN, question, heard))

    assert (once, again, unguarded) == ("/", REFUSED, "/")


def test_an_answer_to_another_browsers_question_is_refused(
    thief: BrowserSession, phone: Authenticator
) -> None:
    theirs, ours = ask(thief, SIGN_IN), ask(thief, SIGN_IN)
    heard = phone.get(theirs.text)

    refused = where(answer_with(thief, SIGN_IN, ours, heard))
    read = PasskeyChallenges.read
    cookie = theirs.headers["set-cookie"].split(";")[0].split("=", 1)[1]

    def of_the_victim(self: PasskeyChallenges, _: Any, *given: Any) -> Challenge:
        return read(self, cookie, *given)

    with switched_off(PasskeyChallenges, "read", of_the_victim):
        unguarded = where(answer_with(thief, SIGN_IN, ours, heard))

    assert (refused, unguarded) == (REFUSED, "/")


def test_an_answer_made_for_confirming_does_not_sign_in(
    ada: BrowserSession, thief: BrowserSession, phone: Authenticator
) -> None:
    question = ask(ada, "/confirm/passkey")
    heard = phone.get(question.text)

    refused = where(answer_with(thief, SIGN_IN, question, heard))
    read, session_id = PasskeyChallenges.read, ada.actor.session_id

    def of_any_purpose(self: PasskeyChallenges, cookie: str | None, *_: Any) -> Challenge:
        return read(self, cookie, ChallengePurpose.CONFIRM, session_id)

    with switched_off(PasskeyChallenges, "read", of_any_purpose):
        unguarded = where(answer_with(thief, SIGN_IN, question, heard))

    assert (refused, unguarded) == (REFUSED, "/")


@pytest.mark.parametrize(
    ("lie", "unguarded"),
    [
        ({"origin": "https://orderdesk.evil.example"}, "origin"),
        ({"rp_id": "evil.example"}, "rp_id"),
    ],
    ids=["another site's page", "another site's passkey"],
)
def test_what_another_site_was_told_does_not_sign_in_here(
    ada: BrowserSession, thief: BrowserSession, phone: Authenticator, lie: Any, unguarded: str
) -> None:
    phished = replace(phone, **lie)
    question = ask(thief, SIGN_IN)
    refused = where(answer_with(thief, SIGN_IN, question, phished.get(question.text)))
    everything = vars(PasskeyRules(ada.web.services.settings.public_url)) | {
        unguarded: lie[unguarded]
    }

    class Fooled(PasskeyRules):
        def __init__(self) -> None:
            vars(self).update(everything)

    verify_use = PasskeyRules.verify_use
    with switched_off(PasskeyRules, "verify_use", lambda _, *given: verify_use(Fooled(), *given)):
        question = ask(thief, SIGN_IN)
        fooled = where(answer_with(thief, SIGN_IN, question, phished.get(question.text)))

    assert (refused, fooled) == (REFUSED, "/")


def test_a_found_device_without_its_pin_does_not_sign_in(
    thief: BrowserSession, phone: Authenticator
) -> None:
    found = replace(phone, is_verified=False)
    question = ask(thief, SIGN_IN)
    refused = where(answer_with(thief, SIGN_IN, question, found.get(question.text)))
    verify: Callable[..., Any] = webauthn.verify_authentication_response

    def lax(**given: Any) -> Any:
        return verify(**{**given, "require_user_verification": False})

    with switched_off(webauthn, "verify_authentication_response", lax):
        question = ask(thief, SIGN_IN)
        unguarded = where(answer_with(thief, SIGN_IN, question, found.get(question.text)))

    assert (refused, unguarded) == (REFUSED, "/")


def test_a_copy_of_a_passkey_that_counts_is_refused(
    ada: BrowserSession, thief: BrowserSession
) -> None:
    phone = Authenticator()
    add(ada, phone)
    copy = replace(phone)
    for _ in range(2):
        question = ask(thief, SIGN_IN)
        assert where(answer_with(thief, SIGN_IN, question, phone.get(question.text))) == "/"

    question = ask(thief, SIGN_IN)
    refused = where(answer_with(thief, SIGN_IN, question, copy.get(question.text)))
    verify_use = PasskeyRules.verify_use

    def grown(*given: Any) -> int:
        return verify_use(*given) + 100

    with switched_off(PasskeyRules, "verify_use", grown):
        question = ask(thief, SIGN_IN)
        unguarded = where(answer_with(thief, SIGN_IN, question, copy.get(question.text)))

    assert (refused, unguarded) == (REFUSED, "/")


def test_a_neighbours_passkey_does_not_confirm_who_the_owner_of_a_stolen_session_is(
    ada: BrowserSession, bert: BrowserSession, phone: Authenticator
) -> None:
    theirs = Authenticator()
    add(bert, theirs)
    ada.grow_old()
    for used in (theirs, replace(theirs, user_handle=phone.user_handle)):
        question = ask(ada, "/confirm/passkey")
        answer = answer_with(ada, "/confirm/passkey", question, used.get(question.text))
        assert where(answer) == "/confirm?error=passkey"

    recent = ada.web.services.reauthentication.is_recent
    assert not ada.web.do(recent, ada.actor)
    question = ask(ada, "/confirm/passkey")
    answer_with(ada, "/confirm/passkey", question, phone.get(question.text))
    assert ada.web.do(recent, ada.actor)


def test_a_thiefs_passkey_is_not_added_to_an_old_session(ada: BrowserSession) -> None:
    """It would outlive the session that was stolen."""
    ada.grow_old()
    question = ask(ada, "/account/passkeys")

    assert where(question) == "/confirm"
    assert "set-cookie" not in question.headers
