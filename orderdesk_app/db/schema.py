"""All tables together, so that every foreign key finds its table; migrations compare with
`METADATA`.
"""

from orderdesk_app.db import (
    activity_slots,
    audit,
    audit_chains,
    buckets,
    changes,
    console,
    credential_days,
    devices,
    invitations,
    jobs,
    keyring,
    keys,
    leases,
    magic_links,
    memberships,
    oauth,
    passkeys,
    sandbox,
    sessions,
    signals,
    stores,
    tenants,
    user_days,
    users,
)
from orderdesk_app.db.rows import Row

TABLES = (
    activity_slots,
    audit,
    audit_chains,
    buckets,
    changes,
    console,
    credential_days,
    devices,
    invitations,
    jobs,
    keyring,
    keys,
    leases,
    magic_links,
    memberships,
    oauth,
    passkeys,
    sandbox,
    sessions,
    signals,
    stores,
    tenants,
    user_days,
    users,
)
METADATA = Row.metadata
