"""`orderdesk signin-link`: a link that signs the admin account in, once."""

import argparse
import asyncio
import sys
from urllib.parse import urlencode, urlsplit

from orderdesk_app import wiring
from orderdesk_app.config import Settings
from orderdesk_app.context import Secret
from orderdesk_app.db.migrate import upgrade
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.observability import configure_logging
from orderdesk_app.setting_rules import url_host
from orderdesk_app.settings_reader import load_settings


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    link = commands.add_parser(
        "signin-link",
        help="print a link that signs the admin account in, once, within 15 minutes",
        description=(
            "Makes a one-time sign-in link for the admin account and prints it on standard "
            "output. Whoever opens it first is signed in: hand it over safely."
        ),
    )
    link.set_defaults(run=run_sign_in_link)


def run_sign_in_link(chosen: argparse.Namespace) -> int:
    settings = load_settings()
    if not settings.enable_webui:
        raise ConfigurationError(
            "ENABLE_WEBUI: there is no web app to sign in to. Set ENABLE_WEBUI=true."
        )
    configure_logging(settings.log_level, sys.stderr)
    upgrade(settings.database_url.get_secret_value())
    print(asyncio.run(make_link(settings)))
    return 0


async def make_link(settings: Settings) -> str:
    async with wiring.open_services(settings) as services:
        given = settings.admin_master_key.get_secret_value()
        admin = await services.tenants.ensure_admin(
            master_key=Secret(given) if given else None, has_webui=True
        )
        return link_address(settings, await services.sign_in.make_link(admin.tenant_id))


def link_address(settings: Settings, token: Secret) -> str:
    return f"{web_address(settings)}/sign-in/link?{urlencode({'token': token.reveal()})}"


def web_address(settings: Settings) -> str:
    """The address of the web app: PUBLIC_URL; in development with the port that is served."""
    public = urlsplit(settings.public_url)
    if settings.is_production or public.port == settings.port:
        return settings.public_url
    return f"{public.scheme}://{url_host(public.hostname or '')}:{settings.port}"
