"""An address or a name that looks like somebody else's: other case, other alphabets, characters
that nobody sees. Guards: mail goes to the address that was verified, never to the one that was
typed; addresses have one form; names have visible characters alone.
"""

import pytest

from orderdesk_app.context import Role
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.mail.addresses import email_address
from orderdesk_app.mail.message import Mail
from orderdesk_app.mail.outbox import OutboxSender
from orderdesk_app.services import profile, sign_up
from orderdesk_app.services.members import is_same_address
from orderdesk_app.services.names import is_visible
from orderdesk_app.services.tenants import account_name
from tests.attacks.cast import MEMBER, OWNER, Cast, encoded, post, switched_off
from tests.web.browser_session import Web
from tests.web.colleagues import Colleague, add_colleague
from tests.web.test_sign_up import mail_to, opened
from tests.web.test_sign_up import post as sign_up_form

__all__ = ["opened"]

VERIFIED = "grace.hopper@example.net"
LOOKALIKES = (
    "GRACE.HOPPER@example.net",
    "Grace.Hopper@EXAMPLE.NET",
    "grace.hopper@Example.net",
)
OTHERS = (
    "gr\u0430ce.hopper@example.net",  # a Cyrillic a
    "grace\u2024hopper@example.net",  # a dot of one
    "\uff47race.hopper@example.net",  # full width
    "grace.hopper@ex\u0430mple.net",
    "grace.hopper+x@example.net",
    "gracehopper@example.net",
    "grace.hopper@example.net.evil.example",
)
UNSEEN = (
    "grace.hopper\u200b@example.net",
    "grace.hopper@example.net\u200b",
    "\u202egrace.hopper@example.net",
    "grace.hop\u00adper@example.net",
    "grace.hopper@exam\u200dple.net",
    "grace.hopper\ufeff@example.net",
    "\u2066grace.hopper@example.net\u2069",
)
NAMES = (
    "Ada\u202e",
    "\u202eadA",
    "A\u200bda",
    "Ada\u2066Okafor\u2069",
    "\u3164",
    "Ada\U000e0041",
    "Ada\ufeff",
    "A\u0000da",
    "\u2800Ada",
    "",
    " \t ",
)


@pytest.fixture(scope="module")
def grace(cast: Cast) -> Colleague:
    """Somebody whose address is verified."""
    return add_colleague(cast[OWNER], Role.MEMBER, "Grace Hopper", VERIFIED)


def mails(web: Web) -> list[Mail]:
    sender = web.services.mail_sender
    assert isinstance(sender, OutboxSender)
    return list(sender.mails)


@pytest.mark.usefixtures("grace")
@pytest.mark.parametrize("typed", LOOKALIKES)
def test_the_same_address_in_another_case_gets_no_mail_of_its_own(opened: Web, typed: str) -> None:
    before = len([mail for mail in mails(opened) if mail.to == VERIFIED])

    answer = sign_up_form(opened, "/sign-up", email=typed)

    assert answer.status_code == 200
    mail = mail_to(opened, VERIFIED, count=before + 1)
    assert mail.subject == "You already have an account"
    assert {mail.to for mail in mails(opened) if "grace" in mail.to.lower()} == {VERIFIED}


@pytest.mark.usefixtures("grace")
@pytest.mark.parametrize("typed", OTHERS)
def test_an_address_that_looks_the_same_is_another_one(opened: Web, typed: str) -> None:
    try:
        address = email_address(typed)
    except ValidationFailed:
        return

    sign_up_form(opened, "/sign-up", email=typed)

    assert mail_to(opened, address).subject == "Confirm your e-mail address"


@pytest.mark.parametrize("typed", [*OTHERS, "gr\u0131ce@example.net", "\u0130da@example.net"])
def test_what_a_language_writes_the_same_in_small_letters_is_another_mailbox(typed: str) -> None:
    """A database of that language would find the one for the other."""
    assert not is_same_address(typed, VERIFIED)
    assert not is_same_address("\u0130da@example.net", "ida@example.net")
    assert not is_same_address("\u00c9lan@example.net", "\u00e9lan@example.net")
    assert is_same_address("IDA@example.net", "ida@example.net")


@pytest.mark.parametrize("typed", UNSEEN)
def test_an_address_with_characters_that_nobody_sees_is_none(typed: str) -> None:
    try:
        address = email_address(typed)
    except ValidationFailed:
        return

    assert is_visible(address)
    assert address != VERIFIED


@pytest.mark.parametrize("name", NAMES)
def test_a_name_with_characters_that_nobody_sees_is_refused(cast: Cast, name: str) -> None:
    """Of a person, an account and a key, by each form that takes one."""
    member, web = cast[MEMBER], cast.web
    before = web.do(web.services.profile.get, member.actor).name

    post(member, "/account/name", encoded(("form_token", member.form_token()), ("name", name)))
    key = encoded(("form_token", member.form_token()), ("name", name), ("scopes", "orders:read"))
    post(member, "/settings/keys/create", key)

    assert web.do(web.services.profile.get, member.actor).name == before
    assert {key.name for key in web.do(web.services.keys.list, member.actor)} == {"Master key"}
    if name.strip():
        with pytest.raises(ValidationFailed):
            account_name(name)


@pytest.mark.usefixtures("grace")
def test_without_the_verified_address_a_lookalike_would_get_the_link(
    opened: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = "GRACE.hopper@example.net"
    monkeypatch.setattr(sign_up, "address_of", lambda user, email: email)

    sign_up_form(opened, "/sign-up", email=typed)

    assert mail_to(opened, typed).subject == "You already have an account"


def test_without_the_check_a_name_would_be_taken(cast: Cast) -> None:
    member, web = cast[MEMBER], cast.web

    with switched_off(profile, "is_visible", lambda _: True):
        fields = encoded(("form_token", member.form_token()), ("name", "\u202eadA"))
        post(member, "/account/name", fields)

    assert "\u202e" in web.do(web.services.profile.get, member.actor).name
