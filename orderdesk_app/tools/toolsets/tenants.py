"""Tools about the account itself: whose key is this?"""

from pydantic import Field
from typing_extensions import TypedDict

from orderdesk_app.context import Actor, Scope, Secret, Via
from orderdesk_app.services.access import Access
from orderdesk_app.services.sign_in import NO_TENANT, SignIn
from orderdesk_app.tools.arguments import Arguments, SecretText
from orderdesk_app.tools.catalogue import ToolCall, tool


class UseMasterKey(Arguments):
    master_key: SecretText = Field(
        description="The account's master key, 64 characters, as it was shown once."
    )


class TenantView(TypedDict):
    id: str
    name: str
    role: str


class TenantWithStores(TypedDict):
    tenant: TenantView
    stores_count: int


@tool(
    title="Use a master key",
    scope=Scope.STORES_READ,
    reads=True,
    open_world=False,
    works_signed_out=True,
    also_called=("login", "sign_in", "authenticate", "use_key"),
    example=UseMasterKey(master_key=Secret("your-master-key")),
)
async def tenant_use_master_key(call: ToolCall, arguments: UseMasterKey) -> TenantWithStores:
    """Check a master key and tell whose account it opens.

    Over stdio this signs the session in; over HTTP the request's own key stays in force.
    """
    actor = call.signed_in.actor if call.signed_in else None
    by = actor or Actor(NO_TENANT, via=Via.STDIO)
    key = arguments.master_key
    await call.services[SignIn].check_key(key, by=by)
    principal = await call.services[Access].by_token(key.reveal(), via=by.via)
    if actor is not None:
        principal = principal.with_client(actor.client_name, actor.client_version, actor.address)
    await call.services[SignIn].record_sign_in(principal.actor)
    if call.sign_in is not None:
        call.sign_in(key)
        call.signed_in = principal
    account = principal.account
    role = "admin" if principal.actor.is_operator else "member"
    return {
        "tenant": {"id": account.tenant_id, "name": account.name, "role": role},
        "stores_count": len(account.stores),
    }
