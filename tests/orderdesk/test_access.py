"""A store's access names it and hides its key."""

from orderdesk_app.context import Secret, StoreId, TenantId
from orderdesk_app.orderdesk.access import StoreAccess
from orderdesk_app.orderdesk.user_agent import USER_AGENT


def test_the_same_store_has_the_same_name_whoever_asks() -> None:
    mine, theirs = (
        StoreAccess("https://orderdesk.example/api/v2", StoreId("11"), Secret(key))
        for key in ("one", "other")
    )

    assert mine.upstream_id == theirs.upstream_id == "https://orderdesk.example/api/v2|11"


def test_a_key_that_nobody_has_proven_stands_in_its_tenants_own_line() -> None:
    proven, mine, theirs = (
        StoreAccess("https://orderdesk.example/api/v2", StoreId("11"), Secret("k"), tenant)
        for tenant in (None, TenantId("A"), TenantId("B"))
    )

    assert len({proven.upstream_id, mine.upstream_id, theirs.upstream_id}) == 3
    assert (
        mine.upstream_id
        == StoreAccess(
            "https://orderdesk.example/api/v2", StoreId("12"), Secret("k"), TenantId("A")
        ).upstream_id
    )


def test_the_key_never_prints(store: StoreAccess) -> None:
    assert store.api_key.reveal() not in repr(store) + str(store)


def test_we_introduce_ourselves_by_product_and_version() -> None:
    assert USER_AGENT.startswith("OrderDeskAgents/0")
