"""A new MCP_KMS_KEY while servers run: every key is readable at every moment."""

import asyncio
import base64
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog

from orderdesk_app.context import Actor, TenantId, Via
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keyring import KeyRows
from orderdesk_app.db.signals import Signals
from orderdesk_app.errors import ConfigurationError, Conflict
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.services import key_rotation as module
from orderdesk_app.services.audit import Entry
from orderdesk_app.services.key_rotation import KeyRotation

SHELL = Actor(TenantId(""), via=Via.SHELL)
KEYS = 60


def new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


OLD, NEW, LOST = new_key(), new_key(), new_key()


@dataclass
class AuditTrail:
    rows: list[Entry] = field(default_factory=list)

    async def write_or_queue(self, entry: Entry) -> None:
        self.rows.append(entry)

    async def queue(self, entry: Entry) -> None:
        self.rows.append(entry)


@dataclass
class Installation:
    database: Database
    data_dir: Path
    audit: AuditTrail = field(default_factory=AuditTrail)

    async def keyring(self, key: str, previous: str = "") -> Keyring:
        """That of a process that has just started: it holds no key of a tenant."""
        rows = KeyRows(self.database)
        return await Keyring.open(rows, kms_key=key, previous=previous, data_dir=self.data_dir)

    async def rotation(self, key: str = NEW, previous: str = OLD) -> KeyRotation:
        return KeyRotation(
            self.database,
            KeyRows(self.database),
            await self.keyring(key, previous),
            Signals(self.database),
            self.audit,
            objection_seconds=0.01,
        )

    async def make_keys(self, keyring: Keyring, names: range) -> None:
        for name in names:
            await keyring.tenant(str(name))

    async def seals(self, keyring: Keyring) -> dict[str, bytes]:
        """What each tenant's key makes of the same bytes."""
        return {
            str(name): (await keyring.tenant(str(name))).encrypt(bytes(12), b"x", b"")
            for name in range(KEYS)
        }


class RowsWithoutTenants(KeyRows):
    """Tenants are not the subject: no row of `tenants` is made for each key."""

    async def add(self, **values: object) -> object:  # type: ignore[override]
        return await super().add(**(values | {"tenant_id": None}))  # type: ignore[arg-type]


@pytest.fixture
async def installed(
    database: Database, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Installation:
    monkeypatch.setattr(module, "BATCH", 7)
    installed = Installation(database, data_dir)
    rows = RowsWithoutTenants(database)
    keyring = await Keyring.open(rows, kms_key=OLD, data_dir=data_dir)
    await installed.make_keys(keyring, range(KEYS))
    return installed


async def test_every_key_is_readable_at_every_moment(installed: Installation) -> None:
    servers = ((OLD, NEW), (NEW, OLD))
    before = await installed.seals(await installed.keyring(OLD))
    rotation = await installed.rotation()
    done, has_read = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        while not done.is_set():
            for key, previous in servers:
                assert await installed.seals(await installed.keyring(key, previous)) == before
                has_read.set()

    reader = asyncio.create_task(read())
    await has_read.wait()
    rotated = await rotation.rotate(SHELL)
    done.set()
    await reader

    assert rotated.rows == KEYS + 1
    assert await installed.seals(await installed.keyring(NEW)) == before
    with pytest.raises(ConfigurationError, match="MCP_KMS_KEY_PREVIOUS"):
        await installed.keyring(OLD)
    assert [(row.action, row.arguments) for row in installed.audit.rows] == [
        ("installation.rotate_keys", {"rows": KEYS + 1, "unreadable": 0})
    ]


async def test_one_that_is_killed_in_the_middle_goes_on_where_it_was(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await installed.seals(await installed.keyring(OLD))
    rewrap = KeyRows.rewrap
    batches = 0

    async def dies(self: KeyRows, *given: object, **named: object) -> int:
        nonlocal batches
        batches += 1
        if batches == 4:
            raise asyncio.CancelledError
        return await rewrap(self, *given, **named)  # type: ignore[arg-type]

    rotation = await installed.rotation()
    with monkeypatch.context() as patched:
        patched.setattr(KeyRows, "rewrap", dies)
        with pytest.raises(asyncio.CancelledError):
            await rotation.rotate(SHELL)
    counts = [key.rows for key in await rotation.wrapping_keys()]
    with pytest.raises(ConfigurationError, match="MCP_KMS_KEY_PREVIOUS"):
        await installed.keyring(NEW)  # a server that starts now could not open all
    between = [
        await installed.seals(await installed.keyring(*keys)) for keys in ((OLD, NEW), (NEW, OLD))
    ]
    again = await (await installed.rotation()).rotate(SHELL)

    assert counts == [21, KEYS + 1 - 21]
    assert between == [before, before]
    assert again.rows == KEYS + 1 - 21
    assert await installed.seals(await installed.keyring(NEW)) == before


async def test_two_at_once_wrap_each_key_once(installed: Installation) -> None:
    before = await installed.seals(await installed.keyring(OLD))
    first, second = await installed.rotation(), await installed.rotation()

    rotated = await asyncio.gather(first.rotate(SHELL), second.rotate(SHELL))

    assert sum(each.rows for each in rotated) == KEYS + 1
    assert await installed.seals(await installed.keyring(NEW)) == before


async def test_a_key_that_a_server_makes_meanwhile_is_wrapped_too(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await Keyring.open(
        RowsWithoutTenants(installed.database),
        kms_key=OLD,
        previous=NEW,
        data_dir=installed.data_dir,
    )
    rewrap = KeyRows.rewrap

    async def meanwhile(self: KeyRows, *given: object, **named: object) -> int:
        await server.tenant("z a newcomer")  # stands where it was read already
        return await rewrap(self, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(KeyRows, "rewrap", meanwhile)
    rotation = await installed.rotation()
    await rotation.rotate(SHELL)

    assert [(key.rows, key.is_current) for key in await rotation.wrapping_keys()] == [
        (KEYS + 2, True)
    ]


async def test_a_check_says_which_key_has_wrapped_how_many(installed: Installation) -> None:
    rotation = await installed.rotation()

    before = await rotation.wrapping_keys()
    await rotation.rotate(SHELL)
    after = await rotation.wrapping_keys()

    assert [(key.rows, key.is_current, key.is_open) for key in before] == [
        (0, True, True),
        (KEYS + 1, False, True),
    ]
    assert [(key.rows, key.is_current) for key in after] == [(KEYS + 1, True)]


async def test_what_no_key_opens_is_counted_and_the_rest_rotated(installed: Installation) -> None:
    rows = KeyRows(installed.database)
    elsewhere = await installed.keyring(LOST, OLD)
    some = await rows.wrapped_otherwise(elsewhere.kms_key_id, before="tenant:4", count=5)
    wrapped = [(row, elsewhere.rewrapped(row)) for row in some]
    await rows.rewrap(wrapped, key_id=elsewhere.kms_key_id)

    rotation = await installed.rotation()
    rotated = await rotation.rotate(SHELL)

    assert (rotated.rows, rotated.unreadable) == (KEYS + 1 - 5, 5)
    assert [(key.rows, key.is_open) for key in await rotation.wrapping_keys()] == [
        (KEYS + 1 - 5, True),
        (5, False),
    ]


async def test_a_start_without_the_key_of_before_says_how_many_keys_it_cannot_open(
    installed: Installation,
) -> None:
    rows, both = KeyRows(installed.database), await installed.keyring(NEW, OLD)
    [root] = await rows.wrapped_otherwise(both.kms_key_id, before="tenant", count=7)
    await rows.rewrap([(root, both.rewrapped(root))], key_id=both.kms_key_id)

    with structlog.testing.capture_logs() as before:
        await (await installed.rotation()).warn_of_unreadable()
    with structlog.testing.capture_logs() as after:
        await (await installed.rotation(previous="")).warn_of_unreadable()

    assert not before
    [line] = after
    assert "MCP_KMS_KEY_PREVIOUS" in line["event"]
    assert line["count"] == KEYS


# ------------------------------------------------------------------ a server without the new key


async def test_a_server_that_lacks_the_new_key_stops_the_rotation_before_it_begins(
    installed: Installation,
) -> None:
    signals = Signals(installed.database)
    old = KeyRotation(
        installed.database,
        KeyRows(installed.database),
        await installed.keyring(OLD),
        signals,
        installed.audit,
    )
    command_signals = Signals(installed.database)
    command = KeyRotation(
        installed.database,
        KeyRows(installed.database),
        await installed.keyring(NEW, OLD),
        command_signals,
        installed.audit,
        objection_seconds=10,
    )
    before = [key.rows for key in await old.wrapping_keys()]
    await signals.start()
    await command_signals.start()
    try:
        with pytest.raises(Conflict, match="nothing was changed"):
            await command.rotate(SHELL)
    finally:
        await signals.stop()
        await command_signals.stop()

    assert [key.rows for key in await old.wrapping_keys()] == before
    assert await installed.seals(await installed.keyring(OLD))


async def test_a_server_with_the_old_key_alone_keeps_what_it_holds_and_breaks_nothing(
    installed: Installation,
) -> None:
    server = await installed.keyring(OLD)
    await server.tenant("1")
    before = await installed.seals(await installed.keyring(OLD))
    await (await installed.rotation()).rotate(SHELL)

    assert server.held("1") is not None
    with pytest.raises(ConfigurationError, match="MCP_KMS_KEY_PREVIOUS"):
        await server.tenant("2")
    assert await installed.seals(await installed.keyring(OLD, NEW)) == before
