"""Accounts: the first start makes the admin's, once, whoever else starts at the same time."""

import asyncio

import pytest

from orderdesk_app.context import Actor, Role, Secret, TenantId
from orderdesk_app.errors import ConfigurationError, Conflict, NotFound, ValidationFailed
from orderdesk_app.security.tokens import new_master_key
from orderdesk_app.services.members import Member


async def test_the_first_start_makes_the_admin_with_the_key_that_was_set(tenants, keys):
    key = new_master_key()

    start = await tenants.ensure_admin(master_key=key, has_webui=False)

    assert start.is_first
    found = await keys.find(key.reveal())
    assert found is not None
    assert found.tenant_id == start.tenant_id
    assert found.member == Member(start.user_id, Role.OWNER, is_operator=True)
    assert (await tenants.get(Actor(tenant_id=start.tenant_id))).name == "Admin"


async def test_later_starts_find_it_and_never_change_its_key(tenants, keys):
    first, second = new_master_key(), new_master_key()
    made = await tenants.ensure_admin(master_key=first, has_webui=True)

    again = await tenants.ensure_admin(master_key=second, has_webui=True)

    assert again.tenant_id == made.tenant_id
    assert not again.is_first
    assert await keys.find(first.reveal()) is not None
    assert await keys.find(second.reveal()) is None


async def test_without_a_key_the_admin_gets_one_in_the_web_app(tenants, keys):
    start = await tenants.ensure_admin(master_key=None, has_webui=True)

    key = await keys.rotate_master(Actor(start.tenant_id, start.user_id))

    assert await keys.find(key.reveal()) is not None


async def test_a_first_start_in_which_nobody_could_get_a_key_is_refused(tenants):
    with pytest.raises(ConfigurationError, match="ADMIN_MASTER_KEY"):
        await tenants.ensure_admin(master_key=None, has_webui=False)

    assert (await tenants.ensure_admin(master_key=None, has_webui=True)).is_first
    with pytest.raises(ConfigurationError, match="ADMIN_MASTER_KEY"):
        await tenants.ensure_admin(master_key=None, has_webui=False)


async def test_an_admin_who_never_had_a_master_key_gets_the_one_that_is_set(tenants, keys):
    first = await tenants.ensure_admin(master_key=None, has_webui=True)
    key = new_master_key()

    later = await tenants.ensure_admin(master_key=key, has_webui=False)

    assert (later.tenant_id, later.is_first) == (first.tenant_id, False)
    assert (await keys.find(key.reveal())).tenant_id == first.tenant_id
    assert not (await tenants.ensure_admin(master_key=None, has_webui=False)).is_first


async def test_processes_that_start_at_once_make_one_admin(tenants):
    starts = await asyncio.gather(
        *(tenants.ensure_admin(master_key=new_master_key(), has_webui=True) for _ in range(8))
    )

    assert len({(start.tenant_id, start.user_id) for start in starts}) == 1
    assert sum(start.is_first for start in starts) == 1


async def test_everybody_sees_their_own_account(tenants, two_tenants):
    ada, bert = two_tenants

    assert (await tenants.get(ada.actor)).name == "Ada's Teas"
    assert (await tenants.get(bert.actor)).name == "Bert's Bikes"


async def test_an_account_that_is_no_more_is_not_found(tenants):
    with pytest.raises(NotFound):
        await tenants.get(Actor(tenant_id=TenantId("01UNKNOWN")))


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "x" * 81, "a\u202eb"])
async def test_a_name_that_could_not_be_read_is_refused(tenants, name):
    with pytest.raises(ValidationFailed) as caught:
        await tenants.make_tenant(name)

    assert caught.value.field == "name"


@pytest.mark.parametrize("text", ["short", "x" * 257, "with spaces " * 4, "é" * 40])
async def test_a_weak_master_key_is_refused_by_name(tenants, text):
    with pytest.raises(ValidationFailed) as caught:
        await tenants.make_tenant("Cleo", master_key=Secret(text))

    assert caught.value.field == "master_key"
    assert text not in str(caught.value)


async def test_two_accounts_cannot_have_one_key(tenants, tenant):
    with pytest.raises(Conflict):
        await tenants.make_tenant("Cleo", master_key=tenant.master_key)
