"""What each mail says: one class a kind, with what it needs to know. Text and HTML are both drawn
from the same Letter (templates.py), so that they say the same.

What people typed (names of people, accounts and apps, devices) is shortened, stays on one line, and
makes no link: an invitation must not carry a stranger's advertisement.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from urllib.parse import urlencode

from orderdesk_app.context import Role, Secret
from orderdesk_app.mail.message import one_line

_MOST_NAME = 60
_POINT_IN_A_NAME = re.compile(r"(?<=\w)\.(?=[^\W\d_])")


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail before it is drawn. `path` is where its button leads, on our own address."""

    subject: str
    paragraphs: tuple[str, ...]
    button: str = ""
    path: str = ""
    closing: tuple[str, ...] = ()


class Content(Protocol):
    """A kind of mail with its values."""

    def letter(self) -> Letter: ...


def typed(text: str) -> str:
    """A text that somebody typed, as a mail quotes it."""
    line = one_line(text.replace("//", "/ /"), _MOST_NAME)
    return _POINT_IN_A_NAME.sub(". ", line) or "—"  # mail programs make a link of example.com


def moment(at: datetime) -> str:
    return f"{at:%d %B %Y, %H:%M} UTC".lstrip("0")


def minutes(seconds: float) -> str:
    """How long a link works: "15 minutes", "2 hours", "7 days"."""
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * size or (size == 60):
            count = max(1, round(seconds / size))
            return f"{count} {unit}{'' if count == 1 else 's'}"
    raise ValueError(seconds)


def _link(path: str, token: Secret) -> str:
    return f"{path}?{urlencode({'token': token.reveal()})}"


_NOT_ASKED = "If you did not ask for this, do nothing: without this link nothing happens."


@dataclass(frozen=True, slots=True)
class Verify:
    """To somebody who signs up: the link proves that the address is theirs."""

    token: Secret
    works_for: float  # seconds
    path: str = "/verify"

    def letter(self) -> Letter:
        return Letter(
            "Confirm your e-mail address",
            ("You asked for an account at Order Desk agents. Confirm that this address is yours.",),
            "Confirm my address",
            _link(self.path, self.token),
            (f"The link works once, for {minutes(self.works_for)}.", _NOT_ASKED),
        )


@dataclass(frozen=True, slots=True)
class AlreadyRegistered:
    """To an address that has an account, when somebody signs up with it."""

    token: Secret
    works_for: float
    path: str = "/sign-in/link"

    def letter(self) -> Letter:
        return Letter(
            "You already have an account",
            (
                "Somebody asked for an account at Order Desk agents with this address. You have "
                "one already: sign in with this link.",
            ),
            "Sign in",
            _link(self.path, self.token),
            (f"The link works once, for {minutes(self.works_for)}.", _NOT_ASKED),
        )


@dataclass(frozen=True, slots=True)
class Welcome:
    """To the owner of a new account. It never has the key."""

    account: str

    def letter(self) -> Letter:
        return Letter(
            "Your account is ready",
            (
                f"Your account “{typed(self.account)}” at Order Desk agents is ready.",
                "Connect a store, and give an assistant a key of its own. Your master key was "
                "shown once and is not in this mail: nobody can read it again, us included.",
            ),
            "Open Order Desk agents",
            "/",
        )


@dataclass(frozen=True, slots=True)
class SignInLink:
    """To somebody who asked for a link to sign in."""

    token: Secret
    works_for: float
    path: str = "/sign-in/link"

    def letter(self) -> Letter:
        return Letter(
            "Your sign-in link",
            ("Sign in to Order Desk agents with this link.",),
            "Sign in",
            _link(self.path, self.token),
            (
                f"The link works once, for {minutes(self.works_for)}. Give it to nobody: whoever "
                "opens it is signed in as you.",
                _NOT_ASKED,
            ),
        )


@dataclass(frozen=True, slots=True)
class ConfirmLink:
    """To somebody who is signed in and asked to confirm who they are by mail."""

    token: Secret
    works_for: float
    path: str = "/confirm/link"

    def letter(self) -> Letter:
        return Letter(
            "Confirm that it is you",
            (
                "You are about to make a key or to delete something in Order Desk agents. Confirm "
                "with this link that it is you.",
            ),
            "Confirm that it is me",
            _link(self.path, self.token),
            (
                f"The link works once, for {minutes(self.works_for)}, and only in the browser in "
                "which you asked for it.",
                "If you did not ask for this, somebody may be using a browser in which you are "
                "signed in: end your other sessions under Your account.",
            ),
        )


@dataclass(frozen=True, slots=True)
class Invitation:
    """To a colleague. `inviter` and `account` are names that people typed."""

    inviter: str
    account: str
    role: Role
    token: Secret
    works_for: float
    path: str = "/invitation"

    def letter(self) -> Letter:
        inviter, account = typed(self.inviter), typed(self.account)
        return Letter(
            f"{inviter} invites you to {account}",
            (
                f"“{inviter}” invites you to the account “{account}” at Order Desk agents, as "
                f"{self.role.with_article}. There, AI assistants and people work on Order Desk "
                "orders.",
            ),
            "See the invitation",
            _link(self.path, self.token),
            (
                f"The invitation is for this address alone. It works once, for "
                f"{minutes(self.works_for)}.",
                "If you do not know who this is, do nothing.",
            ),
        )


@dataclass(frozen=True, slots=True)
class NewDevice:
    """To somebody who signed in on a device that was not seen before."""

    device: str
    address: str  # of the network
    at: datetime

    def letter(self) -> Letter:
        return Letter(
            "New sign-in to your account",
            (
                "Somebody signed in to your account at Order Desk agents on a device that we have "
                "not seen before.",
                f"When: {moment(self.at)}",
                f"Device: {typed(self.device)}",
                f"Network address: {typed(self.address)}",
            ),
            "See my sessions",
            "/account",
            (
                "If this was you, there is nothing to do. If not, end that session under Your "
                "account, and let an owner make a new master key under Settings.",
            ),
        )


@dataclass(frozen=True, slots=True)
class KeyRotated:
    """To the owners of an account whose master key was replaced. It never has the key."""

    account: str
    by: str
    at: datetime
    works_until: datetime | None = None  # the old one, for assistants that have it

    def letter(self) -> Letter:
        old = "The old one does not work any more."
        if self.works_until is not None:
            old = (
                "The old one signs in no more. Assistants that have it can work with it until "
                f"{moment(self.works_until)}."
            )
        return Letter(
            "Your master key was replaced",
            (
                f"The master key of your account “{typed(self.account)}” was replaced. {old}",
                f"By: {typed(self.by)}",
                f"When: {moment(self.at)}",
            ),
            "Open the settings",
            "/settings",
            ("If nobody of your account did this, make a new master key now.",),
        )


@dataclass(frozen=True, slots=True)
class AppConnected:
    """To somebody whose account an app may use from now on."""

    app: str
    account: str
    may: tuple[str, ...]  # permissions, in words
    at: datetime

    def letter(self) -> Letter:
        return Letter(
            "An app was connected to your account",
            (
                f"The app “{typed(self.app)}” may use your account “{typed(self.account)}” from "
                "now on.",
                f"When: {moment(self.at)}",
                f"It may: {', '.join(self.may)}",
            ),
            "See the connected apps",
            "/apps",
            ("If this was not you, disconnect it there.",),
        )


@dataclass(frozen=True, slots=True)
class Trial:
    """What `orderdesk mail-test` sends."""

    def letter(self) -> Letter:
        return Letter(
            "A test mail",
            ("Mail from Order Desk agents arrives. There is nothing to do.",),
            "Open Order Desk agents",
            "/",
        )
