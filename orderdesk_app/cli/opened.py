"""The services of an installation that is there already, for commands beside its servers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orderdesk_app import wiring
from orderdesk_app.context import Actor, TenantId, Via
from orderdesk_app.db.inspection import look_at
from orderdesk_app.db.migrate import known_revisions
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.observability import configure_logging
from orderdesk_app.settings_reader import UNUSED_BY_STDIO, load_settings

SHELL = Actor(TenantId(""), via=Via.SHELL)


@asynccontextmanager
async def existing_services() -> AsyncIterator[wiring.Services]:
    """Raises ConfigurationError without a database of this release: such a command makes none and
    migrates none, as a server of another release may run.
    """
    settings = load_settings(instead=UNUSED_BY_STDIO)
    configure_logging("WARNING")
    state = look_at(settings.database_url.get_secret_value())
    if state is None or not state.revision:
        raise ConfigurationError("There is no database yet. Run: orderdesk serve")
    if state.revision != known_revisions()[0]:
        raise ConfigurationError(
            "The database has the schema of another release. Run: orderdesk doctor"
        )
    async with wiring.open_services(settings) as services:
        yield services
