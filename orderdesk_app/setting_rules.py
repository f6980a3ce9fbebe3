"""The rules for values of settings: hosts, addresses, keys, and secrets that were published
somewhere. Pure functions; each raises ValueError with the rule as its message.
"""

import base64
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from ipaddress import IPv6Address, ip_address
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, get_args
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email
from pydantic import Field, SecretStr
from pydantic.fields import FieldInfo


# reads as a declaration
def Setting(default: Any, words: str, *, example: str = "", shown: str = "", **limits: Any) -> Any:  # noqa: N802
    """One setting: its default, when to change it, an example for the error text and
    `.env.example`, and how documents write the default where its value is not what people type.
    """
    return Field(
        default=default,
        description=words,
        json_schema_extra={"example": example, "shown": shown},
        validate_default=True,
        **limits,
    )


_FOUR_WORDS = re.compile(r"(?:[a-z]{3,}[-_. ]){3}[a-z]{3,}|(?:[A-Z]{3,}[-_. ]){3}[A-Z]{3,}")
_LONG_WORDS = (
    "change",
    "secret",
    "example",
    "password",
    "production",
    "insecure",
    "develop",
    "default",
    "replace",
    "placeholder",
)
_SHORT_WORDS = frozenset(
    {"your", "dev", "key", "test", "demo", "admin", "master", "token", "sample", "here", "please"}
)
_HOST_NAME = re.compile(
    r"(?!.*\.[0-9]+$)(?![0-9]+$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
)

_HOST_AND_PORT = re.compile(
    r"(?P<name>[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?",
    re.ASCII | re.IGNORECASE,
)


DATA = Path("data")  # the folder of the default DATABASE_URL


class Host(NamedTuple):
    """A host and its port, as `read_host` found them."""

    name: str  # small letters, no dot at the end; an IP address in its short form, not in brackets
    port: int | None  # None where the text has no port


def read_host(text: str) -> Host:
    """The host in a Host header, in an Origin or in a setting. Raises ValueError for anything that
    is not exactly a name or an IP address, with a port or without one.

    A parser of URLs is too kind here: it takes `ours.example#.evil.example` for `ours.example`.
    """
    found = _HOST_AND_PORT.fullmatch(text)
    if found is None:
        raise ValueError("is not a host")
    name, port = found["name"].lower(), int(found["port"]) if found["port"] else None
    if port is not None and port > 65535:
        raise ValueError("has no such port")
    if name.startswith("["):
        return Host(str(IPv6Address(name[1:-1])), port)
    name = name.removesuffix(".")
    if not _is_host(name):
        raise ValueError("is not the name of a host")
    return Host(name, port)


def host_list(value: str) -> tuple[Host, ...]:
    """The hosts of a list with commas. Raises ValueError, which names the first faulty entry."""
    hosts: list[Host] = []
    for entry in value.split(",") if value.strip() else ():
        try:
            hosts.append(read_host(entry.strip()))
        except ValueError:
            raise ValueError(
                "must be names of hosts with commas between them, each with its port or without "
                f"one, and without http://, path or *. Not a host: {entry.strip()[:80]!r}"
            ) from None
    return tuple(hosts)


def allowed_hosts(value: str) -> str:
    """The list as it was typed, once every entry of it is known to be a host."""
    host_list(value)
    return value.strip()


def is_loopback(host: str) -> bool:
    """True for names and addresses that only this machine reaches."""
    if host.strip("[]").rstrip(".").lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def url_host(host: str) -> str:
    """A host as a URL writes it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def listen_address(value: str) -> str:
    """An address to listen on. `localhost` is 127.0.0.1, as browsers try both of its addresses."""
    plain = value.strip().strip("[]")
    if plain.lower() == "localhost":
        return "127.0.0.1"
    try:
        address = ip_address(plain)
    except ValueError:
        raise ValueError("must be an IP address of this machine, or localhost") from None
    if getattr(address, "scope_id", None):
        raise ValueError("must be an IP address without a zone")
    return str(address)


def web_address(value: str) -> str:
    """An http or https address of a host, without a user, a query or a slash at its end."""
    try:
        parts = urlsplit(value)
        port = parts.port  # raises for what is no port
    except ValueError as error:
        raise ValueError("must be an address such as https://orders.example.com") from error
    if (
        parts.scheme not in ("http", "https")
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
        or port == 0
    ):
        raise ValueError("must be an address such as https://orders.example.com")
    if not _is_host((parts.hostname or "").removesuffix(".")):
        raise ValueError(
            "must be an address such as https://orders.example.com, with its host as "
            "browsers send it (xn--… for letters beyond a to z)"
        )
    return value.rstrip("/")


def _is_host(name: str) -> bool:
    try:
        return not getattr(ip_address(name), "scope_id", None)
    except ValueError:
        return _HOST_NAME.fullmatch(name) is not None


def public_url(value: str) -> str:
    """The address as browsers write it in Origin: small letters, no port that the scheme implies,
    no dot at the end.
    """
    parts = urlsplit(web_address(value))
    if parts.path:
        raise ValueError("must be without a path: everything is served from the root of its host")
    implied = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{url_host((parts.hostname or '').removesuffix('.'))}" + (
        f":{parts.port}" if parts.port not in (None, implied) else ""
    )


def api_url(value: str) -> str:
    """An https address; http is for this machine alone."""
    parts = urlsplit(web_address(value))
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise ValueError("must begin with https:// (http:// is for this machine alone)")
    return value.rstrip("/")


def mail_host(value: str) -> str:
    """The name or the IP address of a mail server, without a port; empty for none."""
    name = value.strip().strip("[]").rstrip(".").lower()
    if name and not _is_host(name):
        raise ValueError("must be the name of the mail server, without smtp:// and without a port")
    return name


def email_address(value: str) -> str:
    """The address of a sender; empty for none. Nothing is asked of the network."""
    if not value.strip():
        return ""
    try:
        found = validate_email(value.strip()[:255], check_deliverability=False, strict=True)
    except (EmailNotValidError, UnicodeError):
        raise ValueError("must be an e-mail address, and nothing around it") from None
    return f"{found.local_part}@{found.ascii_domain}"


def proxy_count(value: object) -> object:
    """1 for "true", 0 for "false" and nothing; all else as it is, for the check of numbers."""
    if isinstance(value, str) and value.strip().lower() in ("true", "yes", "on"):
        return 1
    if isinstance(value, str) and value.strip().lower() in ("false", "no", "off", ""):
        return 0
    return value


def lower_case(value: object) -> object:
    """A word that may be typed in any case. What is no text stays, for the next check."""
    return value.lower() if isinstance(value, str) else value


def upper_case(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def capitalized(value: object) -> object:
    return value.capitalize() if isinstance(value, str) else value


def database_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    fault = missing_folder(url)
    if not url.startswith(("sqlite:///", "postgres://", "postgresql://")):
        fault = "must begin with sqlite:///, postgres:// or postgresql://"
    if fault and ("://" not in url or url.startswith("sqlite")):  # a file was meant
        fault += ". Example: DATABASE_URL=sqlite:///data/app.db"
    if fault:
        raise ValueError(fault)
    return value


def missing_folder(url: str) -> str:
    """What is wrong with the folder of an SQLite file; empty where it is there.

    Only the default `data/` is made: any other that is missing is a mistyped path or a volume that
    was not mounted, and a new database in it would look like lost data.
    """
    path = Path(url.removeprefix("sqlite:///").split("?")[0])
    if not url.startswith("sqlite:///") or path.parent == DATA or path.parent.is_dir():
        return ""
    return (
        f"the folder {path.parent.absolute()} does not exist. Make it, or mount it, or write "
        "another path"
    )


def kms_key(value: SecretStr) -> SecretStr:
    if value.get_secret_value():
        decode_key(value.get_secret_value())
    return value


def kms_keys(value: SecretStr) -> SecretStr:
    for text in value.get_secret_value().split(","):
        if text.strip():
            decode_key(text)
    return value


def admin_master_key(value: SecretStr) -> SecretStr:
    """The rule of every environment; production asks for more (config.py)."""
    text = value.get_secret_value()
    if not text:
        return value
    if is_words(text) or len(text) < 32:
        raise ValueError(
            "must be a secret of your own, 32 characters and more (64 URL-safe ones are best)"
        )
    if len(text) > 256 or not text.isascii() or any(c.isspace() for c in text):
        raise ValueError("must be 32 to 256 characters without spaces")
    return value


def signing_secret(value: SecretStr) -> SecretStr:
    """Empty, or long enough that nobody guesses it and signs for us."""
    if value.get_secret_value() and len(value.get_secret_value()) < 32:
        raise ValueError("must be 32 characters or more; leave it out to have one made")
    return value


_RULES = {  # our messages for operators; the library's are for programmers
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
}


def error_text(name: str, field: FieldInfo, line: Mapping[str, Any]) -> str:
    """A fault of one setting: its variable, the rule, and an example. `line` is pydantic's."""
    rule = _RULES.get(line["type"])
    words = (
        rule.format_map(line.get("ctx", {}))
        if rule
        else str(line["msg"]).removeprefix("Value error, ")
    )
    if "Example: " in words:  # the rule knows a better one
        return f"{name.upper()}: {words}"
    extra = field.json_schema_extra
    example = extra.get("example", "") if isinstance(extra, dict) else ""
    near = example_like(name, str(line.get("input", "")), get_args(field.annotation))
    return f"{name.upper()}: {words}. Example: {name.upper()}={near or example}"


def example_like(name: str, typed: str, choices: Sequence[object]) -> str:
    """An example near what was typed, which works in its place; "" where none is near.

    Of secrets nothing is repeated.
    """
    typed = typed.strip()
    if name in ("public_url", "orderdesk_api_url"):
        return _address_like(typed, public_url if name == "public_url" else api_url)
    texts = {choice.lower(): choice for choice in choices if isinstance(choice, str)}
    begun = [text for text in texts if typed and text.startswith(typed.lower())]
    near = begun or get_close_matches(typed.lower(), texts, 1, 0.5)
    return texts[near[0]] if near else ""


def _address_like(typed: str, rule: Callable[[str], str]) -> str:
    host, _, path = re.sub(r"^\w+://", "", typed).partition("/")
    for address in (f"https://{host}/{path}".rstrip("/"), f"https://{host}"):
        with suppress(ValueError):
            return rule(address)
    return ""


def decode_key(text: str) -> bytes:
    """The bytes of a base64 or base64url key, padded or not. Raises ValueError below 32 bytes."""
    try:
        key = _decode_base64(text.strip())
    except ValueError as error:
        raise ValueError("must be base64") from error
    if len(key) < 32:
        raise ValueError(f"must be at least 32 bytes, and decodes to {len(key)}")
    return key


def is_published(secret: str) -> bool:
    """Whether a secret is words or a pattern, as examples and development set-ups print them:
    plain, as base64 or as hex.

    A random key looks like this less than once in a million.
    """
    if is_words(secret) or _is_pattern(secret.encode()):
        return True
    for decode in (_decode_base64, bytes.fromhex):
        try:
            plain = decode(secret)
        except ValueError:
            continue
        if _is_pattern(plain) or (
            len(plain) >= 16 and plain.isascii() and plain.decode().isprintable()
        ):
            return True
    return False


def is_words(secret: str) -> bool:
    """Whether a secret is made of words, as published ones are ("dev-key-change-in-production")."""
    return bool(_FOUR_WORDS.search(secret)) or _has_telling_words(secret)


def _decode_base64(text: str) -> bytes:
    return base64.b64decode(
        text.replace("-", "+").replace("_", "/").rstrip("=") + "=" * (-len(text.rstrip("=")) % 4),
        validate=True,
    )


def _has_telling_words(secret: str) -> bool:
    """Whether it has two of the words of published secrets, or a long one as a part of its own."""
    folded = secret.casefold()
    alone = [
        word
        for word in re.split(r"[-_. ]", folded)
        if word.startswith(_LONG_WORDS) or word in _SHORT_WORDS
    ]
    return (
        any(word.startswith(_LONG_WORDS) for word in alone)
        or len(alone) > 1
        or sum(folded.count(word) for word in _LONG_WORDS) > 1
    )


def _is_pattern(data: bytes) -> bool:
    """Whether it has few different bytes, repeats one part, or goes in even steps (0, 1, 2 … or the
    alphabet).
    """
    if len(set(data)) < 8:
        return True
    if any(data[length:] == data[:-length] for length in range(1, len(data) // 2 + 1)):
        return True
    steps = Counter((after - before) % 256 for before, after in pairwise(data))
    return steps.most_common(1)[0][1] * 2 > len(data)
