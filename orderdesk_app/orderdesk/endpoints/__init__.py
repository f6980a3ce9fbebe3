"""Order Desk's endpoints as methods, one file a noun, one request a method; how a request travels
is transport.py's business.
"""
