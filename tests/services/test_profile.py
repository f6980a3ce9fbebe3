"""Who somebody is, and their own name."""

from dataclasses import replace

import pytest

from orderdesk_app.context import Role, TenantId
from orderdesk_app.errors import AuthFailed, ValidationFailed
from orderdesk_app.services.audit import Entry
from orderdesk_app.services.profile import Profile, ProfileView
from tests.worlds import on_sqlite

pytestmark = on_sqlite


class AuditTrail:
    def __init__(self) -> None:
        self.entries: list[Entry] = []

    async def write_or_queue(self, entry: Entry) -> None:
        self.entries.append(entry)


@pytest.fixture
def trail():
    return AuditTrail()


@pytest.fixture
def profile(database, signals, tenants, trail):
    return Profile(database, signals, tenants, trail)


async def test_a_person_sees_who_they_are(profile, tenant):
    assert await profile.get(tenant.actor) == ProfileView(
        "Ada's Teas", None, Role.OWNER, False, "Ada's Teas"
    )


async def test_an_address_that_was_only_typed_is_a_label(profile, tenant, database):
    statement = "UPDATE users SET unverified_email = 'ada@example.net'"
    await database.execute(statement, {})

    seen = await profile.get(tenant.actor)

    assert (seen.email, seen.unverified_email) == (None, "ada@example.net")


async def test_a_new_name_is_kept_tidied_and_leaves_a_row(profile, tenant, signals, trail):
    heard: list[str] = []
    signals.subscribe(heard.append)

    kept = await profile.rename(tenant.actor, "  Ada   Okafor ")

    assert kept == (await profile.get(tenant.actor)).name == "Ada Okafor"
    assert heard == [f"user:{tenant.actor.user_id}"]
    assert [(row.action, row.actor) for row in trail.entries] == [("profile.rename", tenant.actor)]


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "Ada\u202eakO", "\u2800"])
async def test_a_name_that_nobody_can_read_is_refused_at_its_field(profile, tenant, name):
    with pytest.raises(ValidationFailed) as refused:
        await profile.rename(tenant.actor, name)

    assert refused.value.field == "name"
    assert (await profile.get(tenant.actor)).name == "Ada's Teas"


async def test_who_is_no_member_has_no_profile_there(profile, two_tenants):
    ada, bert = two_tenants
    for stranger in (
        replace(ada.actor, tenant_id=bert.view.id),
        replace(ada.actor, tenant_id=TenantId("nobodys")),
        replace(ada.actor, user_id=None),
    ):
        with pytest.raises(AuthFailed):
            await profile.get(stranger)
        with pytest.raises(AuthFailed):
            await profile.rename(stranger, "Mallory")
