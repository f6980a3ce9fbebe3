"""Every setting, once: its name, default, rule, and the sentence that says when to change it."""

import base64
import re
from collections import Counter
from collections.abc import Mapping
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from orderdesk_app.errors import ConfigurationError

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
ORDER_DESK_API = "https://app.orderdesk.me/api/v2"


def is_loopback(host: str) -> bool:
    """True for names and addresses that only this machine reaches."""
    if host.strip("[]").rstrip(".").lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def in_address(host: str) -> str:
    """A host as it stands in an address: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def _host(value: str) -> str:
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


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        port = parts.port  # raises for a port that is none
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


def _public_url(value: str) -> str:
    """As browsers write it in Origin: small letters, no port that the scheme implies, no dot at the
    end.
    """
    parts = urlsplit(_url(value))
    if parts.path:
        raise ValueError("must be without a path: everything is served from the root of its host")
    implied = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{in_address((parts.hostname or '').removesuffix('.'))}" + (
        f":{parts.port}" if parts.port not in (None, implied) else ""
    )


def _api_url(value: str) -> str:
    parts = urlsplit(_url(value))
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise ValueError("must begin with https:// (http:// is for this machine alone)")
    return value.rstrip("/")


def _proxies(value: Any) -> Any:
    if isinstance(value, str) and value.strip().lower() in ("true", "yes", "on"):
        return 1
    if isinstance(value, str) and value.strip().lower() in ("false", "no", "off", ""):
        return 0
    return value


def decode_key(text: str) -> bytes:
    """The bytes of a base64 or base64url key, padded or not. Raises ValueError below 32 bytes."""
    try:
        key = _base64(text.strip())
    except ValueError as error:
        raise ValueError("must be base64") from error
    if len(key) < 32:
        raise ValueError(f"must be at least 32 bytes, and decodes to {len(key)}")
    return key


def is_published(secret: str) -> bool:
    """Whether this is words or a pattern instead of chance: what examples and development set-ups
    print, plain, as base64 or as hex.

    Chance makes such a text less than once in a million keys.
    """
    if is_words(secret) or _is_pattern(secret.encode()):
        return True
    for decode in (_base64, bytes.fromhex):
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
    """Whether a secret speaks, as those do that are printed for everybody
    ("dev-key-change-in-production").
    """
    return bool(_FOUR_WORDS.search(secret)) or _says(secret)


def _base64(text: str) -> bytes:
    return base64.b64decode(
        text.replace("-", "+").replace("_", "/").rstrip("=") + "=" * (-len(text.rstrip("=")) % 4),
        validate=True,
    )


def _says(secret: str) -> bool:
    """Two telling words, or a long one that stands alone."""
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
    """Few different bytes, one part again and again, or mostly even steps (0, 1, 2 … or the
    alphabet).
    """
    if len(set(data)) < 8:
        return True
    if any(data[length:] == data[:-length] for length in range(1, len(data) // 2 + 1)):
        return True
    steps = Counter((after - before) % 256 for before, after in pairwise(data))
    return steps.most_common(1)[0][1] * 2 > len(data)


def _kms_key(value: SecretStr) -> SecretStr:
    if value.get_secret_value():
        decode_key(value.get_secret_value())
    return value


Host = Annotated[str, AfterValidator(_host)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
ApiUrl = Annotated[str, AfterValidator(_api_url)]


# reads as a declaration
def Setting(default: Any, words: str, *, example: str = "", shown: str = "", **rules: Any) -> Any:  # noqa: N802
    """One setting: its default, when to change it, an example for the error text and
    `.env.example`, and how documents write the default where its value is not what people type.
    """
    return Field(
        default=default,
        description=words,
        json_schema_extra={"example": example, "shown": shown},
        validate_default=True,
        **rules,
    )


class _AsItStands(DotEnvSettingsSource):
    """A `.env` file without ${…} replaced in it: passwords may hold such signs."""

    def _read_env_file(self, file_path: Path) -> Mapping[str, str | None]:
        read = dotenv_values(file_path, encoding="utf-8-sig", interpolate=False)
        return {name.lower(): value for name, value in read.items() if value}


class Settings(BaseSettings):
    """Read once by wiring from the environment and `.env`; nothing else reads the environment."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        case_sensitive=False,
        hide_input_in_errors=True,
        frozen=True,
        env_ignore_empty=True,
    )

    app_env: Literal["development", "production"] = Setting(
        "development",
        "`production` on any machine that others can reach: development prints a sign-in link.",
        example="production",
    )
    host: Host = Setting(
        "127.0.0.1", "The address to listen on; `0.0.0.0` in a container.", example="127.0.0.1"
    )
    port: int = Setting(
        8080, "The one port that serves everything.", example="8080", ge=1, le=65535
    )
    public_url: PublicUrl = Setting(
        "http://localhost:8080",
        (
            "(follows PORT when unset) The address that people and clients use, as they type "
            "it. Host and Origin are checked against it."
        ),
        example="http://localhost:8080",
    )
    database_url: SecretStr = Setting(
        SecretStr("sqlite:///data/app.db"),
        (
            "Postgres (`postgresql://user:pass@host/db?sslmode=require`) as soon as there is "
            "more than one process or host."
        ),
        example="postgresql://user:password@db.example.com/orderdesk?sslmode=require",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Setting(
        "INFO", "`DEBUG` while looking for a fault.", example="INFO"
    )
    trust_proxy: Annotated[int, BeforeValidator(_proxies)] = Setting(
        0,
        (
            "`true` behind exactly one reverse proxy (the last address of X-Forwarded-For is "
            "the caller's); a number behind so many."
        ),
        example="true",
        shown="false",
        ge=0,
        le=10,
    )
    workers: int = Setting(
        1,
        (
            "More processes for more load; more than 1 needs Postgres and "
            "`ENABLE_WEBUI=false` in this release, and each keeps its own limits."
        ),
        example="1",
        ge=1,
        le=64,
    )
    mcp_kms_key: Annotated[SecretStr, AfterValidator(_kms_key)] = Setting(
        SecretStr(""),
        (
            "The key that wraps all others: base64, at least 32 bytes decoded. Made in "
            "`data/` in development; required in production."
        ),
        example="<output of: openssl rand -base64 32>",
    )

    admin_master_key: SecretStr = Setting(
        SecretStr(""),
        (
            "Master key of the first admin account, used by the first start alone: 64 "
            "URL-safe characters."
        ),
        example="<64 characters>",
    )
    orderdesk_mcp_key: SecretStr = Setting(
        SecretStr(""),
        "The key with which `orderdesk stdio` signs in.",
        example="<a master or access key>",
    )
    allow_query_token: bool = Setting(
        True,
        (
            "`false` refuses master keys in `?token=` of `/mcp`; do so when every client can "
            "send a header."
        ),
        example="false",
    )
    enable_webui: bool = Setting(
        True, "`false` serves only `/mcp`, health and metrics.", example="true"
    )
    jwt_secret_key: SecretStr = Setting(
        SecretStr(""),
        "Signs session cookies; derived from the keyring when empty.",
        example="<output of: openssl rand -base64 48>",
    )
    csrf_secret_key: SecretStr = Setting(
        SecretStr(""),
        "Signs form tokens; derived from the keyring when empty.",
        example="<output of: openssl rand -base64 48>",
    )
    session_timeout: int = Setting(
        86400,
        "Seconds until a session ends, whatever happens; an idle one ends after a quarter of it.",
        example="86400",
        ge=60,
        le=31_536_000,
    )
    session_cookie_secure: bool | None = Setting(
        None,
        "Whether the cookie needs HTTPS; by default true when PUBLIC_URL is https.",
        example="true",
    )
    session_cookie_samesite: Literal["Lax", "Strict"] = Setting(
        "Lax", "`Strict` when nobody arrives by a link from another site.", example="Lax"
    )
    rate_limit_rpm: int = Setting(
        120,
        (
            "Tool calls a minute for each tenant (a burst of twice that; a read counts 1, a "
            "write 2), kept by each worker for itself."
        ),
        example="120",
        ge=1,
        le=1_000_000,
    )
    webui_rate_limit_login: int = Setting(
        5,
        "Sign-in tries a minute for each address, kept by each worker for itself.",
        example="5",
        ge=1,
        le=10_000,
    )
    webui_rate_limit_api_console: int = Setting(
        30, "Console calls a minute for each person.", example="30", ge=1, le=100_000
    )

    cache_backend: Literal["memory", "sqlite"] = Setting(
        "memory", "`sqlite` keeps answers over a restart, sealed.", example="memory"
    )
    cache_ttl_orders: int = Setting(
        15,
        "Seconds that orders may come from the cache; 0 turns it off.",
        example="15",
        ge=0,
        le=86_400,
    )
    cache_ttl_products: int = Setting(
        60, "Seconds that products may come from the cache.", example="60", ge=0, le=86_400
    )
    cache_ttl_store_settings: int = Setting(
        300,
        "Seconds that a store's folders and settings may come from the cache.",
        example="300",
        ge=0,
        le=86_400,
    )

    orderdesk_api_url: ApiUrl = Setting(
        ORDER_DESK_API, "Another Order Desk, for tests.", example=ORDER_DESK_API
    )
    http_timeout: float = Setting(
        30.0,
        "Seconds for one answer of Order Desk, and for waiting in line before it.",
        example="30",
        gt=0,
        le=600,
    )
    http_max_retries: int = Setting(
        3, "How often a harmless request is repeated.", example="3", ge=0, le=10
    )
    mutation_max_retries: int = Setting(
        5,
        (
            "How often fetch, merge, write is repeated when the answer differs from what was "
            "meant or a write was provably not done."
        ),
        example="5",
        ge=0,
        le=20,
    )

    enable_metrics: bool = Setting(True, "`false` hides `/metrics`.", example="true")
    metrics_token: SecretStr = Setting(
        SecretStr(""),
        "Bearer token of `/metrics`; without it production answers 404 there.",
        example="<output of: openssl rand -hex 32>",
    )
    enable_detailed_health: bool = Setting(
        True, "`false` hides `/health/detailed` from admins too.", example="true"
    )
    enable_audit_log: bool = Setting(
        True, "`false` keeps no record of calls. The journal of writes stays.", example="true"
    )

    orderdesk_test_enabled: bool = Setting(
        False, "`true` lets the opt-in tests talk to a real store.", example="false"
    )
    orderdesk_test_store_id: str = Setting("", "The store of those tests.", example="12345")
    orderdesk_test_api_key: SecretStr = Setting(SecretStr(""), "Its key.", example="<key>")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert isinstance(dotenv_settings, DotEnvSettingsSource), "the library's own"
        return init_settings, env_settings, _AsItStands(settings_cls, dotenv_settings.env_file)

    @model_validator(mode="before")
    @classmethod
    def _public_url_follows_port(cls, given: Any) -> Any:
        if (
            isinstance(given, dict)
            and (port := str(given.get("port", "")).strip()).isdecimal()
            and 0 < int(port) < 65536
            and not given.get("public_url")
        ):
            return {**given, "public_url": f"http://localhost:{int(port)}"}
        return given

    @field_validator("log_level", "app_env", mode="before")
    @classmethod
    def _any_case(cls, value: Any, info: Any) -> Any:
        if not isinstance(value, str):
            return value
        return value.upper() if info.field_name == "log_level" else value.lower()

    @field_validator("session_cookie_samesite", mode="before")
    @classmethod
    def _capital(cls, value: Any) -> Any:
        return value.capitalize() if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("sqlite:///", "postgres://", "postgresql://")):
            raise ValueError("must begin with sqlite:///, postgres:// or postgresql://")
        return value

    @field_validator("admin_master_key")
    @classmethod
    def _admin_key(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if not text:
            return value
        if is_words(text) or len(text) < 32:  # for production _production_floor asks for more
            raise ValueError(
                "must be a secret of your own, 32 characters and more (64 URL-safe ones are best)"
            )
        if len(text) > 256 or not text.isascii() or any(c.isspace() for c in text):
            raise ValueError("must be 32 to 256 characters without spaces")
        return value

    @model_validator(mode="after")
    def _production_floor(self) -> Self:
        public = urlsplit(self.public_url)
        local = is_loopback(public.hostname or "")
        if self.app_env == "development":
            if not is_loopback(self.host):
                raise ValueError(
                    "HOST: development listens on this machine alone. Set "
                    "APP_ENV=production, or HOST=127.0.0.1"
                )
            if not local:
                raise ValueError(
                    "PUBLIC_URL: development is for this machine alone. Set "
                    "APP_ENV=production, or PUBLIC_URL=http://localhost:8080"
                )
            return self
        if not self.mcp_kms_key.get_secret_value():
            raise ValueError(
                "MCP_KMS_KEY: production needs a key of its own. Example: "
                "MCP_KMS_KEY=$(openssl rand -base64 32)"
            )
        key = self.mcp_kms_key.get_secret_value()
        if is_published(key.strip()):
            raise ValueError(
                "MCP_KMS_KEY: this is a published or development key. Example: "
                "MCP_KMS_KEY=$(openssl rand -base64 32)"
            )
        if self.admin_master_key.get_secret_value() and is_published(
            self.admin_master_key.get_secret_value()
        ):
            raise ValueError(
                "ADMIN_MASTER_KEY: this is a published or development key. Leave it out, "
                "or use 64 random URL-safe characters"
            )
        for name in ("jwt_secret_key", "csrf_secret_key", "metrics_token"):
            text = getattr(self, name).get_secret_value()
            if text and (len(text) < 32 or is_published(text)):
                raise ValueError(
                    f"{name.upper()}: this is a development secret. Leave it empty, or "
                    "use 32 random characters and more"
                )
        if not self.cookie_secure and not local:
            raise ValueError(
                "SESSION_COOKIE_SECURE: production needs secure cookies. Set PUBLIC_URL "
                "to the https:// address, or SESSION_COOKIE_SECURE=true"
            )
        return self

    @model_validator(mode="after")
    def _workers_share(self) -> Self:
        if self.workers > 1 and self.database_url.get_secret_value().startswith("sqlite"):
            raise ValueError(
                "WORKERS: more than one needs Postgres. Set DATABASE_URL=postgresql://…, "
                "or WORKERS=1"
            )
        if self.workers > 1 and self.enable_webui:
            raise ValueError("WORKERS: more than one needs ENABLE_WEBUI=false in this release")
        return self

    @property
    def is_production(self) -> bool:
        return self.app_env == "production"

    @property
    def cookie_secure(self) -> bool:
        if self.session_cookie_secure is not None:
            return self.session_cookie_secure
        return self.public_url.startswith("https://")

    @property
    def data_dir(self) -> Path:
        """Where keys and embedded engines keep their files: beside the SQLite file, else
        `data/`.
        """
        url = self.database_url.get_secret_value()
        if url.startswith("sqlite:///"):
            path = url.removeprefix("sqlite:///").split("?")[0]
            return Path(path).parent if path not in ("", ":memory:") else Path("data")
        return Path("data")


# What a command that listens on nothing has no use for; it must not be stopped by it either.
UNHEARD: Mapping[str, Any] = {
    "host": "127.0.0.1",
    "port": 8080,
    "public_url": "http://localhost:8080",
    "workers": 1,
}


def load_settings(
    environment: Mapping[str, str] | None = None,
    env_file: Path | None = Path(".env"),
    *,
    instead: Mapping[str, Any] = MappingProxyType({}),
) -> Settings:
    """Settings from the environment and `.env`; `instead` wins over both.

    Raises ConfigurationError naming variable, rule and example.
    """
    try:
        if environment is None:
            return Settings(_env_file=env_file, **instead)
        return Settings.model_validate(
            {
                k.lower(): v
                for k, v in environment.items()
                if k.lower() in Settings.model_fields and v != ""
            }
            | dict(instead)
        )
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"The file {env_file} is not UTF-8. Save it again as UTF-8."
        ) from None
    except ValidationError as error:
        raise ConfigurationError(
            "\n".join(
                _sentence(line) for line in error.errors(include_url=False, include_input=False)
            )
        ) from None


_RULES = {  # in our words; the library's speak to programmers
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
}


def _sentence(line: Any) -> str:
    rule = _RULES.get(line["type"])
    words = (
        rule.format_map(line.get("ctx", {}))
        if rule
        else str(line["msg"]).removeprefix("Value error, ")
    )
    if not line["loc"]:
        return words  # a rule over several settings names them itself
    name = str(line["loc"][0])
    extra = Settings.model_fields[name].json_schema_extra
    example = extra.get("example", "") if isinstance(extra, dict) else ""
    return f"{name.upper()}: {words}. Example: {name.upper()}={example}"
