"""Our User-Agent header: Order Desk asks every client for a name of its own
(docs/orderdesk-api.md section 1).
"""

from orderdesk_app import __version__

USER_AGENT = f"OrderDeskAgents/{__version__}"
