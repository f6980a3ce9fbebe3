"""Plain HTTP: forms that carry secrets, health, metrics, and the middleware around every page.

No Reflex here.
"""

from starlette.routing import Route

from orderdesk_app.routes import account, activity, console, keys, sign_in, stores


def all_routes() -> list[Route]:
    """The forms and downloads of the web app, which are answered before Reflex sees them."""
    return [
        *sign_in.ROUTES,
        *account.ROUTES,
        *keys.ROUTES,
        *stores.ROUTES,
        *console.ROUTES,
        *activity.ROUTES,
    ]
