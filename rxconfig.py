"""How Reflex draws and serves the web app.

`orderdesk build` and server.py read it; nobody starts `reflex run`.
"""

import reflex as rx

from orderdesk_app.components.theme import RADIX

config = rx.Config(
    app_name="orderdesk_app",
    telemetry_enabled=False,
    # show_built_with_reflex stays unset: the badge is the framework's default, and the operator's
    # choice (REFLEX_SHOW_BUILT_WITH_REFLEX).
    state_manager_mode="memory",
    # The framework's default is "*", for the websocket too. `frontend.reflex_environment` puts
    # PUBLIC_URL's origins here.
    cors_allowed_origins=["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"],
    frontend_compression_formats=["brotli", "gzip"],
    default_color_mode="system",
    plugins=[rx.plugins.RadixThemesPlugin(theme=rx.theme(**RADIX))],
    disable_plugins=[rx.plugins.SitemapPlugin],
)
