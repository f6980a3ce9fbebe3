"""What the pages are drawn of.

No state, no service: a component gets values and handlers as arguments.
"""
