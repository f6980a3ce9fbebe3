"""Rows: one file for each noun, the engine that reaches them, and the one way to a tenant's own
(owned.py). No use-case lives here.
"""

# Foreign keys name tables by text: whoever imports one table needs all of them known.
from orderdesk_app.db import schema as schema
