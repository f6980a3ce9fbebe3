"""Whether a start would take the settings."""

import re

from orderdesk_app.cli.doctor.findings import Finding, Subject, note, ok, wrong
from orderdesk_app.cli.unused_settings import sentences_of_unused_settings
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.settings_reader import load_settings

_NAME = re.compile(r"([A-Z][A-Z0-9_]*): ")


def faults() -> list[str]:
    """Every fault of the settings, one line each, as the start says it."""
    try:
        load_settings()
    except ConfigurationError as error:
        return str(error).splitlines()
    return []


def names_in(faults: list[str]) -> frozenset[str]:
    """The settings that the faults name."""
    return frozenset(found[1] for fault in faults if (found := _NAME.match(fault)))


def findings(faults: list[str]) -> list[Finding]:
    found = [wrong(Subject.CONFIGURATION, fault) for fault in faults]
    try:
        found += [note(Subject.CONFIGURATION, words) for words in sentences_of_unused_settings()]
    except ConfigurationError:
        assert found, "a .env that cannot be read is one of the faults"
    return found or [ok(Subject.CONFIGURATION, "a start takes every setting")]
