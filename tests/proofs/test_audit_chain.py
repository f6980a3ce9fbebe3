"""The chain of the audit log is whole while two processes write to it and one is killed: there is
no hole, and no two rows behind one.
"""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orderdesk_app.context import TenantId
from orderdesk_app.db.engine import Database
from orderdesk_app.security.keyring import Keyring
from tests.audit_worlds import ChainWorld
from tests.worlds import eventually

# Batches of reads and single rows of writes, without end.
WRITER = """
import asyncio, sys
from pathlib import Path
from orderdesk_app.context import Actor, TenantId, Via
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keyring import KeyRows
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.sealing import Sealer
from orderdesk_app.services.audit import AuditLog, Entry

async def main(url, folder, tenant, name):
    database = Database(url)
    keyring = await Keyring.open(KeyRows(database), kms_key="", data_dir=Path(folder))
    audit = AuditLog(database, Sealer(keyring), enabled=True)
    actor = Actor(TenantId(tenant), via=Via.MCP, client_name=name)
    while True:
        for _ in range(20):
            await audit.queue(Entry(actor, "tool", tool="orders_get", arguments={"order_id": "5"}))
        await asyncio.gather(audit.flush(), audit.write(Entry(actor, "tool", tool="orders_update")))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.slow
async def test_two_writers_of_which_one_is_killed_leave_a_whole_chain(
    database: Database, database_url: str, keyring: Keyring, data_dir: Path, tenant: Any
) -> None:
    chain = ChainWorld(database, keyring, tenant.actor)

    async def count() -> int:
        [(rows,)] = await database.query("SELECT count(*) FROM audit_log", {})
        return int(rows)

    async def have_both_written() -> bool:
        found = await database.query("SELECT DISTINCT client_name FROM audit_log", {})
        return len(found) == 2 and await count() >= 200

    async def goes_on() -> bool:
        return await count() >= rows + 50

    tenant_id = chain.actor.tenant_id
    writers = [start(database_url, data_dir, tenant_id, name) for name in ("one", "another")]
    try:
        await eventually(have_both_written, 30)
        await kill(writers[0])
        rows = await count()
        await eventually(goes_on, 30)
    finally:
        for writer in writers:
            await kill(writer)

    report = await chain.report()
    assert (report.state, report.findings, report.whole) == ("whole", [], await count())


def start(url: str, folder: Path, tenant_id: TenantId, name: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", WRITER, url, str(folder), tenant_id, name])


async def kill(writer: "subprocess.Popen[bytes]") -> None:
    writer.send_signal(signal.SIGKILL)
    await asyncio.to_thread(writer.wait)
