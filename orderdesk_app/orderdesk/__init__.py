"""Speaks Order Desk's REST API v2: requests, waiting lines, locks and answers.

Tenants, caches and databases are not known here.
"""
