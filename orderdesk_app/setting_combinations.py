"""What several settings must be together. Each function yields its faults, one line each."""

from collections.abc import Iterator

from orderdesk_app.setting_rules import is_loopback, is_published


def faults_of_development(*, host: str, is_local: bool) -> Iterator[str]:
    """`is_local`: whether PUBLIC_URL leads to this machine alone."""
    if not is_loopback(host):
        yield (
            "HOST: development listens on this machine alone. Set "
            "APP_ENV=production, or HOST=127.0.0.1"
        )
    if not is_local:
        yield (
            "PUBLIC_URL: development is for this machine alone. Set "
            "APP_ENV=production, or PUBLIC_URL=http://localhost:8080"
        )


def faults_of_workers(workers: int, database_url: str, *, has_webui: bool) -> Iterator[str]:
    if workers > 1 and database_url.startswith("sqlite"):
        yield (
            "WORKERS: more than one needs Postgres. Set DATABASE_URL=postgresql://…, or WORKERS=1"
        )
    if workers > 1 and has_webui:
        yield "WORKERS: more than one needs ENABLE_WEBUI=false in this release"


def faults_of_mail(
    *, host: str, from_email: str, username: str, password: str, use_tls: bool
) -> Iterator[str]:
    """Of EMAIL_PROVIDER=smtp."""
    if not host:
        yield (
            "SMTP_HOST: EMAIL_PROVIDER=smtp needs a mail server. Example: "
            "SMTP_HOST=smtp.example.com"
        )
    if not from_email:
        yield (
            "SMTP_FROM_EMAIL: EMAIL_PROVIDER=smtp needs the address that mail comes from. Example: "
            "SMTP_FROM_EMAIL=orders@example.com"
        )
    if username and not password:
        yield "SMTP_PASSWORD: SMTP_USERNAME needs a password. Set it, or leave out both"
    if password and not username:
        yield "SMTP_USERNAME: SMTP_PASSWORD needs a name to log in with. Set it, or leave out both"
    if (username or password) and not use_tls and host and not is_loopback(host):
        yield (
            "SMTP_USE_TLS: a password is sent over an encrypted line alone, unless SMTP_HOST is "
            "this machine. Set SMTP_USE_TLS=true"
        )


def faults_of_public_signup(*, has_webui: bool, is_mail_lost: bool) -> Iterator[str]:
    """Of ENABLE_PUBLIC_SIGNUP=true."""
    if not has_webui:
        yield (
            "ENABLE_PUBLIC_SIGNUP: people sign up in the web app. Set ENABLE_WEBUI=true, or "
            "ENABLE_PUBLIC_SIGNUP=false"
        )
    if is_mail_lost:
        yield (
            "EMAIL_PROVIDER: public sign-up in production needs a mail server, as nobody would get "
            "the links. Set EMAIL_PROVIDER=smtp and SMTP_HOST, or ENABLE_PUBLIC_SIGNUP=false"
        )


def faults_of_production_secrets(*, kms_key: str, master_key: str, **others: str) -> Iterator[str]:
    """`others` are secrets that may be left out, by the names of their settings."""
    if not kms_key:
        yield (
            "MCP_KMS_KEY: production needs a key of its own. Example: "
            "MCP_KMS_KEY=$(openssl rand -base64 32)"
        )
    elif is_published(kms_key.strip()):
        yield (
            "MCP_KMS_KEY: this is a published or development key. Example: "
            "MCP_KMS_KEY=$(openssl rand -base64 32)"
        )
    if master_key and is_published(master_key):
        yield (
            "ADMIN_MASTER_KEY: this is a published or development key. Leave it out, "
            "or use 64 random URL-safe characters"
        )
    for name, secret in others.items():
        if secret and (len(secret) < 32 or is_published(secret)):
            yield (
                f"{name.upper()}: this is a development secret. Leave it empty, or "
                "use 32 random characters and more"
            )


def faults_of_production_address(*, is_given: bool, is_safe: bool) -> Iterator[str]:
    """`is_safe`: whether cookies are sent over https alone, or never leave this machine."""
    if not is_given:
        yield (
            "PUBLIC_URL: production needs the address that people and clients use. Example: "
            "PUBLIC_URL=https://orders.example.com"
        )
    elif not is_safe:
        yield (
            "SESSION_COOKIE_SECURE: production needs secure cookies. Set PUBLIC_URL "
            "to the https:// address, or SESSION_COOKIE_SECURE=true"
        )
