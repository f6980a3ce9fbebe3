"""Answers kept for a while: in memory or in a SQLite file of its own.

What is kept, for how long and when it is dropped, services decide.
"""
