"""The cache: in memory or in a SQLite file of its own.

Services decide what is kept, for how long, and when it is dropped.
"""
