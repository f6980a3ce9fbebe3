"""What the browser may see and do: small values made for the screen, and guarded handlers that ask
a service.
"""
