"""Settings: a wrong one stops the start and says what to write instead; production asks for more;
none is declared and unread.
"""

import ast
import re
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from secrets import token_bytes, token_hex, token_urlsafe

import pytest

from orderdesk_app.config import Settings
from orderdesk_app.env_file import NOT_YET
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.setting_rules import decode_key, host_list, is_loopback, is_published
from orderdesk_app.settings_reader import load_settings, unused_settings

ROOT = Path(__file__).resolve().parent.parent
KMS = b64encode(token_bytes(32)).decode()
PRODUCTION = {
    "APP_ENV": "production",
    "HOST": "0.0.0.0",
    "PUBLIC_URL": "https://orders.example.com",
    "MCP_KMS_KEY": KMS,
}
WRONG = {
    "APP_ENV": ["staging"],
    "HOST": [
        "0.0.0.0",
        "192.0.2.1",
        "foo.bar.invalid",
        "foo bar",
        "0.0.0.0:80",
        "fe80::1%eth0",
        "999.1.1.1",
    ],
    "PORT": ["http", "0", "65536", "80.5"],
    "PUBLIC_URL": [
        "orders.example.com",
        "ftp://x",
        "https://",
        "http://localhost:99999",
        "https://user:pw@example.com",
        "http://localhost/?a=1",
        "http://localhost:8080/orders",
        "https://o exa.com",
        "https://o.example.com\\x",
        "https://*.example.com",
        "https://a,b",
        "https://o.example.com:0",
        "https://bücher.example",
        "https://:pw@host",
        "http://127.1:8080",
        "http://[fe80::1%eth0]",
    ],
    "ALLOWED_HOSTS": [
        "*",
        "*.example.net",
        "https://orders.example.net",
        "orders.example.net/mcp",
        "orders.example.net,",
        ",orders.example.net",
        "orders.example.net,,mcp",
        "orders.example.net mcp",
        "orders.example.net;mcp",
        "orders.example.net#x",
        "orders.example.net?x=1",
        "user@orders.example.net",
        "orders.example.net:",
        "orders.example.net:0",
        "orders.example.net:080",
        "orders.example.net:65536",
        "orders.example.net:https",
        "orders.example.net:*",
        "orders..example.net",
        ".example.net",
        "-a.example.net",
        "bücher.example",
        "\u212aelvin.example",
        "127.1",
        "999.1.1.1",
        "::1",
        "[::1",
        "[127.0.0.1]",
        "[fe80::1%eth0]",
    ],
    "DATABASE_URL": ["mysql://x", "app.db"],
    "DATABASE_POOL_SIZE": ["0", "201"],
    "DATABASE_POOL_OVERFLOW": ["-1", "201"],
    "DATABASE_POOL_TIMEOUT": ["0", "61", "long"],
    "DATABASE_STATEMENT_TIMEOUT": ["0", "601"],
    "DATABASE_LOCK_TIMEOUT": ["0", "61"],
    "TOOL_CALL_LOG_SAMPLE_RATE": ["-0.1", "1.1", "nan", "inf", "often", "10%"],
    "LOG_LEVEL": ["LOUD"],
    "TRUST_PROXY": ["maybe", "-1", "11"],
    "WORKERS": ["0", "many", "65"],
    "MCP_KMS_KEY": ["short", "not base64 at all!!", b64encode(b"x" * 31).decode()],
    "MCP_KMS_KEY_PREVIOUS": ["short", f"{b64encode(b'y' * 32).decode()},short"],
    "ADMIN_MASTER_KEY": [
        "changeme",
        "x" * 31,
        "x" * 257,
        "dev-admin-master-key-change-in-production",
        "with spaces " * 4,
        "ü" * 40,
    ],
    "ALLOW_QUERY_TOKEN": ["perhaps"],
    "ENABLE_WEBUI": ["perhaps"],
    "JWT_SECRET_KEY": ["secret", "x" * 31],
    "CSRF_SECRET_KEY": ["secret", "x" * 31],
    "SESSION_TIMEOUT": ["59", "a day", "31536001"],
    "SESSION_COOKIE_SECURE": ["perhaps"],
    "SESSION_COOKIE_SAMESITE": ["None", "relaxed"],
    "RATE_LIMIT_RPM": ["0", "many"],
    "WEBUI_RATE_LIMIT_LOGIN": ["0", "many"],
    "WEBUI_RATE_LIMIT_API_CONSOLE": ["0", "many"],
    "EMAIL_PROVIDER": ["sendgrid", "smtps"],
    "SMTP_HOST": [
        "smtp://mail.example.com",
        "mail.example.com:587",
        "mail example",
        "bücher.example",
    ],
    "ENABLE_PUBLIC_SIGNUP": ["perhaps"],
    "REQUIRE_EMAIL_VERIFICATION": ["perhaps"],
    "SIGNUP_VERIFICATION_EXPIRY": ["59", "86401", "soon"],
    "SIGNUP_RATE_LIMIT_PER_HOUR": ["0", "100001", "few"],
    "WEBUI_RATE_LIMIT_SIGNUP": ["0", "10001", "few"],
    "AUTO_PROVISION_TENANT": ["perhaps"],
    "SMTP_PORT": ["0", "65536", "smtp"],
    "SMTP_USE_TLS": ["perhaps", "starttls"],
    "SMTP_FROM_EMAIL": [
        "orders",
        "orders@",
        "@example.com",
        "Orders <orders@example.com>",
        "orders@example.com, others@example.com",
        "orders@example.com\nBcc: others@example.com",
        "orders@" + "x" * 250 + ".example.com",
    ],
    "CACHE_BACKEND": ["disk", "redis"],
    "CACHE_TTL_ORDERS": ["-1", "long"],
    "CACHE_TTL_PRODUCTS": ["-1", "long"],
    "CACHE_TTL_STORE_SETTINGS": ["-1", "long"],
    "ORDERDESK_API_URL": ["http://app.orderdesk.me/api/v2", "app.orderdesk.me", "https://user@x"],
    "HTTP_TIMEOUT": ["0", "601", "long"],
    "HTTP_MAX_RETRIES": ["-1", "11"],
    "MUTATION_MAX_RETRIES": ["-1", "21"],
    "ENABLE_METRICS": ["perhaps"],
    "ENABLE_DETAILED_HEALTH": ["perhaps"],
    "ENABLE_AUDIT_LOG": ["perhaps"],
    "AUDIT_LOG_RETENTION_DAYS": ["-1", "36501", "long"],
    "JOURNAL_RETENTION_DAYS": ["-1", "36501", "long"],
    "ORDERDESK_TEST_ENABLED": ["perhaps"],
}
ANY_TEXT = {
    "ORDERDESK_MCP_KEY",
    "METRICS_TOKEN",
    "SMTP_USERNAME",
    "SMTP_PASSWORD",
    "ORDERDESK_TEST_STORE_ID",
    "ORDERDESK_TEST_API_KEY",
}
DECLARED = {
    "APP_ENV": "development",
    "HOST": "127.0.0.1",
    "PORT": 8080,
    "PUBLIC_URL": "http://localhost:8080",
    "ALLOWED_HOSTS": "",
    "DATABASE_URL": "sqlite:///data/app.db",
    "DATABASE_POOL_SIZE": 10,
    "DATABASE_POOL_OVERFLOW": 10,
    "DATABASE_POOL_TIMEOUT": 10,
    "DATABASE_STATEMENT_TIMEOUT": 30,
    "DATABASE_LOCK_TIMEOUT": 10,
    "LOG_LEVEL": "INFO",
    "TOOL_CALL_LOG_SAMPLE_RATE": 1.0,
    "TRUST_PROXY": 0,
    "WORKERS": 1,
    "MCP_KMS_KEY": "",
    "MCP_KMS_KEY_PREVIOUS": "",
    "ADMIN_MASTER_KEY": "",
    "ORDERDESK_MCP_KEY": "",
    "ALLOW_QUERY_TOKEN": True,
    "ENABLE_WEBUI": True,
    "JWT_SECRET_KEY": "",
    "CSRF_SECRET_KEY": "",
    "SESSION_TIMEOUT": 86400,
    "SESSION_COOKIE_SECURE": None,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "RATE_LIMIT_RPM": 120,
    "WEBUI_RATE_LIMIT_LOGIN": 5,
    "WEBUI_RATE_LIMIT_API_CONSOLE": 30,
    "EMAIL_PROVIDER": "console",
    "SMTP_HOST": "",
    "ENABLE_PUBLIC_SIGNUP": False,
    "REQUIRE_EMAIL_VERIFICATION": True,
    "SIGNUP_VERIFICATION_EXPIRY": 900,
    "SIGNUP_RATE_LIMIT_PER_HOUR": 3,
    "WEBUI_RATE_LIMIT_SIGNUP": 2,
    "AUTO_PROVISION_TENANT": False,
    "SMTP_PORT": 587,
    "SMTP_USERNAME": "",
    "SMTP_PASSWORD": "",
    "SMTP_USE_TLS": True,
    "SMTP_FROM_EMAIL": "",
    "CACHE_BACKEND": "memory",
    "CACHE_TTL_ORDERS": 15,
    "CACHE_TTL_PRODUCTS": 60,
    "CACHE_TTL_STORE_SETTINGS": 300,
    "ORDERDESK_API_URL": "https://app.orderdesk.me/api/v2",
    "HTTP_TIMEOUT": 30,
    "HTTP_MAX_RETRIES": 3,
    "MUTATION_MAX_RETRIES": 5,
    "ENABLE_METRICS": True,
    "METRICS_TOKEN": "",
    "ENABLE_DETAILED_HEALTH": True,
    "ENABLE_AUDIT_LOG": True,
    "AUDIT_LOG_RETENTION_DAYS": 90,
    "JOURNAL_RETENTION_DAYS": 90,
    "ORDERDESK_TEST_ENABLED": False,
    "ORDERDESK_TEST_STORE_ID": "",
    "ORDERDESK_TEST_API_KEY": "",
}


def plain(value: object) -> object:
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def test_no_environment_at_all_gives_the_embedded_default() -> None:
    settings = load_settings({})

    assert {
        name.upper(): plain(getattr(settings, name)) for name in Settings.model_fields
    } == DECLARED, "a new setting and its default belong into DECLARED in tests/test_config.py"


@pytest.mark.parametrize(
    ("variable", "value"),
    [(variable, value) for variable, values in WRONG.items() for value in values],
)
def test_a_wrong_value_is_told_with_variable_rule_and_example(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load_settings({variable: value})

    sentence = str(error.value)
    assert sentence.startswith(f"{variable}: ")
    assert len(sentence.splitlines()) == 1, "nothing else is blamed"
    assert f"{variable}=" in sentence.split(": ", 1)[1], "an example"
    assert "must be" in sentence or "must begin" in sentence or "development" in sentence
    assert "pydantic" not in sentence
    assert "Input should" not in sentence.casefold()
    if variable in ("MCP_KMS_KEY", "ADMIN_MASTER_KEY", "DATABASE_URL"):
        plain = sentence.replace("sqlite:///data/app.db", "").replace("sqlite:///", "")
        assert value not in plain, "a secret is not repeated"


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("", ()),
        (" host.docker.internal ", (("host.docker.internal", None),)),
        ("Agents_1, orders.example.net.:8443", (("agents_1", None), ("orders.example.net", 8443))),
        ("10.1.2.3:80,[2001:DB8::0:1]:9000", (("10.1.2.3", 80), ("2001:db8::1", 9000))),
    ],
)
def test_further_hosts_are_names_with_a_port_or_without_one(
    typed: str, read: tuple[tuple[str, int | None], ...]
) -> None:
    assert host_list(load_settings({"ALLOWED_HOSTS": typed}).allowed_hosts) == read


def test_the_entry_that_is_no_host_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"Not a host: 'https://b\.example'\."):
        load_settings({"ALLOWED_HOSTS": "a.example, https://b.example"})


@pytest.mark.parametrize("variable", ["HOST", "PUBLIC_URL", "PORT", "ALLOWED_HOSTS"])
def test_the_example_of_an_error_works_where_it_is_told(variable: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load_settings({variable: "!"})

    example = str(error.value).rpartition(f"{variable}=")[2]

    assert load_settings({variable: example}) is not None


def test_every_setting_is_tried_with_a_wrong_value_unless_any_text_will_do() -> None:
    assert {name.upper() for name in Settings.model_fields} == {*WRONG, *ANY_TEXT}, (
        "a new setting belongs into WRONG, or into ANY_TEXT, in tests/test_config.py"
    )


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_words_and_an_example_that_works(name: str) -> None:
    field = Settings.model_fields[name]
    assert field.description
    assert field.description.endswith(".")
    assert isinstance(field.json_schema_extra, dict)
    example = str(field.json_schema_extra["example"])
    assert example
    if not example.startswith("<") and name not in (
        "host",
        "public_url",
        "app_env",
    ):  # these need production
        load_settings({name: example})


def test_several_wrong_values_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as error:
        load_settings({"PORT": "http", "WORKERS": "many"})

    assert [line.split(":")[0] for line in str(error.value).splitlines()] == ["PORT", "WORKERS"]


def test_all_faults_are_named_in_one_go() -> None:
    """Single values, values that do not fit together, and what production asks for."""
    with pytest.raises(ConfigurationError) as error:
        load_settings(
            {
                "APP_ENV": "production",
                "PORT": "http",
                "WORKERS": "2",
                "JWT_SECRET_KEY": "short",
                "METRICS_TOKEN": "password",
                "LOG_LEVEL": "LOUD",
            }
        )

    assert [line.split(":")[0] for line in str(error.value).splitlines()] == [
        "PORT",
        "LOG_LEVEL",
        "JWT_SECRET_KEY",
        "MCP_KMS_KEY",
        "METRICS_TOKEN",
        "PUBLIC_URL",
        "WORKERS",
        "WORKERS",
    ]


@pytest.mark.parametrize(
    ("name", "typed", "example"),
    [
        ("PUBLIC_URL", "orders.example.com", "https://orders.example.com"),
        ("PUBLIC_URL", "ftp://orders.example.com/a", "https://orders.example.com"),
        ("PUBLIC_URL", "http://orders.example.com/?a=1", "https://orders.example.com"),
        ("ORDERDESK_API_URL", "http://desk.example/api/v2", "https://desk.example/api/v2"),
        ("APP_ENV", "prod", "production"),
        ("APP_ENV", "dev", "development"),
        ("LOG_LEVEL", "warn", "WARNING"),
        ("CACHE_BACKEND", "sqlite3", "sqlite"),
        ("SESSION_COOKIE_SAMESITE", "strictly", "Strict"),
        ("DATABASE_URL", "data/app.db", "sqlite:///data/app.db"),
        ("DATABASE_URL", "sqlite://data/app.db", "sqlite:///data/app.db"),
        ("DATABASE_URL", "sqlite:///no-such-folder/app.db", "sqlite:///data/app.db"),
        (
            "DATABASE_URL",
            "mysql://u:p@db.example.com/x",
            "postgresql://user:password@db.example.com/orderdesk?sslmode=require",
        ),
    ],
)
def test_the_example_of_an_error_is_near_what_was_typed(
    name: str, typed: str, example: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        load_settings({name: typed})

    assert str(error.value).endswith(f"Example: {name}={example}")


@pytest.mark.parametrize("port", ["", "9000"])
def test_production_needs_the_address_that_people_use(port: str) -> None:
    given = {name: value for name, value in PRODUCTION.items() if name != "PUBLIC_URL"}

    with pytest.raises(ConfigurationError) as error:
        load_settings({**given, "PORT": port})

    assert str(error.value).startswith("PUBLIC_URL: production needs the address")
    assert len(str(error.value).splitlines()) == 1


# ------------------------------------------------------------------ mail

MAIL = {
    "EMAIL_PROVIDER": "smtp",
    "SMTP_HOST": "smtp.example.com",
    "SMTP_FROM_EMAIL": "orders@example.com",
}
LOGIN = {"SMTP_USERNAME": "orders", "SMTP_PASSWORD": "correct horse"}


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ({}, ["SMTP_HOST", "SMTP_FROM_EMAIL"]),
        ({**LOGIN, "SMTP_PASSWORD": ""}, ["SMTP_HOST", "SMTP_FROM_EMAIL", "SMTP_PASSWORD"]),
        ({**MAIL, **LOGIN, "SMTP_USERNAME": ""}, ["SMTP_USERNAME"]),
        ({**MAIL, **LOGIN, "SMTP_USE_TLS": "false"}, ["SMTP_USE_TLS"]),
        ({**MAIL, "SMTP_PORT": "x", "SMTP_HOST": ""}, ["SMTP_PORT", "SMTP_HOST"]),
    ],
)
def test_what_mail_lacks_is_told_at_once(given: dict[str, str], faults: list[str]) -> None:
    with pytest.raises(ConfigurationError) as error:
        load_settings({"EMAIL_PROVIDER": "smtp", **given})

    assert [line.split(":")[0] for line in str(error.value).splitlines()] == faults
    assert "correct horse" not in str(error.value)


@pytest.mark.parametrize(
    "given",
    [
        MAIL,
        MAIL | LOGIN,
        MAIL | {"SMTP_USE_TLS": "false"},
        MAIL | LOGIN | {"SMTP_USE_TLS": "false", "SMTP_HOST": "127.0.0.1"},
        MAIL | LOGIN | {"SMTP_USE_TLS": "false", "SMTP_HOST": "localhost"},
        {"EMAIL_PROVIDER": "Console", "SMTP_USERNAME": "orders"},
    ],
)
def test_mail_that_can_be_sent_stops_no_start(given: dict[str, str]) -> None:
    assert load_settings(given).email_provider in ("smtp", "console")


def test_a_sender_beyond_a_to_z_is_written_as_mail_is_sent() -> None:
    settings = load_settings({"SMTP_FROM_EMAIL": "Orders@Bücher.example"})

    assert settings.smtp_from_email == "Orders@xn--bcher-kva.example"


# ------------------------------------------------------------------ names that do nothing


def test_every_setting_of_the_older_system_that_does_nothing_yet_is_named() -> None:
    assert NOT_YET.isdisjoint(name.upper() for name in Settings.model_fields), "it works now"

    given = dict.fromkeys([*NOT_YET, "PATH", "SMTP_PROT"], "x")
    sentences = unused_settings(given, Path("no-such-file"))

    assert sentences == [f"{name} does nothing in this release." for name in sorted(NOT_YET)]


def test_an_empty_value_is_none_and_warned_of_nowhere(tmp_path: Path) -> None:
    """As a compose file passes on what is not set."""
    file = tmp_path / ".env"
    file.write_text("REDIS_URL=\nPROT=\n")

    assert unused_settings(dict.fromkeys(NOT_YET, ""), file) == []


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE"])
def test_a_variable_that_libraries_read_belongs_into_the_environment(
    tmp_path: Path, name: str
) -> None:
    file = tmp_path / ".env"
    file.write_text(f"{name}=x\n")

    assert unused_settings({name: "x"}, file) == [
        f"{name.upper()} in .env does nothing: set it in the environment of the process."
    ]


def test_a_missing_folder_is_named_with_all_other_faults() -> None:
    with pytest.raises(ConfigurationError) as error:
        load_settings({"DATABASE_URL": "sqlite:///no-such-folder/app.db", "PORT": "x"})

    first, second = str(error.value).splitlines()
    assert first.startswith("PORT: ")
    assert second.startswith(f"DATABASE_URL: the folder {Path('no-such-folder').absolute()} does")
    assert not Path("no-such-folder").exists()


def test_unknown_names_in_the_file_are_named_with_the_nearest_known_one(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "PROT=80\nredis_url=redis://x\nSOMETHING_ELSE=1\nexport RATE_LIMIT_RMP=5\nport=90\n"
    )

    assert unused_settings({"OTHER_PROGRAMS_OWN": "1"}, file) == [
        "PROT in .env is no setting. Did you mean PORT?",
        "RATE_LIMIT_RMP in .env is no setting. Did you mean RATE_LIMIT_RPM?",
        "REDIS_URL does nothing in this release.",
        "SOMETHING_ELSE in .env is no setting.",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("PORT=80\nthis is no setting\n", "line 2"),
        ("PORT\n", "line 1"),
        ("# remark\n\nPORT: 80\n", "line 3"),
        ("A=1\nB C=2\nD='open\n", "lines 2, 3"),
    ],
)
def test_lines_that_cannot_be_read_stop_the_start(tmp_path: Path, text: str, lines: str) -> None:
    file = tmp_path / ".env"
    file.write_text(text)

    with pytest.raises(ConfigurationError) as error:
        load_settings(env_file=file)

    assert f"cannot be read at {lines}." in str(error.value)
    assert "no setting\n" not in str(error.value), "what the line says may be a secret"


# ------------------------------------------------------------------ sign-up

SIGN_UP = {"ENABLE_PUBLIC_SIGNUP": "true"}


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({**PRODUCTION, **SIGN_UP}, "EMAIL_PROVIDER"),
        ({**PRODUCTION, **SIGN_UP, "REQUIRE_EMAIL_VERIFICATION": "false"}, "EMAIL_PROVIDER"),
        ({**SIGN_UP, "ENABLE_WEBUI": "false"}, "ENABLE_PUBLIC_SIGNUP"),
    ],
)
def test_public_sign_up_that_nobody_could_finish_stops_the_start(
    given: dict[str, str], fault: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        load_settings(given)

    assert str(error.value).startswith(f"{fault}: ")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("given", [SIGN_UP, {**PRODUCTION, **SIGN_UP, **MAIL}, PRODUCTION])
def test_sign_up_with_mail_or_in_development_starts(given: dict[str, str]) -> None:
    assert load_settings(given).enable_public_signup == ("ENABLE_PUBLIC_SIGNUP" in given)


# ------------------------------------------------------------------ production


def test_production_starts_with_a_key_and_an_https_address() -> None:
    settings = load_settings(PRODUCTION)

    assert settings.is_production
    assert settings.cookie_secure


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"MCP_KMS_KEY": ""}, "MCP_KMS_KEY"),
        ({"MCP_KMS_KEY": b64encode(bytes(32)).decode()}, "MCP_KMS_KEY"),
        ({"MCP_KMS_KEY": b64encode(b"change-me-in-production-please!!").decode()}, "MCP_KMS_KEY"),
        ({"JWT_SECRET_KEY": "secret"}, "JWT_SECRET_KEY"),
        ({"JWT_SECRET_KEY": "a" * 64}, "JWT_SECRET_KEY"),
        ({"CSRF_SECRET_KEY": "changeme"}, "CSRF_SECRET_KEY"),
        ({"METRICS_TOKEN": "password"}, "METRICS_TOKEN"),
        ({"SESSION_COOKIE_SECURE": "false"}, "SESSION_COOKIE_SECURE"),
        ({"PUBLIC_URL": "http://orders.example.com"}, "SESSION_COOKIE_SECURE"),
        ({"ADMIN_MASTER_KEY": "dev-admin-master-key-change-in-production"}, "ADMIN_MASTER_KEY"),
        ({"ADMIN_MASTER_KEY": "change_me_change_me_change_me_change_me"}, "ADMIN_MASTER_KEY"),
        ({"ADMIN_MASTER_KEY": "dev_admin_master_key_change_in_production"}, "ADMIN_MASTER_KEY"),
        ({"ADMIN_MASTER_KEY": "DEV-ADMIN-MASTER-KEY-CHANGE-IN-PRODUCTION"}, "ADMIN_MASTER_KEY"),
        ({"ADMIN_MASTER_KEY": "a" * 64}, "ADMIN_MASTER_KEY"),
        ({"MCP_KMS_KEY": "your_super_secret_kms_key_change_in_production_x"}, "MCP_KMS_KEY"),
        ({"MCP_KMS_KEY": "DEV-KEY-CHANGE-ME-IN-PRODUCTION-PLEASE-0000"}, "MCP_KMS_KEY"),
        ({"MCP_KMS_KEY": b64encode(bytes(range(32))).decode()}, "MCP_KMS_KEY"),
        ({"MCP_KMS_KEY": bytes(range(32)).hex()}, "MCP_KMS_KEY"),
        ({"MCP_KMS_KEY": "0123456789abcdef" * 4}, "MCP_KMS_KEY"),
        ({"MCP_KMS_KEY": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"}, "MCP_KMS_KEY"),
        ({"JWT_SECRET_KEY": "your_super_secret_jwt_key_change_in_production"}, "JWT_SECRET_KEY"),
        ({"JWT_SECRET_KEY": "SuperSecretJwtKeyChangeMe0123456789"}, "JWT_SECRET_KEY"),
        ({"METRICS_TOKEN": "change_me_change_me_change_me_change_me"}, "METRICS_TOKEN"),
    ],
)
def test_production_refuses_what_belongs_to_development_and_says_which(
    changed: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        load_settings({**PRODUCTION, **changed})

    assert str(error.value).startswith(f"{named}: ")


def test_production_takes_keys_of_chance() -> None:
    for _ in range(50):
        load_settings(
            {
                **PRODUCTION,
                "MCP_KMS_KEY": b64encode(token_bytes(32)).decode(),
                "JWT_SECRET_KEY": token_hex(32),
                "METRICS_TOKEN": token_hex(32),
            }
        )


def test_chance_is_never_taken_for_words_or_a_pattern() -> None:
    keys = [
        make(32)
        for make in (token_hex, token_urlsafe, lambda size: b64encode(token_bytes(size)).decode())
        for _ in range(5_000)
    ]

    assert [key for key in keys if is_published(key)] == []


def test_an_insecure_cookie_is_allowed_where_only_this_machine_is_reached() -> None:
    settings = load_settings({**PRODUCTION, "PUBLIC_URL": "http://localhost:8080"})

    assert not settings.cookie_secure


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("https://Orders.Example.com", "https://orders.example.com"),
        ("https://orders.example.com:443/", "https://orders.example.com"),
        ("https://orders.example.com:8443", "https://orders.example.com:8443"),
        ("HTTP://LOCALHOST:80", "http://localhost"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://orders.example.com.", "https://orders.example.com"),
        ("http://order_desk:8080", "http://order_desk:8080"),
    ],
)
def test_the_public_address_is_read_as_browsers_write_it(typed: str, meant: str) -> None:
    assert (
        load_settings(
            {**PRODUCTION, "SESSION_COOKIE_SECURE": "true", "PUBLIC_URL": typed}
        ).public_url
        == meant
    )


@pytest.mark.parametrize("address", ["https://orders.example.com", "http://192.168.1.4:8080"])
def test_development_is_for_this_machine_alone(address: str) -> None:
    with pytest.raises(ConfigurationError, match="PUBLIC_URL: development"):
        load_settings({"PUBLIC_URL": address})


def test_more_workers_need_a_database_that_they_share() -> None:
    with pytest.raises(ConfigurationError, match="WORKERS: more than one needs Postgres"):
        load_settings({"WORKERS": "2", "ENABLE_WEBUI": "false"})
    load_settings({"WORKERS": "2", "ENABLE_WEBUI": "false", "DATABASE_URL": "postgresql:///x"})


# ------------------------------------------------------------------ how values are read


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("true", 1),
        ("TRUE", 1),
        ("false", 0),
        ("False", 0),
        ("3", 3),
        ("0", 0),
        ("1", 1),
        ("10", 10),
        ("yes", 1),
        ("off", 0),
    ],
)
def test_trusted_proxies_are_a_word_or_a_number(text: str, count: int) -> None:
    assert load_settings({"TRUST_PROXY": text}).trust_proxy == count


@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
def test_a_kms_key_is_base64_or_base64url_padded_or_not(encode: object) -> None:
    key = b"\xfb\xff" * 20
    text = encode(key).decode()  # type: ignore[operator]

    assert decode_key(text) == decode_key(text.rstrip("=")) == decode_key(f" {text}\n") == key


def test_words_may_be_written_in_any_case() -> None:
    settings = load_settings(
        {"LOG_LEVEL": "debug", "APP_ENV": "Development", "SESSION_COOKIE_SAMESITE": "strict"}
    )

    assert (settings.log_level, settings.app_env, settings.session_cookie_samesite) == (
        "DEBUG",
        "development",
        "Strict",
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("localhost", "127.0.0.1"),
        ("LocalHost", "127.0.0.1"),
        ("[::1]", "::1"),
        (" 127.0.0.1 ", "127.0.0.1"),
    ],
)
def test_where_to_listen_may_be_written_as_in_an_address(typed: str, meant: str) -> None:
    assert load_settings({"HOST": typed}).host == meant


def test_an_empty_value_is_none() -> None:
    assert load_settings({"PORT": "", "SESSION_COOKIE_SECURE": ""}).port == 8080


def test_the_public_address_follows_the_port() -> None:
    assert load_settings({"PORT": "9090"}).public_url == "http://localhost:9090"
    assert load_settings({"PORT": " 9090 "}).public_url == "http://localhost:9090"
    assert (
        load_settings({"PORT": "9090", "PUBLIC_URL": "http://localhost:1234/"}).public_url
        == "http://localhost:1234"
    )


def test_a_dotenv_file_is_read_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(
        "PORT=9191\nRATE_LIMIT_RPM=7 # a remark\nSOMETHING_ELSE=1\n", encoding="utf-8"
    )
    monkeypatch.setenv("RATE_LIMIT_RPM", "8")
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.delenv("PUBLIC_URL", raising=False)

    settings = load_settings(env_file=tmp_path / ".env")

    assert (settings.port, settings.rate_limit_rpm, settings.public_url) == (
        9191,
        8,
        "http://localhost:9191",
    )


def test_a_dotenv_file_is_taken_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfDATABASE_URL=postgresql://me:pa${HOME}ss@db/x\n")
    monkeypatch.delenv("DATABASE_URL", raising=False)

    assert (
        load_settings(env_file=tmp_path / ".env").database_url.get_secret_value()
        == "postgresql://me:pa${HOME}ss@db/x"
    )


def test_a_dotenv_file_in_another_encoding_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"X=\xe9\n")

    with pytest.raises(ConfigurationError, match=r"is not UTF-8\. Save it again as UTF-8"):
        load_settings(env_file=tmp_path / ".env")


def test_settings_print_no_secret() -> None:
    settings = load_settings(
        {
            "ADMIN_MASTER_KEY": "a1b2c3d4Kq7ZtR0xWvYm5nLsHj9GfB2e",
            "DATABASE_URL": "postgresql://me:pass-word-1@db/x",
            "METRICS_TOKEN": "metrics-token-1",
        }
    )

    for told in (repr(settings), str(settings)):
        for secret in ("a1b2c3d4", "pass-word-1", "metrics-token-1"):
            assert secret not in told


def test_a_secret_setting_is_never_repeated_by_an_error() -> None:
    with pytest.raises(ConfigurationError) as error:
        load_settings({"ADMIN_MASTER_KEY": "short-but-secret", "PORT": "x"})

    assert "short-but-secret" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("example.com", False),
        ("localhost.example.com", False),
        ("", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, is_local: bool) -> None:
    assert is_loopback(host) is is_local


# Sign-up and what follows it read these; each leaves the set as soon as it is read.
AWAITED = {
    "require_email_verification",
    "signup_verification_expiry",
    "signup_rate_limit_per_hour",
    "webui_rate_limit_signup",
    "auto_provision_tenant",
}


def test_no_setting_is_declared_and_unread() -> None:
    read = set()
    for path in [*ROOT.glob("orderdesk_app/**/*.py"), *ROOT.glob("tests/orderdesk/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                read.add(node.attr)

    unread = {name for name in Settings.model_fields if name not in read}
    assert unread <= AWAITED


def test_only_the_settings_read_the_environment() -> None:
    """Reflex, the build and httpx (its proxies) take theirs from the environment; no decision of
    ours does.
    """
    allowed = {"frontend.py", "serve.py", "unused_settings.py", "proxy.py"}
    readers = {
        path.name
        for path in ROOT.glob("orderdesk_app/**/*.py")
        if re.search(r"os\.(environ|getenv)", path.read_text(encoding="utf-8"))
    }

    assert readers <= allowed


def test_on_this_machine_alone_a_simple_admin_key_will_do() -> None:
    assert (
        load_settings({"ADMIN_MASTER_KEY": "a" * 64}, None).admin_master_key.get_secret_value()
        == "a" * 64
    )
