"""What a check found: one line, on one subject."""

from dataclasses import dataclass
from enum import StrEnum

from orderdesk_app.mail.message import one_line

_MOST_WORDS = 600


class Outcome(StrEnum):
    """A note is worth knowing, and no fault."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"
    SKIPPED = "skipped"


class Subject(StrEnum):
    """What is looked at, in the order of the report."""

    CONFIGURATION = "configuration"
    DATABASE = "database"
    MIGRATIONS = "migrations"
    KEYRING = "keyring"
    MAIL = "mail"
    CLOCK = "clock"
    UPSTREAM = "upstream"
    DISK = "disk"
    FILES = "files"


@dataclass(frozen=True, slots=True)
class Finding:
    """`words` are one line: what is wrong and what to do, or what is fine."""

    subject: Subject
    outcome: Outcome
    words: str

    def as_json(self) -> dict[str, str]:
        return {
            "check": self.subject.value,
            "outcome": self.outcome.value,
            "message": self.words,
        }


def ok(subject: Subject, words: str) -> Finding:
    return Finding(subject, Outcome.OK, one_line(words, _MOST_WORDS))


def note(subject: Subject, words: str) -> Finding:
    return Finding(subject, Outcome.NOTE, one_line(words, _MOST_WORDS))


def wrong(subject: Subject, words: str) -> Finding:
    return Finding(subject, Outcome.WRONG, one_line(words, _MOST_WORDS))


def skipped(subject: Subject, because: str) -> Finding:
    return Finding(subject, Outcome.SKIPPED, f"not looked at: {because}")
