"""A sealed value opens in its own place alone, and tells when it was touched."""

import asyncio

import pytest

from orderdesk_app.context import Sealed
from orderdesk_app.db.keyring import KeyRows
from orderdesk_app.errors import Unexpected
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.passwords import Passwords
from orderdesk_app.security.sealing import Sealer
from orderdesk_app.services.keys import Keys
from tests.worlds import MadeUpActors, on_sqlite

PLACE = ("stores", "api_key", "01ROW")


@on_sqlite
async def test_what_was_sealed_opens(sealer, tenant):
    for value in (b"", b"\x00\xff", "a key with ünïcode 🎁", b"x" * 1_000_000):
        sealed = await sealer.seal_for(tenant.view.id, *PLACE, value)

        assert await sealer.open_for(tenant.view.id, *PLACE, sealed) == (
            value.encode() if isinstance(value, str) else value
        )


@on_sqlite
async def test_the_same_value_never_looks_the_same(sealer, tenant):
    sealed = {sealer.seal(tenant.view.id, *PLACE, b"secret") for _ in range(100)}

    assert len(sealed) == 100
    assert all(one[:1] == b"\x01" and b"secret" not in one for one in sealed)


@on_sqlite
@pytest.mark.parametrize(
    "place",
    [
        ("stores", "api_key", "01OTHER"),
        ("stores", "name", "01ROW"),
        ("changes", "api_key", "01ROW"),
        ("storesa", "pi_key", "01ROW"),
        ("stores", "api_key01", "ROW"),
    ],
)
async def test_a_value_that_was_moved_does_not_open(sealer, tenant, place):
    sealed = sealer.seal(tenant.view.id, *PLACE, b"secret")

    with pytest.raises(Unexpected):
        sealer.open(tenant.view.id, *place, sealed)


@on_sqlite
async def test_a_neighbour_cannot_open_it(sealer, two_tenants):
    ada, bert = two_tenants
    sealed = sealer.seal(ada.view.id, *PLACE, b"secret")

    with pytest.raises(Unexpected):
        sealer.open(bert.view.id, *PLACE, sealed)


@on_sqlite
async def test_a_value_that_was_changed_does_not_open(sealer, tenant):
    sealed = sealer.seal(tenant.view.id, *PLACE, b"secret")

    damaged = [
        sealed[:-1],
        sealed[1:],
        b"",
        b"\x01",
        b"\x02" + sealed[1:],
        sealed + b"x",
        *(bytes([*sealed[:at], sealed[at] ^ 1, *sealed[at + 1 :]]) for at in range(len(sealed))),
    ]

    for value in damaged:
        with pytest.raises(Unexpected):
            sealer.open(tenant.view.id, *PLACE, Sealed(value))


async def test_another_process_opens_what_this_one_sealed(sealer, database, data_dir, tenant):
    sealed = sealer.seal(tenant.view.id, *PLACE, b"secret")

    other = Sealer(await Keyring.open(KeyRows(database), kms_key="", data_dir=data_dir))

    assert await other.open_for(tenant.view.id, *PLACE, sealed) == b"secret"


async def test_processes_that_seal_first_at_once_use_one_key(database, data_dir, tenants, tenant):
    view, _ = await tenants.make_tenant("Cleo")
    sealers = [
        Sealer(await Keyring.open(KeyRows(database), kms_key="", data_dir=data_dir))
        for _ in range(6)
    ]

    sealed = await asyncio.gather(*(one.seal_for(view.id, *PLACE, b"secret") for one in sealers))

    for one in sealers:
        for value in sealed:
            assert await one.open_for(view.id, *PLACE, value) == b"secret"


async def test_sealing_without_waiting_needs_a_tenant_that_was_met(database, data_dir, tenant):
    stranger = Sealer(await Keyring.open(KeyRows(database), kms_key="", data_dir=data_dir))

    with pytest.raises(LookupError, match="seal_for"):
        stranger.seal(tenant.view.id, *PLACE, b"secret")


async def test_who_was_found_by_key_may_seal_without_waiting(database, data_dir, signals, tenant):
    keyring = await Keyring.open(KeyRows(database), kms_key="", data_dir=data_dir)
    keys = Keys(database, keyring, signals, Passwords(rounds=4), MadeUpActors(database))

    await keys.find(tenant.master_key.reveal())

    assert Sealer(keyring).seal(tenant.view.id, *PLACE, b"secret")
