"""Rows: one file for each noun, the engine that reaches them, and the one way to a tenant's own
(owned.py). No use-case lives here.
"""

# Foreign keys name tables by text, so every table has to be imported with the first one.
from orderdesk_app.db import schema as schema
