"""Your account: what a deletion of it, or of oneself, would take along."""

import reflex as rx

from orderdesk_app import wiring
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.roles import Permission, may
from orderdesk_app.states.deletion_view import (
    NOT_LOOKED_YET,
    DeletionView,
    view_of_account,
    view_of_user,
)
from orderdesk_app.states.signed_in import SignedInState, handler

# the forms, by the ids of their dialogs
DELETE_ME = "delete-me"
DELETE_ACCOUNT = "delete-account"


class AccountOwnDataState(SignedInState):
    may_delete_account: bool = False
    of_me: DeletionView = NOT_LOOKED_YET
    of_account: DeletionView = NOT_LOOKED_YET

    @rx.event
    @handler
    @open_to(Callers.SIGNED_IN)
    async def load(self) -> None:
        self.may_delete_account = may(self._require_actor(), Permission.DELETE_ACCOUNT)
        # a form that was refused opens its dialog again
        if self.problem_form == DELETE_ME:
            await self._look_at_me()
        if self.problem_form == DELETE_ACCOUNT:
            await self._look_at_account()

    @rx.event
    @handler
    @open_to(Callers.SIGNED_IN)
    async def look_at_me(self) -> None:
        """Counts when the dialog opens, and not each time that something happens."""
        await self._look_at_me()

    @rx.event
    @handler
    @open_to(Permission.DELETE_ACCOUNT)
    async def look_at_account(self) -> None:
        await self._look_at_account()

    async def _look_at_me(self) -> None:
        actor = self._require_actor()
        if actor.user_id is not None:
            preview = await wiring.current().user_deletion.preview(actor, actor.user_id)
            self.of_me = view_of_user(preview)

    async def _look_at_account(self) -> None:
        preview = await wiring.current().account_deletion.preview(self._require_actor())
        self.of_account = view_of_account(preview)
