"""E-mail: what a mail says, how it looks, and how it is sent. Who gets one, and when, is for the
services to decide.
"""
