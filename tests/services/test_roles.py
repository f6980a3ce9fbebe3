"""The table of roles, read and walked: each role has what is promised to it, and no more."""

import pytest

from orderdesk_app.context import ALL_SCOPES, READING_SCOPES, Actor, Role, Scope, TenantId, Via
from orderdesk_app.errors import PermissionDenied
from orderdesk_app.services.roles import (
    PERMISSION_OF_SCOPE,
    Permission,
    may,
    permissions_of,
    refusal_of,
    require,
    require_scope,
    scopes_of,
)
from orderdesk_app.tools.catalogue import every_tool

P = Permission
VIEWERS = {P.SEE_ACCOUNT, P.RUN_READING_TOOLS}
MEMBERS = VIEWERS | {P.RUN_WRITING_TOOLS, P.MANAGE_OWN_KEYS}
PROMISED = {Role.VIEWER: VIEWERS, Role.MEMBER: MEMBERS, Role.OWNER: set(Permission)}
EVERY_CASE = [(role, permission) for role in Role for permission in Permission]


def actor(role: Role | None, *, is_operator: bool = False, **given: frozenset[Scope]) -> Actor:
    return Actor(TenantId("01T"), role=role, is_operator=is_operator, via=Via.WEB, **given)


@pytest.mark.parametrize(("role", "permission"), EVERY_CASE)
@pytest.mark.parametrize("is_operator", [False, True])
def test_a_role_allows_what_is_promised_and_refuses_the_rest(
    role: Role, permission: Permission, is_operator: bool
) -> None:
    who = actor(role, is_operator=is_operator)

    assert may(who, permission) is (permission in PROMISED[role])
    if permission in PROMISED[role]:
        require(who, permission)
    else:
        with pytest.raises(PermissionDenied) as refused:
            require(who, permission)
        assert "owner" in refused.value.message
        assert permission.words in refused.value.message


def test_each_role_has_what_the_one_below_it_has_and_more() -> None:
    assert permissions_of(Role.VIEWER) < permissions_of(Role.MEMBER) < permissions_of(Role.OWNER)
    assert scopes_of(Role.VIEWER) < scopes_of(Role.MEMBER) < scopes_of(Role.OWNER)


def test_scopes_follow_from_the_permissions() -> None:
    assert set(PERMISSION_OF_SCOPE) == set(Scope)
    assert scopes_of(Role.VIEWER) == READING_SCOPES
    assert scopes_of(Role.MEMBER) == READING_SCOPES | {
        Scope.ORDERS_WRITE,
        Scope.ORDERS_DELETE,
        Scope.PRODUCTS_WRITE,
    }
    assert scopes_of(Role.OWNER) == ALL_SCOPES


@pytest.mark.parametrize("role", list(Role))
def test_a_role_runs_the_tools_that_its_scopes_open(role: Role) -> None:
    allowed = {tool.name for tool in every_tool() if tool.scope in scopes_of(role)}

    for tool in every_tool():
        who = actor(role, scopes=scopes_of(role))
        if tool.name in allowed:
            require_scope(who, tool.scope)
        else:
            with pytest.raises(PermissionDenied, match="Only"):
                require_scope(who, tool.scope)
    # what changes orders or stores is closed to viewers
    changing = {tool.name for tool in every_tool() if not tool.reads} - {"stores_use_store"}
    assert not (role is Role.VIEWER and allowed & changing)


def test_a_key_that_lacks_a_scope_is_told_so_and_not_its_role() -> None:
    reader = actor(Role.OWNER, scopes=READING_SCOPES)

    with pytest.raises(PermissionDenied, match="This key may not do that"):
        require_scope(reader, Scope.ORDERS_WRITE)


def test_a_refusal_names_those_who_can() -> None:
    assert refusal_of(P.MANAGE_STORES) == (
        "Only an owner of the account can connect, change or disconnect stores. Ask an owner."
    )
    assert refusal_of(P.RUN_WRITING_TOOLS) == (
        "Only owners and members of the account can run tools that change something. "
        "Ask an owner for another role."
    )


def test_the_system_has_no_role_and_may_do_everything() -> None:
    assert permissions_of(None) == set(Permission)
    assert scopes_of(None) == ALL_SCOPES
