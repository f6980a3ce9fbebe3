"""What each role may do in an account: the one table that services ask before they act.

A key carries scopes beside the role of its user; `scopes_of` says how far a role lets them reach.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum

from orderdesk_app.context import (
    ALL_SCOPES,
    READING_SCOPES,
    Actor,
    LegacyScope,
    Role,
    Scope,
)
from orderdesk_app.errors import PermissionDenied, ValidationFailed


class Permission(StrEnum):
    """One thing that a role may allow."""

    SEE_ACCOUNT = "see_account"  # everything of the account but its secrets
    RUN_READING_TOOLS = "run_reading_tools"
    RUN_WRITING_TOOLS = "run_writing_tools"
    MANAGE_OWN_KEYS = "manage_own_keys"  # connected apps too
    MANAGE_STORES = "manage_stores"
    MANAGE_PEOPLE = "manage_people"
    MANAGE_ALL_KEYS = "manage_all_keys"
    MANAGE_MASTER_KEY = "manage_master_key"
    MANAGE_LIMITS = "manage_limits"
    EXPORT_ACCOUNT = "export_account"
    DELETE_ACCOUNT = "delete_account"

    @property
    def words(self) -> str:
        """The permission as the end of "Only an owner of the account can …"."""
        return _WORDS[self]


_WORDS: Mapping[Permission, str] = {
    Permission.SEE_ACCOUNT: "see what is in it",
    Permission.RUN_READING_TOOLS: "run tools that read",
    Permission.RUN_WRITING_TOOLS: "run tools that change something",
    Permission.MANAGE_OWN_KEYS: "make access keys and connect apps",
    Permission.MANAGE_STORES: "connect, change or disconnect stores",
    Permission.MANAGE_PEOPLE: "invite people, change their roles or remove them",
    Permission.MANAGE_ALL_KEYS: "revoke the keys of others",
    Permission.MANAGE_MASTER_KEY: "make or replace its master key",
    Permission.MANAGE_LIMITS: "change its limits",
    Permission.EXPORT_ACCOUNT: "download its activity and data",
    Permission.DELETE_ACCOUNT: "delete it",
}

_OF_VIEWER = frozenset({Permission.SEE_ACCOUNT, Permission.RUN_READING_TOOLS})
_OF_MEMBER = _OF_VIEWER | {Permission.RUN_WRITING_TOOLS, Permission.MANAGE_OWN_KEYS}
_PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _OF_VIEWER,
    Role.MEMBER: _OF_MEMBER,
    Role.OWNER: frozenset(Permission),
}

# The permission that a user needs for a scope of their key or session to have an effect.
PERMISSION_OF_SCOPE: Mapping[Scope, Permission] = {
    **dict.fromkeys(READING_SCOPES, Permission.RUN_READING_TOOLS),
    Scope.ORDERS_WRITE: Permission.RUN_WRITING_TOOLS,
    Scope.ORDERS_DELETE: Permission.RUN_WRITING_TOOLS,
    Scope.PRODUCTS_WRITE: Permission.RUN_WRITING_TOOLS,
    Scope.STORES_MANAGE: Permission.MANAGE_STORES,
}
_SCOPES: Mapping[Role, frozenset[Scope]] = {
    role: frozenset(scope for scope in Scope if PERMISSION_OF_SCOPE[scope] in permissions)
    for role, permissions in _PERMISSIONS.items()
}


def permissions_of(role: Role | None) -> frozenset[Permission]:
    """What that role may do. None is the system itself, which may do everything: each entry point
    gives every user and every key a role.
    """
    return frozenset(Permission) if role is None else _PERMISSIONS[role]


def scopes_of(role: Role | None) -> frozenset[Scope]:
    """The scopes that a key or a session of a user with that role may have an effect with."""
    return ALL_SCOPES if role is None else _SCOPES[role]


def legacy_scopes_of(role: Role | None) -> frozenset[LegacyScope]:
    """As scopes_of: each is a half of stores:manage."""
    is_allowed = Scope.STORES_MANAGE in scopes_of(role)
    return frozenset(LegacyScope) if is_allowed else frozenset()


def may(actor: Actor, permission: Permission) -> bool:
    """Whether the actor's role allows it. An operator is no owner of other accounts."""
    return permission in permissions_of(actor.role)


def require(actor: Actor, permission: Permission) -> None:
    """Raises PermissionDenied, which says who can, where the actor's role does not allow it."""
    if not may(actor, permission):
        raise denied(permission)


def denied(permission: Permission) -> PermissionDenied:
    """The error that says who can."""
    error = PermissionDenied(refusal_of(permission))
    error.permission = str(permission)
    return error


def has_scope(actor: Actor, scope: Scope, legacy: LegacyScope | None = None) -> bool:
    """Whether the actor's key or session has the scope, or that half of it which an old key has."""
    return scope in actor.scopes or legacy in actor.legacy_scopes


def require_scope(actor: Actor, scope: Scope, legacy: LegacyScope | None = None) -> None:
    """Raises PermissionDenied where the actor's role, or else the key, lacks the scope."""
    if has_scope(actor, scope, legacy) and scope in scopes_of(actor.role):
        return  # every call comes here
    require(actor, PERMISSION_OF_SCOPE[scope])
    raise PermissionDenied(
        f"This key may not do that: it lacks the permission “{scope.words}” ({scope}). "
        "Make a key with it under Settings."
    )


def require_scopes(actor: Actor, scopes: Collection[Scope]) -> None:
    """For a new key: raises ValidationFailed for none, and PermissionDenied for more than the actor
    has.
    """
    if not scopes:
        raise ValidationFailed(
            "A key needs at least one permission. Choose what it may do.", field="scopes"
        )
    if not set(scopes) <= actor.scopes & scopes_of(actor.role):
        raise PermissionDenied(
            "A key cannot be allowed more than you are. Choose fewer permissions.", field="scopes"
        )


def refusal_of(permission: Permission) -> str:
    """Who can do it, and what to do, for somebody who cannot."""
    roles = [role for role in Role if permission in _PERMISSIONS[role]]
    if roles == [Role.OWNER]:
        return f"Only an owner of the account can {permission.words}. Ask an owner."
    return (
        f"Only {' and '.join(f'{role}s' for role in roles)} of the account can "
        f"{permission.words}. Ask an owner for another role."
    )
