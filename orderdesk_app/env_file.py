"""The `.env` file: read strictly, and which of its names do nothing."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from dotenv.parser import Binding, parse_stream
from pydantic_settings import DotEnvSettingsSource

from orderdesk_app.errors import ConfigurationError

# Settings of the older system that do nothing in this release. Each leaves the list when it works.
NOT_YET = frozenset(
    {
        "REDIS_URL",
        "CACHE_TTL_CUSTOMERS",
    }
)


# Libraries read these by themselves, and only there.
_OF_THE_PROCESS = frozenset(
    {
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "PGOPTIONS",
        "PGSSLROOTCERT",
    }
)


def read_env_file(path: Path) -> dict[str, str]:
    """The names (in capitals) and values of a `.env` file; ${…} is not replaced, as passwords may
    contain such signs. A file that is missing has none.

    Raises ConfigurationError for a file that is not UTF-8, and naming each line that has no
    `NAME=value`: what it says is never repeated, as it may be a secret.
    """
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig") as stream:
            bindings = list(parse_stream(stream))
    except UnicodeDecodeError:
        raise ConfigurationError(f"The file {path} is not UTF-8. Save it again as UTF-8.") from None
    faults = [
        str(_line_of(binding))
        for binding in bindings
        if binding.error or (binding.key is not None and binding.value is None)
    ]
    if faults:
        lines = f"line {faults[0]}" if len(faults) == 1 else f"lines {', '.join(faults)}"
        raise ConfigurationError(
            f"The file {path} cannot be read at {lines}. Write NAME=value, one a line, with quotes "
            "around a value that has spaces or #, and # before a remark."
        )
    return {
        binding.key.upper(): binding.value
        for binding in bindings
        if binding.key is not None and binding.value
    }


class StrictDotEnv(DotEnvSettingsSource):
    """A `.env` file that is read by our rules."""

    def _read_env_file(self, file_path: Path) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in read_env_file(file_path).items()}


def _line_of(binding: Binding) -> int:
    """Its line; the parser counts from the empty lines before it."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def unused_names(
    environment: Iterable[str], in_file: Iterable[str], known: Iterable[str]
) -> list[str]:
    """One sentence for each name that does nothing: of the older system's settings wherever they
    are, of unknown names those of the file alone, as the process environment is everybody's.
    """
    known = [name.upper() for name in known]
    given = {name.upper() for name in environment}
    names = sorted({*given & NOT_YET, *(name.upper() for name in in_file)} - {*known})
    return [_sentence(name, known) for name in names]


def _sentence(name: str, known: list[str]) -> str:
    if name in NOT_YET:
        return f"{name} does nothing in this release."
    if name in _OF_THE_PROCESS:
        return f"{name} in .env does nothing: set it in the environment of the process."
    shown = name[:60].encode("unicode_escape").decode()
    near = get_close_matches(name, [*known, *NOT_YET], 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"{shown} in .env is no setting.{hint}"
