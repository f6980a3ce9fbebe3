"""Reads the settings from the environment and `.env`, with one sentence for each fault."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from pydantic import ValidationError, model_validator

from orderdesk_app import setting_rules as rules
from orderdesk_app.config import Settings
from orderdesk_app.env_file import read_env_file, unused_names
from orderdesk_app.errors import ConfigurationError

# Settings of what listens on a port. `orderdesk stdio` does not, so a wrong one must not stop it.
UNUSED_BY_STDIO: Mapping[str, Any] = {
    "host": "127.0.0.1",
    "port": 8080,
    "public_url": "http://localhost:8080",
    "allowed_hosts": "",
    "workers": 1,
}


def load_settings(
    environment: Mapping[str, str] | None = None,
    env_file: Path | None = Path(".env"),
    *,
    instead: Mapping[str, Any] = MappingProxyType({}),
) -> Settings:
    """Settings from the environment and `.env`; `instead` wins over both.

    Raises ConfigurationError with one line for each fault: variable, rule and example.
    """
    faults: list[str] = []
    wrong: dict[str, Any] = {}
    for _ in range(2):  # the second time without the wrong values: what else is wrong with it
        try:
            settings = _read(environment, env_file, {**instead, **wrong})
        except ValidationError as error:
            for line in error.errors(include_url=False):
                name = str(line["loc"][0]) if line["loc"] else ""
                faults += [
                    text
                    for text in _error_text(line).splitlines()
                    if not text.startswith(tuple(f"{known.upper()}:" for known in wrong))
                ]
                if name:
                    wrong[name] = Settings.model_fields[name].default
        else:
            if not faults:
                return settings
            break
    raise ConfigurationError("\n".join(dict.fromkeys(faults)))


class _EachAlone(Settings):
    """The settings without the rules of what they must be together."""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        return self


def settings_as_given(
    environment: Mapping[str, str] | None = None, env_file: Path | None = Path(".env")
) -> Settings:
    """The settings of a start that would be refused, for `orderdesk doctor` alone: a value that is
    wrong by itself is its default, and a faulty `.env` is not read.
    """
    if environment is None and env_file is not None:
        try:
            read_env_file(env_file)
        except ConfigurationError:
            env_file = None
    try:
        return _read(environment, env_file, {}, of=_EachAlone)
    except ValidationError as error:
        wrong = {str(line["loc"][0]) for line in error.errors(include_url=False) if line["loc"]}
    defaults = {name: Settings.model_fields[name].default for name in wrong}
    return _read(environment, env_file, defaults, of=_EachAlone)


def _read(
    environment: Mapping[str, str] | None,
    env_file: Path | None,
    instead: Mapping[str, Any],
    *,
    of: type[Settings] = Settings,
) -> Settings:
    if environment is None:
        if env_file is not None:
            read_env_file(env_file)  # first: the library has its own words for a faulty file
        return of(_env_file=env_file, **instead)
    given = {
        name.lower(): value
        for name, value in environment.items()
        if name.lower() in Settings.model_fields and value != ""
    }
    return of.model_validate({**given, **instead})


def unused_settings(environment: Mapping[str, str], env_file: Path = Path(".env")) -> list[str]:
    """One sentence for each name in the environment and in `.env` that does nothing. An empty
    value is none.
    """
    given = [name for name, value in environment.items() if value]
    return unused_names(given, read_env_file(env_file), Settings.model_fields)


def _error_text(line: Any) -> str:
    if not line["loc"]:
        # rules over several settings name them themselves, one a line
        return str(line["msg"]).removeprefix("Value error, ")
    name = str(line["loc"][0])
    return rules.error_text(name, Settings.model_fields[name], line)
