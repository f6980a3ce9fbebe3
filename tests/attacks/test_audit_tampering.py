"""Somebody who can write to the database, and has no key, changes the audit log: a column of a row,
a row in the middle or at the end, the order, the end of the chain. Guards: each row is linked to
the one before it by an HMAC over all of its columns, and the end of the chain is signed
(docs/decisions/0024-audit-chains.md).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from orderdesk_app.context import TenantId, new_id
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.audit_chains import AuditChain
from orderdesk_app.db.engine import Database
from orderdesk_app.security.audit_links import AuditKey
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.services import audit_chains, audit_links
from tests.attacks.cast import switched_off
from tests.audit_worlds import ChainWorld, found_in
from tests.worlds import on_sqlite

HEAD = [column.name for column in AuditChain.__table__.columns]  # type: ignore[attr-defined]
COLUMNS = list(AuditEntry.__table__.columns)  # type: ignore[attr-defined]
_PLAIN = [column.name for column in COLUMNS if column.name in audit_links.PLAIN]
_CHAINED = [column.name for column in COLUMNS if column.name not in audit_links.PLAIN]

pytestmark = on_sqlite


@pytest.fixture
def chain(database: Database, keyring: Keyring, tenant: Any) -> ChainWorld:
    return ChainWorld(database, keyring, tenant.actor)


@contextmanager
def without(column: str) -> Iterator[None]:
    """Links that do not cover that column."""

    place = audit_links.PLAIN.index(column)

    def leaving_out(fields: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
        return lambda row: fields((*row[:place], None, *row[place + 1 :]))

    with ExitStack() as off:
        for name in ("public_fields", "personal_fields"):
            fake = leaving_out(getattr(audit_links, name))
            for module in (audit_links, audit_chains):
                off.enter_context(switched_off(module, name, fake))
        yield


async def change(chain: ChainWorld, column: str, neighbour: Any) -> None:
    """Another value of that column in the third row."""
    row = (await chain.rows())[2]
    ours = getattr(row, column)
    values: dict[str, Any] = {
        "id": new_id(),
        "tenant_id": neighbour.view.id,
        "user_id": neighbour.view.owner_id,
        "sequence": 30,
    }
    value = values.get(column) or _another(ours)
    await chain.tamper(
        f"UPDATE audit_log SET {column} = :value WHERE id = :id", value=value, id=row.id
    )


def _another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, bytes):
        return bytes([*value[:-1], value[-1] ^ 1])
    if isinstance(value, datetime):
        moved = value - timedelta(microseconds=1)
        return moved.replace(tzinfo=None).isoformat(" ", "microseconds")
    return f"{value or ''}x"


@pytest.mark.parametrize("column", _PLAIN)
async def test_no_column_is_changed_unseen(chain: ChainWorld, neighbour: Any, column: str) -> None:
    await chain.write(5)

    await change(chain, column, neighbour)

    report = await chain.report()
    assert report.state == "tampered"
    assert found_in(report)[0] == ("missing" if column == "tenant_id" else "changed", 3)


@pytest.mark.parametrize("column", [name for name in _PLAIN if name != "tenant_id"])
async def test_without_its_place_in_the_link_the_change_is_not_seen(
    chain: ChainWorld, neighbour: Any, column: str
) -> None:
    with without(column):
        await chain.write(5)
        await change(chain, column, neighbour)

        assert (await chain.report()).state == "whole"


@pytest.mark.parametrize("column", _CHAINED)
async def test_the_columns_of_the_chain_are_not_changed_unseen(
    chain: ChainWorld, neighbour: Any, column: str
) -> None:
    await chain.write(5)

    await change(chain, column, neighbour)

    assert (await chain.report()).state == "tampered"


@pytest.mark.parametrize("column", _PLAIN + _CHAINED)
async def test_what_no_column_can_hold_stops_no_check(chain: ChainWorld, column: str) -> None:
    """SQLite takes text where a number or a time belongs."""
    if column in ("tenant_id", "user_id"):
        return  # a foreign key
    await chain.write(5)

    for place, junk in ((1, "\u2028junk"), (2, b"\xff\x00")):
        row_id = (await chain.ids())[place]
        statement = f"UPDATE audit_log SET {column} = :junk WHERE id = :id"
        await chain.tamper(statement, junk=junk, id=row_id)
        assert (await chain.report()).state == "tampered"


async def test_an_erasure_is_forged_by_nobody(chain: ChainWorld) -> None:
    blank = "role = '', credential_id = NULL, session_id = NULL, client_name = '', user_id = NULL,"
    blank += " client_version = '', address = '', arguments = NULL, request_id = '', salt = NULL"
    await chain.write(5)

    await chain.tamper(f"UPDATE audit_log SET {blank}, erasure = link WHERE sequence = 2")

    assert found_in(await chain.report()) == [("changed", 2)]
    with switched_off(AuditKey, "erasure", lambda _, link: link):
        assert (await chain.report()).state == "whole"


async def test_a_row_is_not_taken_out(chain: ChainWorld) -> None:
    await chain.write(5)

    await chain.tamper("DELETE FROM audit_log WHERE sequence = 3")
    deleted = await chain.report()
    await chain.tamper("UPDATE audit_log SET sequence = sequence - 1 WHERE sequence = 4")
    await chain.tamper("UPDATE audit_log SET sequence = sequence - 1 WHERE sequence = 5")
    closed_up = await chain.report()

    assert found_in(deleted) == [("missing", 3)]
    assert found_in(closed_up) == [("changed", 3), ("changed", 4), ("missing", 5)]


async def test_rows_do_not_change_places(chain: ChainWorld) -> None:
    await chain.write(5)

    for before, after in ((2, 20), (3, 2), (20, 3)):
        await chain.tamper(f"UPDATE audit_log SET sequence = {after} WHERE sequence = {before}")

    assert found_in(await chain.report()) == [("changed", 2), ("changed", 3), ("changed", 4)]


@pytest.mark.parametrize("number", ["6", "0", "NULL"])
async def test_a_row_is_not_slipped_in(chain: ChainWorld, number: str) -> None:
    await chain.write(5)
    columns = ", ".join(column.name for column in COLUMNS)
    values = columns.replace("sequence", number).replace("id,", "'01FORGED',", 1)

    await chain.tamper(
        f"INSERT INTO audit_log ({columns}) SELECT {values} FROM audit_log WHERE sequence = 2"
    )

    assert [finding.kind for finding in (await chain.report()).findings] == ["added"]


CUT = "DELETE FROM audit_log WHERE sequence > 3"
# What was at the end is in the row itself, and the signature of that time in an older backup.
SET_BACK = (
    "UPDATE audit_chains SET sequence = 3, "
    "link = (SELECT link FROM audit_log WHERE sequence = 3){more} "
    "WHERE id <> 'register'"
)


async def test_the_end_is_not_cut_off(chain: ChainWorld) -> None:
    await chain.write(5)

    await chain.tamper(CUT)
    cut = await chain.report()
    await chain.tamper(SET_BACK.format(more=""))
    set_back = await chain.report()

    assert found_in(cut) == [("missing", 4)]
    assert found_in(set_back) == [("chain", None)]
    with switched_off(AuditKey, "is_signature", lambda *_: True):
        assert (await chain.report()).state == "whole"


async def test_a_server_that_goes_on_does_not_sign_what_was_cut_off(chain: ChainWorld) -> None:
    await chain.write(5)
    await chain.tamper(CUT)
    await chain.tamper(SET_BACK.format(more=""))

    await chain.write(2)

    report = await chain.report()
    assert (report.state, report.whole, found_in(report)) == ("tampered", 5, [("chain", None)])


async def test_who_has_an_older_end_with_its_signature_is_seen_by_a_checkpoint(
    chain: ChainWorld,
) -> None:
    await chain.write(3)
    [(signature,)] = await chain.database.query(
        "SELECT signature FROM audit_chains WHERE id <> 'register'", {}
    )
    await chain.write(2)
    token = (await chain.report()).checkpoint

    await chain.tamper(CUT)
    await chain.tamper(SET_BACK.format(more=", signature = :signature"), signature=signature)

    assert (await chain.report()).state == "whole"
    assert found_in(await chain.report([token])) == [("checkpoint", 4)]
    await chain.write(4, outcome="NOT_FOUND")
    assert found_in(await chain.report([token]))[0] == ("checkpoint", 5)


@pytest.mark.parametrize("gone", ["audit_chains", "tenants"])
async def test_a_whole_chain_does_not_vanish(chain: ChainWorld, gone: str) -> None:
    await chain.write(5)
    token = (await chain.report()).checkpoint

    await chain.tamper(f"DELETE FROM {gone}")

    reports = await chain.reports([token])
    assert {report.state for report in reports} == {"tampered"}


async def test_a_chain_is_not_begun_anew_over_its_rows(chain: ChainWorld) -> None:
    await chain.write(5)

    await chain.tamper("DELETE FROM audit_chains")
    await chain.write(2)

    report = await chain.report()
    assert (report.state, [row.sequence for row in await chain.rows()][-1]) == ("tampered", 7)


async def test_an_account_is_not_called_deleted_to_hide_its_rows(chain: ChainWorld) -> None:
    await chain.write(5)

    await chain.tamper("UPDATE audit_chains SET ended_at = '2026-01-01 00:00:00.000000'")

    assert (await chain.report()).state == "tampered"


@pytest.mark.parametrize("column", [name for name in HEAD if name != "tenant_id"])
async def test_the_end_of_a_chain_is_not_changed_unseen_and_stops_no_server(
    chain: ChainWorld, column: str
) -> None:
    """SQLite takes text where a number or a time belongs."""
    await chain.write(5)
    mine = "WHERE tenant_id IS NOT NULL"
    [(value,)] = await chain.database.query(f"SELECT {column} FROM audit_chains {mine}", {})
    moment = "2026-01-01 00:00:00.000000"
    other = moment if column.endswith("_at") else _another(value)

    for forged in (other, "\u2028junk", b"\xff\x00", 3.5, -5):
        await chain.tamper(f"UPDATE audit_chains SET {column} = :forged {mine}", forged=forged)

        report = await chain.report()
        assert (report.state, report.checkpoint) == ("tampered", ""), forged
        before = len(await chain.rows())
        await chain.write()
        assert len(await chain.rows()) == before + 1
        assert (await chain.report()).state == "tampered" or column == "begun_at"
        assert {report.state for report in await chain.reports()} >= {"tampered"}


async def test_an_end_that_was_set_back_over_its_rows_stops_no_server(chain: ChainWorld) -> None:
    await chain.write(5)

    await chain.tamper(SET_BACK.format(more=""))
    await chain.write(2)

    assert [row.sequence for row in await chain.rows()] == [1, 2, 3, 4, 5, 6, 7]
    assert (await chain.report()).state == "tampered"


async def test_a_row_on_the_next_number_stops_no_server(chain: ChainWorld) -> None:
    await chain.write(5)
    columns = ", ".join(column.name for column in COLUMNS)
    values = columns.replace("sequence", "6").replace("id,", "'01FORGED',", 1)
    await chain.tamper(
        f"INSERT INTO audit_log ({columns}) SELECT {values} FROM audit_log WHERE sequence = 2"
    )

    await chain.write(2)

    assert [row.sequence for row in await chain.rows()] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert ("changed", 6) in found_in(await chain.report())


MINE = "WHERE tenant_id = (SELECT tenant_id FROM audit_chains WHERE tenant_id IS NOT NULL)"
UNDONE = "UPDATE audit_chains SET begun_at = NULL, sequence = 0, link = x'', expired_link = x''"


@pytest.mark.parametrize(
    "also",
    [
        "DELETE FROM audit_chains WHERE tenant_id IS NOT NULL",
        f"{UNDONE}, signature = NULL WHERE tenant_id IS NOT NULL",
    ],
)
async def test_a_chain_does_not_vanish_with_all_of_its_rows(chain: ChainWorld, also: str) -> None:
    await chain.write(2, actor=replace(chain.actor, tenant_id=TenantId(""), user_id=None))
    await chain.write(5)
    await chain.tamper(f"DELETE FROM audit_log {MINE}")
    await chain.tamper(also)

    gone = await chain.reports()
    await chain.write(2)  # which begins another
    begun_anew = await chain.reports()

    for reports in (gone, begun_anew):
        [told] = [report for report in reports if report.state == "tampered"]
        assert "1 chain was deleted with all rows" in told.findings[0].words


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM audit_chains WHERE id = 'register'",
        "UPDATE audit_chains SET sequence = sequence - 1 WHERE id = 'register'",
        f"{UNDONE}, signature = NULL WHERE id = 'register'",
    ],
)
async def test_nobody_but_us_counts_the_chains(
    chain: ChainWorld, neighbour: Any, change: str
) -> None:
    await chain.write(5)

    await chain.tamper(change)
    changed = await chain.reports()
    await chain.write(2, actor=neighbour.actor)  # a server counts on

    for reports in (changed, await chain.reports()):
        assert [report.chain for report in reports if report.state == "tampered"] == ["register"]
