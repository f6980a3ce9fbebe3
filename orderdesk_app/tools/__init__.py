"""What a tenant may do, as values: one decorated function a tool, and the one runner.

No protocol, no page, no table.
"""
