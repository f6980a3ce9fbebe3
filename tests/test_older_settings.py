"""Every setting of the older system is here with its default, or the README says what differs.

The names and defaults are those of the older system and of what was promised to its users. An empty
text is no value.
"""

import re

import pytest

from orderdesk_app.documents import ROOT, env_example
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.settings_reader import load_settings

OLDER = {
    # the server
    "SERVER_MODE": "mcp",
    "APP_ENV": "development",
    "HOST": "127.0.0.1",
    "PORT": "8080",
    "PUBLIC_URL": "http://localhost:8080",
    "DATABASE_URL": "sqlite:///data/app.db",
    "LOG_LEVEL": "INFO",
    "TRUST_PROXY": "false",
    "WORKERS": "1",
    "SHUTDOWN_DELAY": "5",
    # keys
    "MCP_KMS_KEY": "(required)",
    "MCP_KMS_KEY_PREVIOUS": "",
    "ADMIN_MASTER_KEY": "(published)",
    "ORDERDESK_MCP_KEY": "",
    "SERVER_ADMIN_TOKEN": "",
    "AUTO_PROVISION_TENANT": "true",
    "ALLOW_QUERY_TOKEN": "true",
    # the web app
    "ENABLE_WEBUI": "false",
    "JWT_SECRET_KEY": "(required with the web UI)",
    "CSRF_SECRET_KEY": "(made at each start)",
    "SESSION_TIMEOUT": "86400",
    "SESSION_COOKIE_NAME": "orderdesk_session",
    "SESSION_COOKIE_SECURE": "true",
    "SESSION_COOKIE_HTTPONLY": "true",
    "SESSION_COOKIE_SAMESITE": "Strict",
    "ENABLE_TRACE_VIEWER": "true",
    "ALLOWED_ORIGINS": "",
    # limits
    "RATE_LIMIT_RPM": "120",
    "WEBUI_RATE_LIMIT_LOGIN": "5",
    "WEBUI_RATE_LIMIT_SIGNUP": "2",
    "WEBUI_RATE_LIMIT_API_CONSOLE": "30",
    "SIGNUP_RATE_LIMIT_PER_HOUR": "3",
    # people and mail
    "ENABLE_PUBLIC_SIGNUP": "false",
    "REQUIRE_EMAIL_VERIFICATION": "true",
    "SIGNUP_VERIFICATION_EXPIRY": "900",
    "MAGIC_LINK_EXPIRY": "900",
    "EMAIL_PROVIDER": "console",
    "SMTP_HOST": "",
    "SMTP_PORT": "587",
    "SMTP_USERNAME": "",
    "SMTP_PASSWORD": "",
    "SMTP_USE_TLS": "true",
    "SMTP_FROM_EMAIL": "",
    "SMTP_USER": "",
    "SMTP_FROM": "",
    "SMTP_TLS": "true",
    # cache
    "CACHE_BACKEND": "memory",
    "REDIS_URL": "redis://redis:6379/0",
    "CACHE_TTL_ORDERS": "15",
    "CACHE_TTL_PRODUCTS": "60",
    "CACHE_TTL_CUSTOMERS": "60",
    "CACHE_TTL_STORE_SETTINGS": "300",
    # Order Desk
    "ORDERDESK_API_URL": "https://app.orderdesk.me/api/v2",
    "HTTP_TIMEOUT": "30",
    "HTTP_MAX_RETRIES": "3",
    "MUTATION_MAX_RETRIES": "5",
    "WEBHOOK_SECRET": "",
    "ORDERDESK_TEST_ENABLED": "false",
    "ORDERDESK_TEST_STORE_ID": "",
    "ORDERDESK_TEST_API_KEY": "",
    # operators
    "ENABLE_METRICS": "true",
    "METRICS_TOKEN": "",
    "ENABLE_DETAILED_HEALTH": "true",
    "ENABLE_AUDIT_LOG": "true",
    "AUDIT_LOG_RETENTION_DAYS": "90",
    "JOURNAL_RETENTION_DAYS": "90",
}
# The column "here" of a setting that this version lacks begins with one of these.
ABSENT = ("absent", "to come")


def defaults() -> dict[str, str]:
    """What `.env.example` shows, by name."""
    return dict(re.findall(r"^#([A-Z_]+)=(.*)$", env_example(), re.MULTILINE))


def differences() -> dict[str, list[str]]:
    """The rows of the README's table of settings, by name: older, here, why."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    part = page.partition("## What differs from the older system, and why\n")[2]
    table = part.partition("| Setting |")[2].partition("\n\n")[0]
    rows: dict[str, list[str]] = {}
    for line in table.splitlines()[2:]:
        first, *others = [cell.strip() for cell in line.strip("|").split("|")]
        for name in re.findall("`([A-Z_]+)`", first):
            assert name not in rows, f"{name} has two rows"
            rows[name] = others
    return rows


@pytest.mark.parametrize("name", sorted(OLDER))
def test_an_older_setting_has_its_default_or_a_row_that_says_what_differs(name: str) -> None:
    here = defaults().get(name)
    row = differences().get(name)

    assert row is not None or here == OLDER[name]
    if row is not None:
        _, now, why = row
        assert why.endswith("."), "a reason is a sentence"
        assert now.startswith(ABSENT) == (here is None), "the row is as old as the code"


# Values that the older system took besides its defaults.
OLDER_VALUES = [
    *[("LOG_LEVEL", value) for value in ("debug", "info", "warning", "error", "critical")],
    *[("CACHE_BACKEND", value) for value in ("memory", "sqlite", "redis")],
    *[("SESSION_COOKIE_SAMESITE", value) for value in ("Strict", "Lax", "None")],
    *[("TRUST_PROXY", value) for value in ("true", "false", "1", "0", "yes", "on", "off")],
    *[("ENABLE_WEBUI", value) for value in ("true", "false", "1", "0", "yes", "no")],
    ("PORT", "1024"),
    ("PORT", "65535"),
    ("HTTP_TIMEOUT", "60"),
    ("SESSION_TIMEOUT", "3600"),
    ("DATABASE_URL", "sqlite:///data/other.db"),
    ("PUBLIC_URL", "http://localhost:8080"),
]


@pytest.mark.parametrize(("name", "value"), OLDER_VALUES)
def test_an_older_value_is_taken_or_its_row_says_that_it_is_not(name: str, value: str) -> None:
    try:
        load_settings({name: value})
    except ConfigurationError:
        _, now, _ = differences()[name]
        assert f"`{value}`" in now


def test_every_setting_in_the_table_is_one_of_the_older_system() -> None:
    assert set(differences()) <= set(OLDER)
