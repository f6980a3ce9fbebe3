"""Keys, seals, digests and signatures.

Nothing here knows a table or a use-case: rows come through Protocols.
"""
