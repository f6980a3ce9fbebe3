"""Every setting, once: its name, default, rule, and the sentence that says when to change it."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    SecretStr,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from orderdesk_app import setting_combinations as combinations
from orderdesk_app import setting_rules as rules
from orderdesk_app.env_file import StrictDotEnv
from orderdesk_app.setting_rules import Setting, is_loopback

ORDER_DESK_API = "https://app.orderdesk.me/api/v2"


_DAYS: dict[str, Any] = {"example": "90", "ge": 0, "le": 36_500}


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

    app_env: Annotated[Literal["development", "production"], BeforeValidator(rules.lower_case)] = (
        Setting(
            "development",
            "`production` on any machine that others can reach: development prints a sign-in link.",
            example="production",
        )
    )
    host: Annotated[str, AfterValidator(rules.listen_address)] = Setting(
        "127.0.0.1", "The address to listen on; `0.0.0.0` in a container.", example="127.0.0.1"
    )
    port: int = Setting(
        8080, "The one port that serves everything.", example="8080", ge=1, le=65535
    )
    public_url: Annotated[str, AfterValidator(rules.public_url)] = Setting(
        "http://localhost:8080",
        (
            "(follows PORT when unset) The address that people and clients use, as they type "
            "it. Host and Origin are checked against it."
        ),
        example="http://localhost:8080",
    )
    allowed_hosts: Annotated[str, AfterValidator(rules.allowed_hosts)] = Setting(
        "",
        (
            "Further names by which programs reach `/mcp`, health and metrics, with commas; a name "
            "without a port stands for every port. The web app stays at PUBLIC_URL."
        ),
        example="host.docker.internal,orders.example.net:8443",
    )
    database_url: Annotated[SecretStr, AfterValidator(rules.database_url)] = Setting(
        SecretStr("sqlite:///data/app.db"),
        (
            "Postgres (`postgresql://user:pass@host/db?sslmode=require`) as soon as there is "
            "more than one process or host."
        ),
        example="postgresql://user:password@db.example.com/orderdesk?sslmode=require",
    )
    database_pool_size: int = Setting(
        10,
        (
            "Connections to Postgres that each worker keeps. All workers of all hosts together, "
            "with DATABASE_POOL_OVERFLOW and 1 more each, must stay below Postgres' "
            "max_connections."
        ),
        example="10",
        ge=1,
        le=200,
    )
    database_pool_overflow: int = Setting(
        10,
        "Connections that each worker opens beyond that for a moment.",
        example="10",
        ge=0,
        le=200,
    )
    database_pool_timeout: float = Setting(
        10.0, "Seconds that a call waits for a free connection.", example="10", gt=0, le=60
    )
    database_statement_timeout: float = Setting(
        30.0, "Seconds that Postgres works on one statement.", example="30", gt=0, le=600
    )
    database_lock_timeout: float = Setting(
        10.0, "Seconds that a statement waits for another's lock.", example="10", gt=0, le=60
    )
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(rules.upper_case)
    ] = Setting("INFO", "`DEBUG` while looking for a fault.", example="INFO")
    tool_call_log_sample_rate: float = Setting(
        1.0,
        (
            "The share of tool calls that get an INFO line in the log, 0 to 1. Calls that failed "
            "get one too, at most 60 a minute of a kind. `LOG_LEVEL=WARNING` turns all off."
        ),
        example="0.1",
        shown="1",
        ge=0,
        le=1,
    )
    trust_proxy: Annotated[int, BeforeValidator(rules.proxy_count)] = Setting(
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
    mcp_kms_key: Annotated[SecretStr, AfterValidator(rules.kms_key)] = Setting(
        SecretStr(""),
        (
            "The key that wraps all others: base64, at least 32 bytes decoded. Made in "
            "`data/` in development; required in production."
        ),
        example="<output of: openssl rand -base64 32>",
    )

    mcp_kms_key_previous: Annotated[SecretStr, AfterValidator(rules.kms_keys)] = Setting(
        SecretStr(""),
        (
            "While keys are rotated (docs/operations.md): other keys of that kind, with commas, "
            "which open what they have wrapped."
        ),
        example="<the MCP_KMS_KEY of before>",
    )

    admin_master_key: Annotated[SecretStr, AfterValidator(rules.admin_master_key)] = Setting(
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
    jwt_secret_key: Annotated[SecretStr, AfterValidator(rules.signing_secret)] = Setting(
        SecretStr(""),
        "Signs session cookies; derived from the keyring when empty.",
        example="<output of: openssl rand -base64 48>",
    )
    csrf_secret_key: Annotated[SecretStr, AfterValidator(rules.signing_secret)] = Setting(
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
    session_cookie_samesite: Annotated[
        Literal["Lax", "Strict"], BeforeValidator(rules.capitalized)
    ] = Setting("Lax", "`Strict` when nobody arrives by a link from another site.", example="Lax")
    rate_limit_rpm: int = Setting(
        120,
        (
            "Tool calls a minute for each tenant, and for each of its keys, apps and sessions (a "
            "burst of twice that; a read counts 1, a write 2), kept by each worker for itself."
        ),
        example="120",
        ge=1,
        le=1_000_000,
    )
    webui_rate_limit_login: int = Setting(
        5,
        (
            "Wrong keys and links of an address that wait for nothing; each further one waits "
            "twice as long as the one before, up to 15 minutes. Kept by each worker for itself."
        ),
        example="5",
        ge=1,
        le=10_000,
    )
    webui_rate_limit_api_console: int = Setting(
        30, "Console calls a minute for each person.", example="30", ge=1, le=100_000
    )

    enable_public_signup: bool = Setting(
        False,
        "`true` lets anybody open an account on `/sign-up`; production then needs mail.",
        example="true",
    )
    require_email_verification: bool = Setting(
        True,
        (
            "`false` opens the account without a mail: the address is a label then, never used to "
            "sign in or to send mail."
        ),
        example="true",
    )
    signup_verification_expiry: int = Setting(
        900,
        "Seconds that the mailed link of a sign-up works.",
        example="900",
        ge=60,
        le=86_400,
    )
    signup_rate_limit_per_hour: int = Setting(
        3,
        (
            "Sign-ups an hour for each network (an IPv4 address, an IPv6 /64), and as many "
            "accounts that AUTO_PROVISION_TENANT opens."
        ),
        example="3",
        ge=1,
        le=100_000,
    )
    webui_rate_limit_signup: int = Setting(
        2, "Sign-ups a minute for each network.", example="2", ge=1, le=10_000
    )
    auto_provision_tenant: bool = Setting(
        False,
        (
            "`true` opens an account for every strong master key that nobody has used; whoever "
            "reaches this server can then open one."
        ),
        example="false",
    )

    email_provider: Annotated[Literal["console", "smtp"], BeforeValidator(rules.lower_case)] = (
        Setting(
            "console",
            (
                "`smtp` sends mail. `console` prints it in development; in production nothing is "
                "mailed then."
            ),
            example="console",
        )
    )
    smtp_host: Annotated[str, AfterValidator(rules.mail_host)] = Setting(
        "", "The mail server of `EMAIL_PROVIDER=smtp`.", example="smtp.example.com"
    )
    smtp_port: int = Setting(
        587,
        "`465` where the mail server expects TLS from the first byte; others use STARTTLS.",
        example="587",
        ge=1,
        le=65535,
    )
    smtp_username: str = Setting(
        "", "The name to log in with at the mail server; empty for none.", example="orders"
    )
    smtp_password: SecretStr = Setting(
        SecretStr(""), "Its password.", example="<password of the mail server>"
    )
    smtp_use_tls: bool = Setting(
        True,
        (
            "`false` for a relay in your own network that has no TLS; a password is never sent to "
            "another machine that way."
        ),
        example="true",
    )
    smtp_from_email: Annotated[str, AfterValidator(rules.email_address)] = Setting(
        "", "The address that mail comes from.", example="orders@example.com"
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

    orderdesk_api_url: Annotated[str, AfterValidator(rules.api_url)] = Setting(
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
            "meant, a write was provably not done, or Order Desk reports a conflict."
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
        True, "`false` hides `/health/detailed` from operators too.", example="true"
    )
    enable_audit_log: bool = Setting(
        True, "`false` keeps no record of calls. The journal of writes stays.", example="true"
    )
    audit_log_retention_days: int = Setting(
        90, "Days that rows of the audit log are kept; 0 keeps them for ever.", **_DAYS
    )
    journal_retention_days: int = Setting(
        90, "Days that a settled write stays in the journal; 0 keeps it for ever.", **_DAYS
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
        return init_settings, env_settings, StrictDotEnv(settings_cls, dotenv_settings.env_file)

    @model_validator(mode="before")
    @classmethod
    def _public_url_follows_port(cls, given: Any) -> Any:
        if (
            isinstance(given, dict)
            and (port := str(given.get("port", "")).strip()).isdecimal()
            and 0 < int(port) < 65536
            and not given.get("public_url")
            and str(given.get("app_env", "")).strip().lower() != "production"
        ):
            return {**given, "public_url": f"http://localhost:{int(port)}"}
        return given

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        is_local = is_loopback(urlsplit(self.public_url).hostname or "")
        if self.is_production:
            faults = [
                *combinations.faults_of_production_secrets(
                    kms_key=self.mcp_kms_key.get_secret_value(),
                    master_key=self.admin_master_key.get_secret_value(),
                    jwt_secret_key=self.jwt_secret_key.get_secret_value(),
                    csrf_secret_key=self.csrf_secret_key.get_secret_value(),
                    metrics_token=self.metrics_token.get_secret_value(),
                ),
                *combinations.faults_of_production_address(
                    is_given="public_url" in self.model_fields_set,
                    is_safe=self.cookie_secure or is_local,
                ),
            ]
        else:
            faults = [*combinations.faults_of_development(host=self.host, is_local=is_local)]
        faults += combinations.faults_of_workers(
            self.workers, self.database_url.get_secret_value(), has_webui=self.enable_webui
        )
        if self.email_provider == "smtp":
            faults += combinations.faults_of_mail(
                host=self.smtp_host,
                from_email=self.smtp_from_email,
                username=self.smtp_username,
                password=self.smtp_password.get_secret_value(),
                use_tls=self.smtp_use_tls,
            )
        if self.enable_public_signup:
            faults += combinations.faults_of_public_signup(
                has_webui=self.enable_webui,
                is_mail_lost=self.is_production and self.email_provider == "console",
            )
        if faults:
            raise ValueError("\n".join(faults))
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
