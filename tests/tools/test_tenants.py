"""The tool about the account: a master key is checked, and signs in only where the entry point
has a session.
"""

from dataclasses import replace

from sqlmodel import col, select

from orderdesk_app.context import Actor, Secret, Via
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.services.limit_store import DelayRules
from tests.worlds import World, counted

UNKNOWN = "x" * 64


async def test_a_master_key_is_told_whose_it_is(small: World) -> None:
    result = await small.owner.get("tenant_use_master_key", master_key=small.owner.key.reveal())

    assert (result["tenant"]["name"], result["tenant"]["role"], result["stores_count"]) == (
        "Ada's Teas",
        "member",
        1,
    )


async def test_over_http_the_requests_own_key_stays_in_force(small: World) -> None:
    result = await small.owner.get("tenant_use_master_key", master_key=small.neighbour.key.reveal())

    assert result["tenant"]["name"] == "Bert's Bikes"
    assert (await small.owner.get("stores_list"))["stores"][0]["store_id"] == small.store_id


async def test_over_stdio_it_signs_in(small: World) -> None:
    signed_in: list[Secret] = []

    outcome = await small.services.runner.run(
        None,
        "tenant_use_master_key",
        {"master_key": small.owner.key.reveal()},
        sign_in=signed_in.append,
    )

    assert outcome.error is None
    assert signed_in == [small.owner.key]
    rows = [
        row for row in await small.audit_rows() if row.tool == "tenant_use_master_key"
    ] or await flushed(small)
    assert rows[-1].via == "stdio"


async def flushed(small: World) -> list[AuditEntry]:
    await small.services.audit.flush()
    return [row for row in await small.audit_rows() if row.tool == "tenant_use_master_key"]


async def test_every_sign_in_leaves_its_row_before_the_answer(small: World) -> None:
    neighbour = await small.neighbour.principal()
    small.services.limits.sign_in.rules = DelayRules(10, 60, 60)

    await small.services.runner.run(
        None,
        "tenant_use_master_key",
        {"master_key": small.owner.key.reveal()},
        sign_in=lambda _: None,
    )
    over_http = neighbour.with_client("an agent", "7", "203.0.113.9")
    await small.services.runner.run(
        over_http, "tenant_use_master_key", {"master_key": small.owner.key.reveal()}
    )

    owner = (await small.owner.principal()).actor
    async with small.services.database.read() as session:
        rows = (
            await session.exec(
                select(AuditEntry)
                .where(col(AuditEntry.action) == "sign_in.key")
                .order_by(col(AuditEntry.at))
            )
        ).all()
    assert [(row.tenant_id, row.credential_id, row.via, row.outcome) for row in rows] == [
        (owner.tenant_id, owner.credential_id, "stdio", "ok"),
        (owner.tenant_id, owner.credential_id, "mcp", "ok"),
    ]
    assert (rows[1].client_name, rows[1].client_version, rows[1].address) == (
        "an agent",
        "7",
        "203.0.113.9",
    )


async def test_a_wrong_key_signs_nobody_in_and_is_written_down(small: World) -> None:
    signed_in: list[Secret] = []

    outcome = await small.services.runner.run(
        None, "tenant_use_master_key", {"master_key": UNKNOWN}, sign_in=signed_in.append
    )

    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.field) == ("AUTH_ERROR", "master_key")
    assert UNKNOWN not in outcome.error.message
    assert signed_in == []
    async with small.services.database.read() as session:
        [row] = (
            await session.exec(select(AuditEntry).where(col(AuditEntry.action) == "sign_in.key"))
        ).all()
    assert row.outcome == "AUTH_ERROR"


async def test_a_wrong_key_is_written_down_with_who_tried_it(small: World) -> None:
    over_http = (await small.owner.principal()).with_client("an agent", "7", "203.0.113.9")

    await small.services.runner.run(over_http, "tenant_use_master_key", {"master_key": UNKNOWN})

    async with small.services.database.read() as session:
        [row] = (
            await session.exec(select(AuditEntry).where(col(AuditEntry.action) == "sign_in.key"))
        ).all()
    actor = over_http.actor
    assert (row.outcome, row.tenant_id, row.credential_id) == (
        "AUTH_ERROR",
        actor.tenant_id,
        actor.credential_id,
    )
    assert (row.via, row.client_name, row.client_version, row.address) == (
        "mcp",
        "an agent",
        "7",
        "203.0.113.9",
    )


async def test_wrong_keys_are_limited_by_address(small: World) -> None:
    small.services.limits.sign_in.rules = DelayRules(3, 60, 60)
    principal = await small.owner.principal()
    here, there = (
        replace(principal, actor=replace(principal.actor, address=address))
        for address in ("203.0.113.9", "203.0.113.10")
    )
    before = counted("rate_limited", limit="sign_in")

    for _ in range(3):
        await small.services.runner.run(here, "tenant_use_master_key", {"master_key": UNKNOWN})
    fourth = await small.services.runner.run(here, "tenant_use_master_key", {"master_key": UNKNOWN})
    elsewhere = await small.services.runner.run(
        there, "tenant_use_master_key", {"master_key": UNKNOWN}
    )

    assert fourth.error is not None
    assert fourth.error.code == "RATE_LIMIT_EXCEEDED"
    assert fourth.error.retry_after is not None
    assert elsewhere.error is not None
    assert elsewhere.error.code == "AUTH_ERROR"
    assert counted("rate_limited", limit="sign_in") == before + 1


async def test_the_right_key_may_be_shown_as_often_as_one_likes(small: World) -> None:
    small.services.limits.sign_in.rules = DelayRules(3, 60, 60)

    for _ in range(6):
        assert (
            await small.owner.get("tenant_use_master_key", master_key=small.owner.key.reveal())
        )["stores_count"] == 1


async def test_an_access_key_is_not_a_master_key(small: World) -> None:
    person = Actor((await small.owner.principal()).actor.tenant_id, via=Via.WEB)
    _, key = await small.services.keys.create(person, "an agent")

    error = await small.owner.refused("tenant_use_master_key", master_key=key.reveal())

    assert error.code == "AUTH_ERROR"
    assert "access key" in error.message
