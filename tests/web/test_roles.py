"""What each role may do, by raw forms and events: the table of services/roles.py is walked, and
each act is tried as everybody, whatever the pages show.
"""

from collections.abc import Callable
from typing import Any

import pytest

from orderdesk_app.context import ALL_SCOPES, READING_SCOPES, Role, Scope
from orderdesk_app.errors import PermissionDenied
from orderdesk_app.services.roles import Permission, permissions_of
from tests.web.browser_session import BrowserSession, Tab
from tests.web.colleagues import Colleague, add_colleague, set_role
from tests.web.test_console import run
from tests.worlds import FIRST_ORDER

# There is no page for them yet.
WITHOUT_PAGE = {
    Permission.MANAGE_LIMITS,
    Permission.DELETE_ACCOUNT,
}


def is_denied(tab: Tab) -> bool:
    notices = tab.vars.get("signed_in_state.notices") or []
    return any("Ask an owner" in notice["text"] for notice in notices)


def denied_by_form(who: BrowserSession, path: str, **fields: str) -> bool:
    """Sends the form, and reads on the page whether it was refused for the role."""
    answer = who.post(path, **fields)
    if answer.status_code == 403:
        return "Ask an owner" in answer.text
    with who.tab() as tab:
        tab.act("page_load.load_page")
        problem = str(tab.vars.get("signed_in_state.problem") or "")
        return answer.status_code != 200 and ("Ask an owner" in problem or is_denied(tab))


def denied_in_console(who: BrowserSession, tool: str, **arguments: Any) -> bool:
    with who.tab() as tab:
        tab.act("page_load.load_page")
        tab.act("console_state.load")
        shown = run(tab, tool, **arguments)
        said = f"{tab.vars.get('console_state.refusal')} {shown}"
        return "Ask an owner" in said or is_denied(tab)


def sees_nothing(who: BrowserSession) -> bool:
    with who.tab() as tab:
        tab.act("page_load.load_page")
        tab.act("home_state.load")
        tab.act("stores_state.load")
        return is_denied(tab) or len(tab.vars["stores_state.stores"]) != 1


def cannot_add_a_sandbox(who: BrowserSession) -> bool:
    with who.tab() as tab:
        tab.act("page_load.load_page")
        tab.act("stores_state.add_sandbox")
        return is_denied(tab)


def cannot_make_a_key(who: BrowserSession) -> bool:
    return denied_by_form(who, "/settings/keys/create", name="mine", scopes="orders:read")


def cannot_revoke_anothers_key(who: BrowserSession) -> bool:
    owner = who.view.owner(who.actor.via)
    keys = who.web.do(who.web.services.keys.list, owner)
    others = next(key for key in keys if key.name == "of the owner")
    return denied_by_form(who, "/settings/keys/revoke", key_id=others.id)


def cannot_rotate(who: BrowserSession) -> bool:
    return denied_by_form(who, "/settings/keys/rotate-master", confirm="replace")


def cannot_export(who: BrowserSession) -> bool:
    return bool(who.get("/activity/export").status_code == 403)


def cannot_edit_a_store(who: BrowserSession) -> bool:
    store, *_ = who.web.do(who.web.services.stores.list, who.view.owner(who.actor.via))
    fields = {"row_id": store.id, "store_name": store.name, "label": "new"}
    return denied_by_form(who, "/stores/edit", **fields)


def cannot_register(who: BrowserSession) -> bool:
    return denied_by_form(who, "/stores/connect", store_id="10001", api_key="k" * 20)


def cannot_disconnect(who: BrowserSession) -> bool:
    store, *_ = who.web.do(who.web.services.stores.list, who.view.owner(who.actor.via))
    return denied_by_form(who, "/stores/disconnect", row_id=store.id, confirm=store.name)


def cannot_invite(who: BrowserSession) -> bool:
    email = f"{who.actor.user_id}@example.com"
    return denied_by_form(who, "/people/invite", email=email, role="viewer")


def cannot_change_a_role(who: BrowserSession) -> bool:
    return denied_by_form(
        who, "/people/role", user_id=str(who.actor.user_id), role=str(who.actor.role)
    )


def cannot_remove_somebody(who: BrowserSession) -> bool:
    other = add_colleague(who, Role.VIEWER)
    return denied_by_form(who, "/people/remove", user_id=str(other.user_id))


# What is true of somebody whose role does not have the permission. The last ones end the stage.
ACTS: list[tuple[Permission, Callable[[BrowserSession], bool]]] = [
    (Permission.SEE_ACCOUNT, sees_nothing),
    (
        Permission.RUN_READING_TOOLS,
        lambda who: denied_in_console(who, "orders_get", order_id=FIRST_ORDER),
    ),
    (
        Permission.RUN_WRITING_TOOLS,
        lambda who: denied_in_console(who, "orders_create", order='{"email": "a@example.com"}'),
    ),
    (Permission.EXPORT_ACCOUNT, cannot_export),
    (Permission.MANAGE_OWN_KEYS, cannot_make_a_key),
    (Permission.MANAGE_ALL_KEYS, cannot_revoke_anothers_key),
    (Permission.MANAGE_STORES, cannot_edit_a_store),
    (Permission.MANAGE_STORES, cannot_add_a_sandbox),
    (Permission.MANAGE_STORES, cannot_register),
    (Permission.MANAGE_STORES, cannot_disconnect),
    (Permission.MANAGE_PEOPLE, cannot_invite),
    (Permission.MANAGE_PEOPLE, cannot_change_a_role),
    (Permission.MANAGE_PEOPLE, cannot_remove_somebody),
    (Permission.MANAGE_MASTER_KEY, cannot_rotate),
]


@pytest.fixture
def owner(ada: BrowserSession) -> BrowserSession:
    """With a store and a key."""
    with ada.tab() as tab:
        tab.act("stores_state.add_sandbox")
    ada.post("/settings/keys/create", name="of the owner", scopes="orders:read")
    return ada


def test_every_permission_is_tried() -> None:
    assert {permission for permission, _ in ACTS} | WITHOUT_PAGE == set(Permission)


@pytest.mark.parametrize("role", list(Role))
def test_a_role_can_do_what_the_table_says(owner: BrowserSession, role: Role) -> None:
    colleague = add_colleague(owner, role)
    wrong = []

    for permission, is_refused in ACTS:
        if permission in permissions_of(role) and is_refused in (cannot_register,):
            continue  # it would ask the real Order Desk
        if is_refused(colleague) is (permission in permissions_of(role)):
            wrong.append((role, permission, is_refused.__name__))

    assert wrong == []


def test_an_operator_is_no_owner_of_another_account(owner: BrowserSession) -> None:
    colleague = add_colleague(owner, Role.VIEWER, is_operator=True)

    assert cannot_make_a_key(colleague)
    assert cannot_edit_a_store(colleague)
    assert cannot_rotate(colleague)


def test_a_demotion_acts_at_once_in_an_open_page(owner: BrowserSession) -> None:
    colleague = add_colleague(owner, Role.OWNER)
    with colleague.tab() as tab:
        tab.act("page_load.load_page")
        assert "manage_stores" in tab.vars["signed_in_state.permissions"]

        set_role(owner, colleague.user_id, Role.VIEWER)
        tab.act("stores_state.add_sandbox")

        assert is_denied(tab)
        assert "manage_stores" not in tab.vars["signed_in_state.permissions"]


@pytest.mark.parametrize(
    ("role", "left"),
    [(Role.OWNER, ALL_SCOPES), (Role.VIEWER, READING_SCOPES)],
)
def test_a_key_never_does_more_than_its_user(
    owner: BrowserSession, role: Role, left: frozenset[Scope]
) -> None:
    services = owner.web.services
    colleague = add_colleague(owner, Role.OWNER)
    _, key = owner.web.do(services.keys.create, colleague.actor, "laptop", ALL_SCOPES)
    before = owner.web.do(services.access.by_token, key.reveal())

    set_role(owner, colleague.user_id, role)
    owner.web.do(tell, colleague)
    after = owner.web.do(services.access.by_token, key.reveal())

    assert before.actor.scopes == ALL_SCOPES
    assert (after.actor.role, after.actor.scopes) == (role, left)


async def tell(colleague: Colleague) -> None:
    services = colleague.web.services
    async with services.database.write() as session:
        await services.signals.publish(session, f"tenant:{colleague.view.id}")


def test_a_member_makes_no_key_that_may_more_than_they(owner: BrowserSession) -> None:
    member = add_colleague(owner, Role.MEMBER)

    answer = member.post("/settings/keys/create", name="greedy", scopes="orders:read,stores:manage")

    assert answer.status_code == 303
    with member.tab() as tab:
        tab.act("page_load.load_page")
        tab.act("settings_state.load")
        assert "cannot be allowed more than you" in tab.vars["signed_in_state.problem"]
        assert "stores:manage" not in tab.vars["settings_state.offered"]


def test_what_one_made_oneself_can_be_revoked_in_any_role(owner: BrowserSession) -> None:
    colleague = add_colleague(owner, Role.MEMBER)
    view, _ = owner.web.do(owner.web.services.keys.create, colleague.actor, "laptop")
    set_role(owner, colleague.user_id, Role.VIEWER)

    colleague.post("/settings/keys/revoke", key_id=view.id)

    names = [key.name for key in owner.web.do(owner.web.services.keys.list, owner.actor)]
    assert "laptop" not in names


def test_the_console_shows_why_a_tool_is_closed(owner: BrowserSession) -> None:
    viewer = add_colleague(owner, Role.VIEWER)
    with viewer.tab() as tab:
        tab.act("console_state.load")
        rows = {row["name"]: row["refused"] for row in tab.vars["console_state.tools"]}

        assert rows["orders_get"] == ""
        assert rows["orders_update"].startswith("Only owners and members")
        assert rows["stores_register"].startswith("Only an owner")
        assert rows["orders_update"] in tab.vars["console_state.refusals"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MEMBER])
def test_services_refuse_too_whatever_let_the_event_in(owner: BrowserSession, role: Role) -> None:
    services = owner.web.services
    who = add_colleague(owner, role).actor
    (store,) = owner.web.do(services.stores.list, who)
    (key,) = [key for key in owner.web.do(services.keys.list, who) if not key.is_master]
    acts: list[tuple[Permission, Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = [
        (Permission.MANAGE_OWN_KEYS, services.keys.create, (who, "mine"), {}),
        (Permission.MANAGE_ALL_KEYS, services.keys.revoke, (who, key.id), {}),
        (Permission.MANAGE_MASTER_KEY, services.keys.rotate_master, (who,), {}),
        (Permission.MANAGE_STORES, services.stores.add_sandbox, (who,), {}),
        (
            Permission.MANAGE_STORES,
            services.stores.edit,
            (who, store.id),
            {"name": store.name, "label": "", "api_key": None},
        ),
        (
            Permission.MANAGE_STORES,
            services.stores.disconnect,
            (who, store.id),
            {"typed_name": store.name},
        ),
    ]

    for permission, act, arguments, named in acts:
        if permission in permissions_of(role):
            owner.web.do(act, *arguments, **named)
        else:
            with pytest.raises(PermissionDenied, match="Ask an owner"):
                owner.web.do(act, *arguments, **named)


@pytest.mark.parametrize(
    ("role", "labels"),
    [
        (Role.VIEWER, ["Console"]),
        (Role.MEMBER, ["Console", "Connect", "How"]),
        (Role.OWNER, ["Stores", "Console", "Connect", "How"]),
    ],
)
def test_home_asks_of_a_newcomer_what_their_role_can_do(
    owner: BrowserSession, role: Role, labels: list[str]
) -> None:
    with add_colleague(owner, role).tab() as tab:
        tab.act("home_state.load")

        assert [step["label"] for step in tab.vars["home_state.steps"]] == labels


def test_the_only_owner_is_not_asked_to_leave(owner: BrowserSession) -> None:
    with owner.tab() as tab:
        tab.act("people_state.load")
        assert tab.vars["people_state.is_last_owner"] is True

        add_colleague(owner, Role.OWNER)
        tab.act("people_state.load")
        assert tab.vars["people_state.is_last_owner"] is False
