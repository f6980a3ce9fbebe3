"""Tables: one file for each noun, the engine that reaches them, and the only way to a tenant's own
rows (owned.py). No use case lives here.
"""

# Foreign keys name tables by text, so every table has to be imported with the first one.
from orderdesk_app.db import schema as schema
