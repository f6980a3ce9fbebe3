"""The sandbox: an Order Desk of our own (docs/orderdesk-api.md section 16), in process and as a
server for tests. Nothing of tenants lives here.
"""
