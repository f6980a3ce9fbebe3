"""Plain HTTP: forms that carry secrets, health, metrics, and the middleware around every page.

No Reflex here.
"""

from starlette.routing import Route

from orderdesk_app.routes import (
    account,
    activity,
    apps,
    confirm,
    connect,
    consent,
    console,
    health,
    invitations,
    keys,
    metrics,
    oauth_metadata,
    oauth_registration,
    oauth_tokens,
    older_addresses,
    openapi,
    outbox,
    own_data,
    passkeys,
    people,
    sign_in,
    sign_up,
    stores,
    users,
)


def every_route() -> list[Route]:
    """All plain routes. Beside them there are `/mcp` and the addresses of the web app."""
    return [*machine_routes(), *all_routes()]


def machine_routes() -> list[Route]:
    """What is served without the web app too."""
    return [*health.ROUTES, *metrics.ROUTES, *openapi.ROUTES]


def all_routes() -> list[Route]:
    """The forms and downloads of the web app, which are answered before Reflex sees them."""
    return [
        *sign_in.ROUTES,
        *confirm.ROUTES,
        *consent.ROUTES,
        *apps.ROUTES,
        *sign_up.ROUTES,
        *passkeys.ROUTES,
        *account.ROUTES,
        *own_data.ROUTES,
        *keys.ROUTES,
        *connect.ROUTES,
        *people.ROUTES,
        *invitations.ROUTES,
        *stores.ROUTES,
        *users.ROUTES,
        *console.ROUTES,
        *activity.ROUTES,
        *outbox.ROUTES,
        *oauth_metadata.ROUTES,
        *oauth_registration.ROUTES,
        *oauth_tokens.ROUTES,
        *older_addresses.ROUTES,
    ]
