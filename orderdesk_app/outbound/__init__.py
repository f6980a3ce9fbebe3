"""Requests to addresses that strangers name; Order Desk and the mail server, whose addresses an
operator sets, have engines of their own.
"""
