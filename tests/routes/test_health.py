"""What probes and admins are told: nothing is called well that was not tried."""

import asyncio
import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orderdesk_app import wiring
from orderdesk_app.context import Actor, Scope, Via
from orderdesk_app.db.migrate import known_revisions
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.services import health
from orderdesk_app.services.health import Health
from orderdesk_app.services.sessions import COOKIE
from tests.mcp_server import InProcessApp
from tests.storage import damage, nothing_free
from tests.worlds import MASTER_KEY, on_sqlite, open_services, settings_for

CHECKED = ("/health/ready", "/health")


class Clock:
    """Stands still until a test lets a second pass: what was found out less than a second ago may
    be told again.
    """

    def __init__(self) -> None:
        self.seconds = 1000.0
        services = wiring.current()
        services.health = Health(services.database, services.cache, known_revisions(), clock=self)

    def __call__(self) -> float:
        return self.seconds

    def a_second_passes(self) -> None:
        self.seconds += 1.0


async def test_ready_says_which_parts_answer(inside: InProcessApp) -> None:
    async with inside() as http:
        answer = await http.get("/health/ready")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {"database": "ok", "cache": "ok"}}
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", CHECKED)
async def test_a_database_that_lost_its_tables_is_not_ready(
    inside: InProcessApp, path: str
) -> None:
    async with inside() as http:
        clock = Clock()
        assert (await http.get(path)).status_code == 200
        await _sql("ALTER TABLE tenants RENAME TO elsewhere")
        clock.a_second_passes()
        broken = await http.get(path)
        alive = await http.get("/health/live")
        await _sql("ALTER TABLE elsewhere RENAME TO tenants")
        clock.a_second_passes()
        mended = await http.get(path)

    assert broken.status_code == 503
    assert broken.json()["status"] == "unavailable"
    assert broken.json()["checks"] == {"database": "unavailable", "cache": "ok"}
    assert "tenants" not in broken.text
    assert alive.status_code == 200
    assert mended.status_code == 200


@pytest.mark.parametrize(
    ("revision", "said"), [("9999", "newer"), ("0001", "older"), (None, "older")]
)
async def test_a_database_of_another_release_is_not_ready(
    inside: InProcessApp, revision: str | None, said: str
) -> None:
    """A server of an old release beside a migrated database changes nothing any more."""
    async with inside() as http:
        clock = Clock()
        [(own,)] = await wiring.current().database.query(
            "SELECT version_num FROM alembic_version", {}
        )
        await _sql("DELETE FROM alembic_version")
        if revision is not None:
            await _sql(f"INSERT INTO alembic_version VALUES ('{revision}')")
        other = await http.get("/health/ready")
        alive = await http.get("/health/live")
        await _sql("DELETE FROM alembic_version")
        await _sql(f"INSERT INTO alembic_version VALUES ('{own}')")
        clock.a_second_passes()
        same = await http.get("/health/ready")

    assert other.status_code == 503
    assert other.json()["checks"] == {"database": "ok", "cache": "ok", "schema": said}
    assert alive.status_code == 200
    assert same.json()["checks"] == {"database": "ok", "cache": "ok"}


@on_sqlite
async def test_a_database_that_takes_no_writes_is_not_ready(inside: InProcessApp) -> None:
    async with inside() as http:
        clock = Clock()
        with contextlib.closing(
            sqlite3.connect(wiring.current().database.path, isolation_level=None)
        ) as other:
            other.execute("BEGIN EXCLUSIVE")
            locked = await http.get("/health/ready")
            other.execute("ROLLBACK")
        clock.a_second_passes()
        free = await http.get("/health/ready")

    assert (locked.status_code, locked.json()["checks"]["database"]) == (503, "unavailable")
    assert free.status_code == 200


@on_sqlite
async def test_a_database_whose_file_was_moved_away_is_not_ready(inside: InProcessApp) -> None:
    async with inside() as http:
        clock = Clock()
        path = wiring.current().database.path
        moved = path.rename(path.with_name("elsewhere.db"))
        away = await http.get("/health/ready")
        made_anew = path.exists()
        path.write_bytes(moved.read_bytes())
        clock.a_second_passes()
        another = await http.get("/health/ready")
        moved.rename(path)
        clock.a_second_passes()
        back = await http.get("/health/ready")

    assert [answer.status_code for answer in (away, another, back)] == [503, 503, 200]
    assert not made_anew


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_postgres_that_only_reads_is_not_ready(
    inside: InProcessApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with inside() as http:
        with monkeypatch.context() as standby:
            standby.setenv("PGOPTIONS", "-c default_transaction_read_only=on")
            await wiring.current().database.close()  # who connects anew may only read
            answer = await http.get("/health/ready")
        await wiring.current().database.close()

    assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "unavailable")


@pytest.mark.parametrize("path", CHECKED)
async def test_a_cache_that_lost_its_file_is_not_ready(inside: InProcessApp, path: str) -> None:
    async with inside(CACHE_BACKEND="sqlite") as http:
        clock = Clock()
        before = await http.get(path)
        with sqlite3.connect(wiring.current().settings.data_dir / "cache.db") as cache:
            cache.execute("DROP TABLE entries")
        clock.a_second_passes()
        broken = await http.get(path)

    assert before.status_code == 200
    assert broken.status_code == 503
    assert broken.json()["checks"] == {"database": "ok", "cache": "unavailable"}


async def test_a_cache_that_keeps_nothing_is_not_ready(
    inside: InProcessApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forgets(key: str) -> None:
        return None

    async with inside() as http:
        monkeypatch.setattr(wiring.current().cache, "get", forgets)
        answer = await http.get("/health/ready")

    assert answer.json()["checks"] == {"database": "ok", "cache": "unavailable"}


async def test_a_part_that_hangs_is_not_waited_for(
    inside: InProcessApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(self: Any) -> None:
        await asyncio.sleep(60)

    async with inside() as http:
        monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)
        monkeypatch.setattr(type(wiring.current().database), "ping", hangs)
        started = time.monotonic()
        answer = await http.get("/health/ready")

    assert answer.status_code == 503
    assert time.monotonic() - started < 5


async def test_whoever_asks_often_shares_one_check_a_second(
    inside: InProcessApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may ask, without a key."""
    async with inside() as http:
        database = wiring.current().database
        pings, ping = 0, database.ping

        async def counted() -> None:
            nonlocal pings
            pings += 1
            await ping()

        monkeypatch.setattr(database, "ping", counted)
        clock = Clock()
        together = await asyncio.gather(*(http.get(CHECKED[number % 2]) for number in range(40)))
        later = await http.get("/health/ready")
        in_the_first_second = pings
        clock.a_second_passes()
        await http.get("/health/ready")

    assert {answer.status_code for answer in (*together, later)} == {200}
    assert (in_the_first_second, pings) == (1, 2)


# ------------------------------------------------------------------ in detail, for admins


async def test_details_are_for_admins_alone(inside: InProcessApp) -> None:
    async with inside() as http:
        services = wiring.current()
        _, member = await services.tenants.make_tenant("Ada's Teas")
        nobody = await http.get("/health/detailed")
        wrong = await http.get("/health/detailed", headers={"authorization": "Bearer wrong"})
        refused = await http.get(
            "/health/detailed", headers={"authorization": f"Bearer {member.reveal()}"}
        )
        allowed = await http.get(
            "/health/detailed", headers={"authorization": f"Bearer {MASTER_KEY}"}
        )

    assert (nobody.status_code, wrong.status_code, refused.status_code, allowed.status_code) == (
        401,
        401,
        403,
        200,
    )
    assert nobody.headers["www-authenticate"].startswith("Bearer")
    assert allowed.json()["checks"] == {"database": "ok", "cache": "ok"}
    assert allowed.json()["database"] in ("sqlite", "postgres")


async def test_a_signed_in_admin_sees_details_and_a_member_does_not(inside: InProcessApp) -> None:
    async with inside() as http:
        services = wiring.current()
        cookies = []
        for name, is_operator in (("Chief", True), ("Ada's Teas", False)):
            tenant, _ = await services.tenants.make_tenant(name, is_operator=is_operator)
            cookies.append(
                await services.sessions.start(
                    tenant.id, tenant.owner_id, credential_id=None, address="", user_agent=""
                )
            )
        chief, member, garbled = [
            (
                await http.get("/health/detailed", headers={"cookie": f"{COOKIE}={cookie}"})
            ).status_code
            for cookie in (*cookies, "a.b.c")
        ]

    assert (chief, member, garbled) == (200, 403, 401)


async def test_an_admins_narrow_key_opens_no_details(inside: InProcessApp) -> None:
    async with inside() as http:
        services = wiring.current()
        admin = (await services.access.by_token(MASTER_KEY)).actor
        person = Actor(admin.tenant_id, admin.user_id, via=Via.WEB)
        _, narrow = await services.keys.create(person, "reads", [Scope.ORDERS_READ])
        _, wide = await services.keys.create(person, "does all", list(Scope))
        answers = [
            await http.get("/health/detailed", headers={"authorization": f"Bearer {key.reveal()}"})
            for key in (narrow, wide)
        ]

    assert [answer.status_code for answer in answers] == [403, 200]
    assert "every permission" in answers[0].json()["message"]


@on_sqlite
async def test_details_name_the_proxy_that_is_in_force(
    inside: InProcessApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    headers = {"authorization": f"Bearer {MASTER_KEY}"}

    async with inside() as http:
        without = await http.get("/health/detailed", headers=headers)
        monkeypatch.setenv("HTTPS_PROXY", "http://ada:s3cret@proxy.example:3128")
        through = await http.get("/health/detailed", headers=headers)
        monkeypatch.setenv("NO_PROXY", "orderdesk.me")
        bypassed = await http.get("/health/detailed", headers=headers)

    assert without.json()["proxy"] is None
    assert through.json()["proxy"] == {
        "variable": "HTTPS_PROXY",
        "address": "proxy.example:3128",
    }
    assert "s3cret" not in through.text
    assert bypassed.json()["proxy"] is None


async def test_details_can_be_switched_off(inside: InProcessApp) -> None:
    async with inside(ENABLE_DETAILED_HEALTH="false") as http:
        answer = await http.get(
            "/health/detailed", headers={"authorization": f"Bearer {MASTER_KEY}"}
        )

    assert answer.status_code == 404


async def test_probes_are_read_and_never_written(inside: InProcessApp) -> None:
    async with inside() as http:
        for path in ("/health", "/health/live", "/health/ready", "/health/detailed"):
            refused = await http.post(path)
            assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD"), path
            assert refused.json() == {
                "error": "method_not_allowed",
                "message": "This address takes GET or HEAD alone.",
            }
            assert (await http.head(path)).status_code in (200, 401), path


async def _sql(statement: str) -> None:
    database = wiring.current().database
    if database.is_sqlite:
        with sqlite3.connect(database.path, timeout=10) as connection:
            connection.execute(statement)
        return
    async with await psycopg.AsyncConnection.connect(database.conninfo) as connection:
        await connection.execute(statement.encode())


@on_sqlite
async def test_on_a_full_disk_nothing_is_ready(
    inside: InProcessApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with inside() as http:
        clock = Clock()
        full = nothing_free(wiring.current().database.path.parent)
        clock.a_second_passes()
        with monkeypatch.context() as disk:
            disk.setattr(os, "statvfs", lambda _: full)
            on_a_full_disk = await http.get("/health/ready")
        clock.a_second_passes()
        afterwards = await http.get("/health/ready")

    assert on_a_full_disk.status_code == 503
    assert on_a_full_disk.json()["checks"] == {"database": "unavailable", "cache": "ok"}
    assert afterwards.status_code == 200


async def test_a_damaged_file_stops_the_start(sqlite_url: str) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    await asyncio.to_thread(damage, path, "audit_log")

    with pytest.raises(ConfigurationError, match="damaged"):
        async with open_services(settings_for(sqlite_url)):
            pass


@on_sqlite
async def test_a_page_that_turns_out_damaged_ends_readiness(inside: InProcessApp) -> None:
    async with inside() as http:
        clock = Clock()
        wiring.current().database.is_damaged = True
        clock.a_second_passes()
        answer = await http.get("/health/ready")

    assert answer.status_code == 503
