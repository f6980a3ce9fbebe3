"""Order Desk's endpoints as methods: one file a noun, one request a method. transport.py sends the
requests.
"""
